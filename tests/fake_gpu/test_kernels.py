"""What a call of the kernels costs on a GPU: launches, copies and waits."""

import pytest
import torch
from counts import counted

from originet_ext import (
    METHODS,
    NORMALIZATIONS,
    active_image,
    fused_rrelu,
    fused_rrelu_add_norm,
    sliding_active_images,
)

FRAMES = torch.randint(0, 256, (60, 20, 24), dtype=torch.uint8)
OFFSETS = torch.tensor([0, 20, 60])
# More clips than one launch takes, of lengths that follow no order.
MANY = torch.randint(0, 256, (400, 4, 16), dtype=torch.uint8)
MANY_OFFSETS = torch.tensor([0, *(3 + 5 * b % 7 for b in range(66))]).cumsum(0)


def cost(work) -> dict[str, int]:
    """What a call makes the runtime do, once torch holds the memory and the weights are cached."""
    for _ in range(2):
        work()
    return counted(work)


def test_psi_is_one_kernel():
    x = torch.randn(1000, device="cuda")
    assert cost(lambda: fused_rrelu(x)) == {"kernels": 1}
    x.requires_grad_()
    upstream = torch.randn(1000, device="cuda")
    assert cost(lambda: torch.autograd.grad(fused_rrelu(x), x, upstream)) == {"kernels": 2}


def test_norm_waits_for_nothing():
    x, y = torch.randn(2, 4, 8, 6, 6, device="cuda")
    scale, shift = torch.ones(8, device="cuda"), torch.zeros(8, device="cuda")
    found = cost(lambda: fused_rrelu_add_norm(x, y, scale, shift))
    assert set(found) <= {"kernels", "torch_ops"} and found["kernels"] <= 3


def test_norm_copies_no_contiguous_gradient_of_channels_last_inputs():
    x, y, grad = torch.randn(3, 4, 8, 6, 6, device="cuda")
    x, y = (each.contiguous(memory_format=torch.channels_last) for each in (x, y))
    statistics = torch.randn(8, device="cuda"), torch.ones(8, device="cuda")
    arguments = (x, y, None, None, None, *statistics, True, 1e-5, 0.1)
    backward = torch.ops.originet.rrelu_add_norm_backward
    assert cost(lambda: backward(grad, *arguments)) == {"kernels": 3}
    expanded = grad[:, :, :1, :1].expand(grad.shape)
    assert cost(lambda: backward(expanded, *arguments)) == {"kernels": 3}


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["single", "packed", "list", "many"])
def test_active_image_neither_copies_nor_waits(form, method, normalize):
    frames = (MANY[: MANY_OFFSETS[-1]] if form == "many" else FRAMES).cuda()
    clips = [frames[:20], frames[20:]] if form == "list" else frames
    offsets = {"packed": OFFSETS, "many": MANY_OFFSETS}.get(form)
    call = lambda: active_image(clips, offsets, method, normalize)  # noqa: E731
    found = cost(call)
    assert set(found) == {"kernels"}, found
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        call()
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin()
        captured = call()
        graph.capture_end()
    frames.copy_(frames.flip(0))
    graph.replay()
    assert torch.equal(captured.cpu(), call().cpu())


@pytest.mark.parametrize("stride", [5, 1])  # 11 and 51 windows
@pytest.mark.parametrize("method", METHODS)
def test_sliding_neither_copies_nor_waits(method, stride):
    frames = FRAMES.cuda()
    found = cost(lambda: sliding_active_images(frames, 10, stride, method))
    assert set(found) == {"kernels"}, found
    assert found["kernels"] == 1


@pytest.mark.parametrize("method", ["rank", "learnet"])
def test_a_new_combination_of_known_lengths_copies_nothing(method):
    frames = FRAMES.cuda()
    active_image([frames[:n] for n in (11, 12, 13)], method=method)
    found = counted(lambda: active_image([frames[:n] for n in (13, 11)], method=method))
    assert not {"to_device", "synchronisations"} & set(found), found
