"""A hybrid block's two convolutions, 3 x 3 and 5 x 5 with stride 2, as one op on the CPU.

The op is written for training in float32. What it does not take is torch's own `conv2d`'s to do:
callers ask `can_hybrid_conv` first.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from originet_ext._library import ops

_PANEL = 16  # channels that the kernel computes at a time, see csrc/hybrid_conv_loops.h
# A tile of 4 x 4 pixels saves about what it costs to transform the weights of so many pairs of
# input and output channels, which is done once for all tiles.
_PAIRS_PER_TILE = 64


def can_hybrid_conv(x: Tensor, small: Tensor, large: Tensor) -> bool:
    """Returns whether `hybrid_conv` takes these arguments here, and is faster with them.

    It takes plain float32 tensors on the CPU, of a multiple of 16 channels, for a multiple of 16
    output channels. It is not for autocast, forward-mode AD, `torch.func`, compiled or traced code.
    It is slower than torch's convolutions where there are few pixels: fewer than 16 for 64 pairs of
    input and output channels.

    Args:
        x: images [N, C, H, W].
        small: weights [D, C, 3, 3].
        large: weights [D, C, 5, 5].
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    plain = all(
        type(t) in (Tensor, torch.nn.Parameter)
        and t.dtype == torch.float32
        and t.device.type == "cpu"
        and t.layout == torch.strided
        and t.dim() == 4
        for t in (x, small, large)
    )
    if (
        not plain
        or torch.is_autocast_enabled("cpu")
        or forward_ad._current_level >= 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    ):
        return False
    (images, channels, height, width), out = x.shape, small.shape[0]
    return (
        small.shape == (out, channels, 3, 3)
        and large.shape == (out, channels, 5, 5)
        and channels % _PANEL == 0
        and out % _PANEL == 0
        and min(channels, out, height, width) > 0
        and images * -(-height // 4) * -(-width // 4) * _PAIRS_PER_TILE >= channels * out
    )


def hybrid_conv(
    x: Tensor, small: Tensor, large: Tensor, *, down: int = 0, right: int = 0
) -> tuple[Tensor, Tensor]:
    """conv2d(x, small, stride=2, padding=1) and conv2d(x, large, stride=2, padding=2).

    Computed by Winograd's method, which needs 74 products where convolutions need 136; results
    differ from torch's by rounding. Both convolutions read the pixels once, and so do their
    gradients. Results and gradients depend on the number of threads, and on nothing else. Second
    derivatives are torch's.

    Args:
        x: images [N, C, H, W], float32, on the CPU; best in channels_last.
        small: weights [D, C, 3, 3], any strides.
        large: weights [D, C, 5, 5], any strides.
        down: 0, or 1 to move both kernels down by a pixel. With 1 for even sizes, the padding is
            TensorFlow's "same".
        right: the same to the right.

    Returns:
        Two tensors [N, D, ceil(H / 2), ceil(W / 2)] in channels_last.

    Raises:
        RuntimeError: an argument is not what `can_hybrid_conv` takes, the number of pixels apart.

    Example:
        >>> w = torch.randn(16, 16, 3, 3), torch.randn(16, 16, 5, 5)
        >>> [list(y.shape) for y in hybrid_conv(torch.randn(4, 16, 9, 8), *w)]
        [[4, 16, 5, 4], [4, 16, 5, 4]]

    Reference: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
    arXiv:1509.09308; the split by parity for stride 2 is in csrc/hybrid_conv_loops.h.
    """
    args = (_to_nhwc(t) for t in (x, small, large))
    first, second = ops.hybrid_conv_forward.default(*args, down, right)
    return _to_nchw(first), _to_nchw(second)


def _to_nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _to_nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, small, large, ctx.down, ctx.right = inputs
    ctx.save_for_backward(x, small, large)


def _backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    x, small, large = ctx.saved_tensors
    of_x = ctx.needs_input_grad[0]
    if torch.is_grad_enabled():  # the gradients shall be differentiated
        images = _differentiable(ctx, grads, x, (small, large))
    else:
        images = ops.hybrid_conv_backward.default(
            *grads, x, small, large, ctx.down, ctx.right, of_x
        )
    return images[0] if of_x else None, images[1], images[2], None, None


def _differentiable(
    ctx: Any, grads: tuple[Tensor, ...], x: Tensor, weights: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by torch's ops."""
    height, width = x.shape[1:3]
    of_x, of_weights = [], []
    for grad, w in zip(grads, weights, strict=True):
        # Padding at the top and left, and as much as the kernel may read at the bottom and right.
        before = w.shape[1] // 2
        sides = (before - ctx.right, before + ctx.right, before - ctx.down, before + ctx.down)
        padded = torch.nn.functional.pad(_to_nchw(x), sides)
        g, gw, _ = torch.ops.aten.convolution_backward(
            *(_to_nchw(grad), padded, _to_nchw(w), None, [2, 2], [0, 0], [1, 1], False, [0, 0], 1),
            [True, True, False],
        )
        left, top = sides[0], sides[2]
        of_x.append(_to_nhwc(g[:, :, top : top + height, left : left + width]))
        of_weights.append(_to_nhwc(gw))
    return of_x[0] + of_x[1], of_weights[0], of_weights[1]


torch.library.register_autograd(
    "originet::hybrid_conv_forward", _backward, setup_context=_setup_context
)


def _no_backward(ctx: Any, *grads: Tensor) -> Any:
    raise NotImplementedError("hybrid_conv_backward: only hybrid_conv has second derivatives")


torch.library.register_autograd("originet::hybrid_conv_backward", _no_backward)
