"""The active image, fused and not, under pytest-benchmark: `pytest bench/`."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

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
