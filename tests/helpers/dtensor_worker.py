"""What each process of test_dtensor.py runs, in a module that a new process can import."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from activations import PSI, SILU, Activation, randn
from torch import Tensor, nn

import originet_ext

WORLD_SIZE = 2
ACTIVATIONS = {"rrelu": PSI, "silu": SILU}


def check_all(rank: int, folder: Path) -> None:
    """Runs every check for every activation, and writes down what went wrong."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD_SIZE
    )
    for name, check in CHECKS.items():
        for kind, activation in ACTIVATIONS.items():
            torch.manual_seed(0)
            try:
                check(activation)
                text = ""
            except Exception:
                text = traceback.format_exc()
            (folder / f"{kind}-{name}-{rank}").write_text(text)
    os._exit(0)  # as in ddp_worker.py


def layouts() -> list:
    from torch.distributed.tensor import Replicate, Shard

    return [[Replicate()], [Shard(0)], [Shard(1)]]


def whole_of(placement) -> tuple[Tensor, Tensor]:
    """A DTensor of 6 x 5, so that a dimension does not divide evenly, and all of it."""
    from torch.distributed.tensor import distribute_tensor, init_device_mesh

    whole = randn((6, 5))
    mesh = init_device_mesh("cpu", (WORLD_SIZE,))
    return whole, distribute_tensor(whole, mesh, placement)


def check_forward_and_backward(activation: Activation) -> None:
    for placement in layouts():
        whole, x = whole_of(placement)
        for function in (activation.function, lambda x: activation.in_place(x.clone())):
            x.requires_grad_()
            y = function(x)
            assert list(y.placements) == placement, (y.placements, placement)
            torch.testing.assert_close(y.full_tensor(), activation.function(whole))
            (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            leaf = whole.clone().requires_grad_()
            (want,) = torch.autograd.grad(activation.function(leaf).sum(), leaf, create_graph=True)
            assert list(first.placements) == placement
            torch.testing.assert_close(first.full_tensor(), want)
            (second,) = torch.autograd.grad(first.sum(), x)
            (want,) = torch.autograd.grad(want.sum(), leaf)
            torch.testing.assert_close(second.full_tensor(), want)


def check_sums(activation: Activation) -> None:
    def join(a: Tensor, b: Tensor) -> Tensor:
        if activation is PSI:
            return originet_ext.fused_rrelu_add(a, b)
        return activation.function(a) + activation.function(b)

    for placement in layouts():
        _, a = whole_of(placement)
        _, b = whole_of(placement)
        a.requires_grad_(), b.requires_grad_()
        got = join(a, b)
        assert list(got.placements) == placement
        torch.testing.assert_close(got.full_tensor(), join(a.full_tensor(), b.full_tensor()))
        gradients = torch.autograd.grad(got.sum(), (a, b))
        leaves = [t.full_tensor().detach().requires_grad_() for t in (a, b)]
        for gradient, want in zip(
            gradients, torch.autograd.grad(join(*leaves).sum(), leaves), strict=True
        ):
            assert list(gradient.placements) == placement
            torch.testing.assert_close(gradient.full_tensor(), want)


def check_partial_sums_are_added_first(activation: Activation) -> None:
    from torch.distributed.tensor import DTensor, Partial, init_device_mesh

    local = randn((4, 3)) * (dist.get_rank() + 1)
    x = DTensor.from_local(local, init_device_mesh("cpu", (WORLD_SIZE,)), [Partial()])
    total = x.full_tensor()
    torch.testing.assert_close(activation.function(x).full_tensor(), activation.function(total))


def network(activation: Activation) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), activation.module(), nn.Linear(8, 4))


def gradients(model: nn.Module, x: Tensor) -> list[Tensor]:
    model(x).square().sum().backward()
    return [getattr(p.grad, "full_tensor", lambda p=p: p.grad)() for p in model.parameters()]


def check_tensor_parallel_networks(activation: Activation) -> None:
    from torch.distributed.tensor import Shard, init_device_mesh
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    x = randn((6, 5))
    want = gradients(network(activation), x)
    for compiled in (False, True):
        model = network(activation)
        plan = {
            "0": ColwiseParallel(use_local_output=False, output_layouts=Shard(-1)),
            "2": RowwiseParallel(),
        }
        parallelize_module(model, init_device_mesh("cpu", (WORLD_SIZE,)), plan)
        if compiled:
            model = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(gradients(model, x), want, rtol=1e-5, atol=1e-5)


def check_fully_sharded_networks(activation: Activation) -> None:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import init_device_mesh

    batch = randn((6, 5))
    want = gradients(network(activation), batch)
    model = network(activation)
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD_SIZE,)))
    got = gradients(model, batch.chunk(WORLD_SIZE)[dist.get_rank()])
    # FSDP takes the mean over ranks of losses that are sums here.
    torch.testing.assert_close([WORLD_SIZE * g for g in got], want, rtol=1e-5, atol=1e-5)


CHECKS: dict[str, Callable[[Activation], None]] = {
    "derivatives": check_forward_and_backward,
    "sums": check_sums,
    "partial": check_partial_sums_are_added_first,
    "tensor-parallel": check_tensor_parallel_networks,
    "fully-sharded": check_fully_sharded_networks,
}
