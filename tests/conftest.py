"""Devices, tolerances and the one place where a missing GPU skips a test."""

import os

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        return
    skip = pytest.mark.skip(reason="no CUDA device (FAIL_WITHOUT_CUDA=1 makes this a failure)")
    for item in items:
        if "needs_cuda" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def seeded_rng():
    """Every test starts from the same random state and leaves the global one as it was."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.random.set_rng_state(state)
