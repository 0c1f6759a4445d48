"""The active image, fused and not.

`pytest bench/` gives each provider to pytest-benchmark. As a program this file times them in
interleaved rounds and keeps the result:

    python bench/bench_active_image.py bench/results/active_image.csv
"""

from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
import typer
from pytest_benchmark.fixture import BenchmarkFixture
from rich.progress import Progress

from originet import bench

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("shape", [(64, 128, 128), (64, 340, 280, 3)], ids=str)
@pytest.mark.parametrize("method", ["paper", "absolute", "rank"])
@pytest.mark.parametrize("provider", bench.active_image_providers("paper", DEVICE))
def test_active_image(
    benchmark: BenchmarkFixture, provider: str, method: str, shape: tuple[int, ...]
) -> None:
    providers = {provider: bench.active_image_providers(method, DEVICE)[provider]}
    case = bench.active_image_case(shape, method=method, device=DEVICE, providers=providers)
    benchmark.group = f"active image {method} {shape}"
    benchmark.extra_info["bytes"] = case.bytes
    benchmark(case.synchronous(provider))


def main(
    out: Path, device: str = DEVICE, quick: bool = False, threads: int = 0, commit: str = ""
) -> None:
    """Time the active image and add the rows to the CSV file OUT.

    --threads 0 leaves torch's choice; --commit is for copies of the sources without a repository.
    """
    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    with Progress() as bar:
        task = bar.add_task("active image")
        rows = bench.bench_active_image(
            device=device,
            quick=quick,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    bench.write_csv(out, [replace(row, commit=commit or row.commit) for row in rows])


if __name__ == "__main__":
    typer.run(main)
