"""Preparing clips beside decoding their files, under pytest-benchmark: `pytest bench/`."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from originet import bench


@pytest.mark.parametrize("variant", bench.PREPARE_VARIANTS)
@pytest.mark.parametrize("provider", bench.prepare_providers())
def test_prepare(benchmark: BenchmarkFixture, provider: str, variant: str) -> None:
    case = bench.prepare_case(16, variant=variant)
    benchmark.group = f"prepare {variant}"
    benchmark(case.synchronous(provider))
