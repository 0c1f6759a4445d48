"""Folds of a leave-one-subject-out run, under pytest-benchmark: `pytest bench/`."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from originet import bench

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("provider", bench.loso_providers(DEVICE))
def test_loso(benchmark: BenchmarkFixture, provider: str) -> None:
    functions = {provider: bench.loso_providers(DEVICE)[provider]}
    case = bench.loso_case(2, device=DEVICE, providers=functions)
    benchmark.group = "leave-one-subject-out"
    benchmark.pedantic(case.synchronous(provider), rounds=3)
