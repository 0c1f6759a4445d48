"""Active imaging, fused and not, under pytest-benchmark: `pytest bench/`."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from originet import bench

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
METHODS = ("cumulative", "absolute", "rank")


@pytest.mark.parametrize("shape", [(64, 128, 128), (64, 340, 280, 3)], ids=str)
@pytest.mark.parametrize("method", ["telescoped", *METHODS])
@pytest.mark.parametrize("provider", bench.active_image_providers("cumulative", DEVICE))
def test_active_image(
    benchmark: BenchmarkFixture, provider: str, method: str, shape: tuple[int, ...]
) -> None:
    providers = bench.active_image_providers(method, DEVICE, [provider])
    case = bench.active_image_case(shape, method=method, device=DEVICE, providers=providers)
    run(benchmark, case, provider, f"active image {method} {shape}")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("provider", ["fused", "list", "equal", "eager", "padded", "read"])
def test_ragged(benchmark: BenchmarkFixture, provider: str, method: str) -> None:
    case = bench.ragged_case(16, method=method, device=DEVICE)
    run(benchmark, case, provider, f"16 ragged clips {method}")


@pytest.mark.parametrize("window", [10, 160])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("provider", ["fused", "each", "read"])
def test_windows(benchmark: BenchmarkFixture, provider: str, method: str, window: int) -> None:
    providers = bench.windows_providers(window, 5, method, [provider])
    case = bench.windows_case(2000, window, method=method, device=DEVICE, providers=providers)
    run(benchmark, case, provider, f"windows of {window} frames {method}")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("provider", ["fused", "batch", "opencv", "read"])
def test_stream(benchmark: BenchmarkFixture, provider: str, method: str) -> None:
    case = bench.stream_case((64, 128, 128), method=method)
    run(benchmark, case, provider, f"stream {method}")


def run(benchmark: BenchmarkFixture, case: bench.Case, provider: str, group: str) -> None:
    benchmark.group = group
    benchmark.extra_info["bytes"] = case.bytes
    benchmark(case.synchronous(provider))
