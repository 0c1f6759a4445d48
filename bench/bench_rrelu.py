"""Psi, fused and not, under pytest-benchmark: `pytest bench/`. `originet bench` keeps results."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from originet import bench

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("shape", [(1 << 14,), (1 << 20,), (1 << 23,)], ids=str)
@pytest.mark.parametrize("mode", ["forward", "backward", "full"])
@pytest.mark.parametrize("provider", bench.PROVIDERS)
def test_rrelu(benchmark: BenchmarkFixture, provider: str, mode: str, shape: tuple[int]) -> None:
    torch.compiler.reset()
    providers = bench.rrelu_providers([provider])
    case = bench.rrelu_case(shape, mode=mode, device=DEVICE, providers=providers)
    benchmark.group = f"rrelu {mode} {shape}"
    benchmark.extra_info["bytes"] = case.bytes
    benchmark(case.synchronous(provider))
