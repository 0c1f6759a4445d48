"""Training in two processes with DistributedDataParallel, against one process."""

from pathlib import Path

import pytest
import torch
from activations import randn
from ddp_worker import ACTIVATIONS, WORLD_SIZE, gradients, network, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the processes were given and what they found; they run once for all activations."""
    folder = tmp_path_factory.mktemp("ddp")
    torch.manual_seed(0)
    torch.save(randn((8, 2, 6, 6)), folder / "batch.pt")
    with pytest.MonkeyPatch.context() as patch:
        # gloo otherwise looks up the host's name, which need not have an address
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        torch.multiprocessing.spawn(train, (folder,), nprocs=WORLD_SIZE)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_two_processes_get_the_gradients_of_one(name, folder):
    batch = torch.load(folder / "batch.pt")
    want = gradients(network(ACTIVATIONS[name]), batch)
    for rank in range(WORLD_SIZE):
        got = torch.load(folder / f"{name}-{rank}.pt")
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    # the half of one process has other gradients
    alone = gradients(network(ACTIVATIONS[name]), batch.chunk(WORLD_SIZE)[0])
    assert not all(torch.allclose(a, b, rtol=1e-3) for a, b in zip(alone, want, strict=True))
