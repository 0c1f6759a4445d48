"""psi and SiLU side by side, for tests that both must pass, and what tests of psi share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from originet_ext import FusedRReLU, fused_rrelu, fused_rrelu_, reference

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
TOLERANCE = {
    torch.float16: {"rtol": 1e-3, "atol": 1e-6},
    torch.bfloat16: {"rtol": 8e-3, "atol": 1e-6},
    torch.float32: {"rtol": 1e-6, "atol": 1e-7},
    torch.float64: {"rtol": 1e-13, "atol": 1e-15},
}


@dataclass(frozen=True)
class Activation:
    """One activation in all its forms.

    `exact` is its formula in plain PyTorch, differentiable, and to be called with float64.
    """

    function: Callable[[Tensor], Tensor]
    in_place: Callable[[Tensor], Tensor]
    module: Callable[..., nn.Module]
    exact: Callable[[Tensor], Tensor]


PSI = Activation(fused_rrelu, fused_rrelu_, FusedRReLU, reference.fused_rrelu)
SILU = Activation(
    nn.functional.silu,
    lambda x: nn.functional.silu(x, inplace=True),
    nn.SiLU,
    lambda x: x * torch.sigmoid(x),
)


def randn(shape, device="cpu", dtype=torch.float32, requires_grad=False) -> Tensor:
    """Values over the range where psi is curved, none of them on its kink."""
    x = torch.randn(shape, dtype=torch.float64).mul_(4)
    x = torch.where(x.abs() < 0.05, x + 0.1, x)
    return x.to(device, dtype).requires_grad_(requires_grad)


def exact_gradient(activation: Activation, x: Tensor) -> Tensor:
    """The first derivative of the formula at each element of x; float64."""
    leaf = x.detach().double().requires_grad_()
    return torch.autograd.grad(activation.exact(leaf).sum(), leaf)[0]
