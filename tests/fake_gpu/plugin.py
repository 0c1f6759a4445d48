"""Lets pytest run tests on the CUDA device that is not there: `pytest -p plugin`."""

from collections.abc import Iterator

import pytest
import torch
from torch_ops import TorchOps

# cuDNN asks the driver for more than there is; torch's own kernels are computed on the CPU anyway.
torch.backends.cudnn.enabled = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Covers a test's fixtures, too."""
    with TorchOps():
        return (yield)
