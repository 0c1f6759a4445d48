"""OrigiNet at batch 32, with and without fused psi, under pytest-benchmark: `pytest bench/`."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from originet import bench

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("mode", bench.MODEL_MODES)
@pytest.mark.parametrize("provider", bench.MODEL_PROVIDERS)
def test_model(benchmark: BenchmarkFixture, provider: str, mode: str, layout: str) -> None:
    case = bench.model_case(32, mode=mode, layout=layout, device=DEVICE, providers=[provider])
    benchmark.group = f"OrigiNet {mode} {layout}"
    benchmark.extra_info["saved_bytes"] = case.saved.get(provider, 0)
    benchmark(case.synchronous(provider))
