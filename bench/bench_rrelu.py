"""Psi, fused and not, forward, backward and full.

`pytest bench/` gives each provider to pytest-benchmark. As a program this file times them in
interleaved rounds and keeps the result:

    python bench/bench_rrelu.py bench/results/rrelu.csv
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from pytest_benchmark.fixture import BenchmarkFixture
from rich.progress import Progress

from originet import bench

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("shape", [(1 << 14,), (1 << 20,), (1 << 23,)], ids=str)
@pytest.mark.parametrize("mode", bench.MODES)
@pytest.mark.parametrize("provider", bench.RRELU_PROVIDERS)
def test_rrelu(benchmark: BenchmarkFixture, provider: str, mode: str, shape: tuple[int]) -> None:
    torch.compiler.reset()
    providers = bench.rrelu_providers([provider])
    case = bench.rrelu_case(shape, mode=mode, device=DEVICE, providers=providers)
    benchmark.group = f"rrelu {mode} {shape}"
    benchmark.extra_info["bytes"] = case.bytes
    benchmark(case.synchronous(provider))


def main(
    out: Path,
    device: str = DEVICE,
    dtype: list[str] | None = None,
    quick: bool = False,
    threads: int = 0,
    commit: str = "",
) -> None:
    """Time psi and add the rows to the CSV file OUT.

    --dtype may be given several times; without it all floating dtypes are run. --threads 0 leaves
    torch's choice; --commit is for copies of the sources without a repository.
    """
    if threads:
        torch.set_num_threads(threads)
    with Progress() as bar:
        task = bar.add_task("rrelu")
        rows = bench.bench_rrelu(
            device=device,
            dtypes=[getattr(torch, name) for name in dtype] if dtype else bench.DTYPES,
            quick=quick,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    bench.write_csv(out, [replace(row, commit=commit or row.commit) for row in rows])


if __name__ == "__main__":
    typer.run(main)
