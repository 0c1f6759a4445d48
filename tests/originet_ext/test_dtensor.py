"""psi on DTensors in two processes, with F.silu as the control."""

from pathlib import Path

import pytest
import torch
from dtensor_worker import ACTIVATIONS, CHECKS, WORLD_SIZE, check_all


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the processes found; they run once for all checks."""
    folder = tmp_path_factory.mktemp("dtensor")
    with pytest.MonkeyPatch.context() as patch:
        # gloo otherwise looks up the host's name, which need not have an address
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        torch.multiprocessing.spawn(check_all, (folder,), nprocs=WORLD_SIZE)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dtensors(name, check, folder):
    for rank in range(WORLD_SIZE):
        failure = (folder / f"{name}-{check}-{rank}").read_text()
        assert not failure, failure
