"""Table I and Fig. 3: activation functions and their derivatives, as printed and as computed.

Every printed formula is compared in float64 with the function that networks use and its autograd
derivative; central differences confirm the latter. Only the paper's formulas and ranges are
hard-coded.

Reference: Verma et al., arXiv:2005.07991, Table I, Fig. 3, Eq. (4).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from originet_ext import fused_rrelu

ALPHA = 0.1
"""The paper's constant for psi; also used for leaky ReLU, for which the paper gives none."""
ELU_ALPHA = 1.0
"""ELU's usual constant; the paper gives none."""
SPAN = 20.0
"""Functions are evaluated on [-SPAN, SPAN]."""
STEP = 1e-3
"""Distance between the points of evaluation."""
BESIDE = 1e-9
"""Distance from 0 at which one-sided derivatives are taken; the error is below all shown digits."""

Function = Callable[[Tensor], Tensor]


class Activation(NamedTuple):
    """A row of Table I.

    Attributes:
        name: As in the table.
        equation: The printed equation.
        range: Its printed range.
        derivation: The printed derivative.
        derivation_range: Its printed range.
        used: The function that networks use.
        printed: The printed equation, as code.
        printed_derivative: The printed derivative, as code.
    """

    name: str
    equation: str
    range: str
    derivation: str
    derivation_range: str
    used: Function
    printed: Function
    printed_derivative: Function


class Check(NamedTuple):
    """A row of Table I checked in float64 on [-20, 20] in steps of 0.001.

    Attributes:
        activation: The row's name.
        equation_error: Largest difference between the printed equation and the function.
        error_below: Largest difference between the printed derivative and autograd's, for x < 0.
        error_above: The same for x > 0.
        difference_error: Largest difference between central differences and autograd's derivative.
        minimum: Smallest value of the function.
        minimum_at: Its position.
        maximum: Largest value of the function.
        derivative_minimum: Smallest value of the derivative.
        derivative_maximum: Largest value of the derivative.
        left: The derivative at 0 from the left.
        right: The derivative at 0 from the right.
        printed_left: The printed derivative at 0 from the left, by the branch for x < 0.
    """

    activation: str
    equation_error: float
    error_below: float
    error_above: float
    difference_error: float
    minimum: float
    minimum_at: float
    maximum: float
    derivative_minimum: float
    derivative_maximum: float
    left: float
    right: float
    printed_left: float


def _pieces(below: Function, above: Function) -> Function:
    """Returns a function with one formula for x < 0 and another for x >= 0, as in Table I."""
    return lambda x: torch.where(x < 0, below(x), above(x))


def _printed_psi_slope(alpha: float) -> Function:
    """Returns Table I's derivative of psi for x < 0; with alpha = 1, the one for x >= 0."""
    return lambda x: x.exp() * (x.exp() + alpha * x + 2) / (x.exp() + 1) ** 2


def true_psi_slope(x: Tensor, alpha: float = ALPHA) -> Tensor:
    """Computes the correct derivative of psi for x < 0, written like Table I's."""
    return x.exp() * (alpha * x.exp() + alpha * x + 1 + alpha) / (1 + x.exp()) ** 2


ACTIVATIONS = (
    Activation(
        "Sigmoid",
        "σ(x)",
        "[0, 1]",
        "S(x) (1 − S(x))",
        "[0, 1]",
        torch.sigmoid,
        lambda x: 1 / (1 + (-x).exp()),
        lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x)),
    ),
    Activation(
        "Tanh",
        "2σ(2x) − 1",
        "[−1, 1]",
        "1 − T(x)²",
        "[0, 1]",
        torch.tanh,
        lambda x: 2 * torch.sigmoid(2 * x) - 1,
        lambda x: 1 - torch.tanh(x) ** 2,
    ),
    Activation(
        "ReLU",
        "0 for x < 0; x for x ≥ 0",
        "[0, x]",
        "0 for x < 0; 1 for x ≥ 0",
        "[0, 1]",
        F.relu,
        _pieces(torch.zeros_like, lambda x: x),
        _pieces(torch.zeros_like, torch.ones_like),
    ),
    Activation(
        "ELU",
        "α(eˣ − 1) for x < 0; x for x ≥ 0",
        "[−α(1 − eˣ), x]",
        "E(x) + α for x < 0; 1 for x ≥ 0",
        "[αeˣ, 1]",
        lambda x: F.elu(x, ELU_ALPHA),
        _pieces(lambda x: ELU_ALPHA * (x.exp() - 1), lambda x: x),
        _pieces(lambda x: F.elu(x, ELU_ALPHA) + ELU_ALPHA, torch.ones_like),
    ),
    Activation(
        "Leaky ReLU",
        "αx for x < 0; x for x ≥ 0",
        "[αx, x]",
        "α for x < 0; 1 for x ≥ 0",
        "[α, 1]",
        lambda x: F.leaky_relu(x, ALPHA),
        _pieces(lambda x: ALPHA * x, lambda x: x),
        _pieces(lambda x: torch.full_like(x, ALPHA), torch.ones_like),
    ),
    Activation(
        "RReLU (ψ)",
        "(eˣ + αxeˣ) / (1 + eˣ) for x < 0; (eˣ + xeˣ) / (1 + eˣ) for x ≥ 0",
        "[0, x + 1]",
        "eˣ(eˣ + αx + 2) / (eˣ + 1)² for x < 0; eˣ(eˣ + x + 2) / (eˣ + 1)² for x ≥ 0",
        "[αx, x]",
        lambda x: fused_rrelu(x, ALPHA),
        _pieces(
            lambda x: (x.exp() + ALPHA * x * x.exp()) / (1 + x.exp()),
            lambda x: (x.exp() + x * x.exp()) / (1 + x.exp()),
        ),
        _pieces(_printed_psi_slope(ALPHA), _printed_psi_slope(1.0)),
    ),
)
PSI = ACTIVATIONS[-1]


def grid(low: float = -SPAN, high: float = SPAN) -> Tensor:
    """Returns float64 points from low to high, STEP apart, without 0.

    Functions with a kink at 0 have no derivative there; `Check.left` and `Check.right` give the
    one-sided ones.
    """
    numbers = torch.arange(round(low / STEP), round(high / STEP) + 1, dtype=torch.float64)
    return numbers[numbers != 0] * STEP


def derivative(function: Function, x: Tensor) -> Tensor:
    """Differentiates a function by autograd at every point.

    Args:
        function: An element-wise function.
        x: Points [N] float64.

    Returns:
        The derivatives [N] float64.
    """
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    return slope


def check(activation: Activation) -> Check:
    """Compares a row of Table I with the function and its derivative."""
    x = grid()
    beside = torch.tensor([-BESIDE, BESIDE], dtype=torch.float64)
    values, slopes = activation.used(x), derivative(activation.used, x)
    errors = (activation.printed_derivative(x) - slopes).abs()
    h = 1e-5  # about the cube root of eps, the best step for a central difference
    differences = (activation.used(x + h) - activation.used(x - h)) / (2 * h)
    left, right = derivative(activation.used, beside).tolist()
    return Check(
        activation.name,
        equation_error=float((activation.printed(x) - values).abs().max()),
        error_below=float(errors[x < 0].max()),
        error_above=float(errors[x > 0].max()),
        difference_error=float((differences - slopes).abs().max()),
        minimum=float(values.min()),
        minimum_at=float(x[values.argmin()]),
        maximum=float(values.max()),
        derivative_minimum=float(slopes.min()),
        derivative_maximum=float(slopes.max()),
        left=left,
        right=right,
        printed_left=float(activation.printed_derivative(beside)[0]),
    )


def erratum() -> list[dict[str, Any]]:
    """Compares Table I's statements on psi with computed values.

    Returns:
        Records with the fields "quantity", "printed" (None if the table does not give it) and
        "computed".
    """
    found, x = check(PSI), grid(-SPAN, 0)
    slope = derivative(PSI.used, x)
    zero = torch.zeros(1, dtype=torch.float64)
    errors = PSI.printed_derivative(x) - slope
    # psi changes sign where 1 + alpha x = 0.
    crossing = torch.tensor([-1 / ALPHA], dtype=torch.float64)

    def worst(alpha: float, formula: Function) -> float:
        return float((formula(x) - derivative(lambda y: fused_rrelu(y, alpha), x)).abs().max())

    facts: list[tuple[str, float | None, float]] = [
        ("ψ(0)", float(PSI.printed(zero)), float(PSI.used(zero))),
        ("ψ′ from the left at 0", found.printed_left, found.left),
        ("ψ′ from the right at 0", float(PSI.printed_derivative(zero)), found.right),
        ("smallest value of ψ", 0.0, found.minimum),
        ("x of the smallest value", None, found.minimum_at),
        ("ψ(−1/α), below which it is negative", None, float(PSI.used(crossing))),
        ("smallest value of ψ′", None, found.derivative_minimum),
        ("largest value of ψ′", None, found.derivative_maximum),
        ("largest error of the printed ψ′, x < 0", 0.0, found.error_below),
        ("x of the largest error", None, float(x[errors.abs().argmax()])),
        (
            "largest error of the printed ψ′, x < 0, if α were 1",
            None,
            worst(1, _printed_psi_slope(1)),
        ),
        ("largest error of the printed ψ′, x > 0", 0.0, found.error_above),
        ("largest error of the formula given here, x < 0", None, worst(ALPHA, true_psi_slope)),
    ]
    return [{"quantity": q, "printed": printed, "computed": value} for q, printed, value in facts]


def curves(low: float, high: float, points: int = 401) -> dict[str, NDArray[np.float64]]:
    """Computes the curves of Fig. 3.

    Args:
        low: Start of the curves.
        high: End of the curves.
        points: Number of points, evenly spaced; a derivative at 0 is taken from the right.

    Returns:
        Arrays [points] by name: "x", each activation's name, the name with a prime for its
        derivative, and "printed ψ′".
    """
    x = torch.linspace(low, high, points, dtype=torch.float64)
    drawn = {"x": x.numpy()}
    # ReLU's derivative at 0 is 0 in autograd and 1 in Table I; the shift gives the latter.
    moved = torch.where(x == 0, BESIDE, x)
    for activation in ACTIVATIONS:
        drawn[activation.name] = activation.used(x).numpy()
        drawn[f"{activation.name}′"] = derivative(activation.used, moved).numpy()
    drawn["printed ψ′"] = PSI.printed_derivative(x).numpy()
    return drawn
