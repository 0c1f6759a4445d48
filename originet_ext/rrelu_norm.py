"""The hybrid block's join with its normalisation, BN(psi(a) + psi(b)), as one op.

Eq. (7) of arXiv:2005.07991 with the branches' convolution biases folded in.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from originet_ext._checks import check_norm
from originet_ext._dispatch import call
from originet_ext._library import ops


def fused_rrelu_add_norm(
    a: Tensor,
    b: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    *,
    bias_a: Tensor | None = None,
    bias_b: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    alpha: float = 0.1,
) -> Tensor:
    """batch_norm(psi(a + bias_a) + psi(b + bias_b)): a hybrid block after its convolutions.

    Statistics, running statistics and errors are those of `torch.nn.BatchNorm2d`. Only a, b and [C]
    vectors are saved for backward, which computes the activations again. Second derivatives and
    forward-mode AD use plain PyTorch, which saves its intermediate results.

    Args:
        a: the first branch [N, C, ...], any strides, float16, bfloat16, float32 or float64.
            Contiguous and channels_last tensors are used as they are, others are copied first.
        b: the second branch, of a's shape, dtype and device; best in a's layout.
        weight: scale [C], or None for 1. This and all [C] arguments below have the dtype of a, or
            float32 if a is 16-bit.
        bias: shift [C], or None for 0.
        running_mean: [C], updated in place in training, used in evaluation. If None, both modes
            use the statistics of the batch.
        running_var: [C], like running_mean; updated with the unbiased variance.
        bias_a: [C], added to a: the bias of a convolution that ran without it; None for 0.
        bias_b: [C], added to b; None for 0.
        training: whether to normalise with the statistics of the batch.
        momentum: weight of the batch in the running statistics.
        eps: added to the variance; positive, or 0 with running statistics.
        alpha: slope of psi's L below zero, finite.

    Returns:
        Like a; channels_last if a is, otherwise contiguous. 16-bit types are computed in float32
        and rounded once. A batch without elements gives a result without elements, and does not
        change the running statistics.

    Raises:
        TypeError: an argument is not a tensor, or has an unsupported dtype.
        ValueError: shapes or devices do not fit, only one running statistic is given, eps or alpha
            is out of range, or batch statistics are needed with one value per channel.

    Example:
        >>> a, b = torch.randn(2, 8, 3, 4, 4)
        >>> fused_rrelu_add_norm(a, b, torch.ones(3), torch.zeros(3)).shape
        torch.Size([8, 3, 4, 4])

    Reference: Verma et al., arXiv:2005.07991, Eqs. (4) and (7).
    """
    tensors = (a, b, weight, bias, running_mean, running_var)
    options: dict[str, Any] = {
        "bias_a": bias_a,
        "bias_b": bias_b,
        "training": training,
        "momentum": momentum,
        "eps": eps,
        "alpha": alpha,
    }
    if has_torch_function(every := (*tensors, bias_a, bias_b)):
        return handle_torch_function(fused_rrelu_add_norm, every, *tensors, **options)
    training = training or running_mean is None
    vectors = {
        "weight": weight,
        "bias": bias,
        "running_mean": running_mean,
        "running_var": running_var,
        "bias_a": bias_a,
        "bias_b": bias_b,
    }
    check_norm("fused_rrelu_add_norm", a, b, vectors, training, eps, alpha)
    given = (None, None) if training else (running_mean, running_var)
    y, mean, _, var = call(
        ops.rrelu_add_norm_forward.default, a, b, bias_a, bias_b, weight, bias, *given, eps, alpha
    )
    if training and running_mean is not None and running_var is not None and a.numel() > 0:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(var.to(running_var.dtype), momentum)
    return y
