"""What each process of test_ddp.py runs; a module of its own, which a new process can import."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from activations import PSI, SILU, Activation
from torch import nn
from torch.nn.parallel import DistributedDataParallel

WORLD_SIZE = 2
ACTIVATIONS = {"rrelu": PSI, "silu": SILU}


def network(activation: Activation) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), activation.module(), nn.Flatten(), nn.Linear(64, 3), activation.module()
    )


def gradients(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    model(x).square().mean().backward()
    return [p.grad for p in model.parameters()]


def train(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD_SIZE
    )
    batch = torch.load(folder / "batch.pt").chunk(WORLD_SIZE)[rank]
    for name, activation in ACTIVATIONS.items():
        model = DistributedDataParallel(network(activation))
        torch.save(gradients(model, batch), folder / f"{name}-{rank}.pt")
    # Not destroy_process_group: its destructor holds the GIL while it waits for a thread, which may
    # be waiting for the GIL to release what the last reduction kept.
    os._exit(0)
