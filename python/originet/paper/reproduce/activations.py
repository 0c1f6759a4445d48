"""Table I and Fig. 3: activation functions and their derivatives, as printed and as they are.

Every printed formula is held against the function that networks use and against its derivative by
autograd, in float64; central differences are the second witness. Nothing here is typed in but the
paper's own formulas and ranges.

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
"""The paper's constant for psi; it tells none for leaky ReLU, which gets the same."""
ELU_ALPHA = 1.0
"""ELU's usual constant; the paper tells none."""
SPAN = 20.0
"""Functions are looked at on [-SPAN, SPAN]."""
STEP = 1e-3
BESIDE = 1e-9
"""How far from 0 the one-sided derivatives are taken: nearer than any figure that is shown."""

Function = Callable[[Tensor], Tensor]


class Activation(NamedTuple):
    """A row of Table I.

    Attributes:
        name: As in the table.
        equation: The printed equation.
        range: Its printed range.
        derivation: The printed derivative.
        derivation_range: Its printed range.
        used: The function, as networks use it.
        printed: The printed equation, computed.
        printed_derivative: The printed derivative, computed.
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
    """What a row of Table I comes to, computed in float64 on [-20, 20] in steps of 0.001.

    Attributes:
        activation: The row's name.
        equation_error: Largest difference between the printed equation and the function.
        error_below: Of the printed derivative from autograd's, for x < 0.
        error_above: For x > 0.
        difference_error: Of central differences from autograd's derivative.
        minimum: Smallest value of the function.
        minimum_at: Where it is.
        maximum: Largest value.
        derivative_minimum: Smallest value of the derivative.
        derivative_maximum: Largest.
        left: The derivative from the left at 0.
        right: The derivative from the right at 0.
        printed_left: The printed derivative's value there, by the branch for x < 0.
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
    """The function that is one formula for x < 0 and another from 0 on, as Table I writes them."""
    return lambda x: torch.where(x < 0, below(x), above(x))


def _printed_psi_slope(alpha: float) -> Function:
    """Table I's derivative of psi for x < 0; with alpha = 1 that for x >= 0."""
    return lambda x: x.exp() * (x.exp() + alpha * x + 2) / (x.exp() + 1) ** 2


def true_psi_slope(x: Tensor, alpha: float = ALPHA) -> Tensor:
    """The derivative of psi for x < 0, in the form in which Table I should have it."""
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

    There the kinks are, which have no derivative: `Check.left` and `right` tell what is beside it.
    """
    numbers = torch.arange(round(low / STEP), round(high / STEP) + 1, dtype=torch.float64)
    return numbers[numbers != 0] * STEP


def derivative(function: Function, x: Tensor) -> Tensor:
    """Differentiates a function by autograd at every point.

    Args:
        function: Works element by element.
        x: Points [N] float64.

    Returns:
        The derivatives [N] float64.
    """
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    return slope


def check(activation: Activation) -> Check:
    """Holds a row of Table I against the function and its derivative."""
    x = grid()
    beside = torch.tensor([-BESIDE, BESIDE], dtype=torch.float64)
    values, slopes = activation.used(x), derivative(activation.used, x)
    errors = (activation.printed_derivative(x) - slopes).abs()
    h = 1e-5  # of the cube root of eps, at which a central difference is best
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
    """Computes what Table I says of psi and what is so.

    Returns:
        Records with the fields "quantity", "printed" (None where the table says nothing of the
        kind) and "computed".
    """
    told, x = check(PSI), grid(-SPAN, 0)
    slope = derivative(PSI.used, x)
    zero = torch.zeros(1, dtype=torch.float64)
    errors = PSI.printed_derivative(x) - slope
    # Where psi changes its sign: 1 + alpha x = 0.
    crossing = torch.tensor([-1 / ALPHA], dtype=torch.float64)

    def worst(alpha: float, formula: Function) -> float:
        return float((formula(x) - derivative(lambda y: fused_rrelu(y, alpha), x)).abs().max())

    facts: list[tuple[str, float | None, float]] = [
        ("ψ(0)", float(PSI.printed(zero)), float(PSI.used(zero))),
        ("ψ′ from the left at 0", told.printed_left, told.left),
        ("ψ′ from the right at 0", float(PSI.printed_derivative(zero)), told.right),
        ("smallest value of ψ", 0.0, told.minimum),
        ("x of the smallest value", None, told.minimum_at),
        ("ψ(−1/α), below which it is negative", None, float(PSI.used(crossing))),
        ("smallest value of ψ′", None, told.derivative_minimum),
        ("largest value of ψ′", None, told.derivative_maximum),
        ("largest error of the printed ψ′, x < 0", 0.0, told.error_below),
        ("x of the largest error", None, float(x[errors.abs().argmax()])),
        (
            "largest error of the printed ψ′, x < 0, if α were 1",
            None,
            worst(1, _printed_psi_slope(1)),
        ),
        ("largest error of the printed ψ′, x > 0", 0.0, told.error_above),
        ("largest error of the formula given here, x < 0", None, worst(ALPHA, true_psi_slope)),
    ]
    return [{"quantity": q, "printed": printed, "computed": value} for q, printed, value in facts]


def curves(low: float, high: float, points: int = 401) -> dict[str, NDArray[np.float64]]:
    """Computes what Fig. 3 draws.

    Args:
        low: Where the curves begin.
        high: Where they end.
        points: How many points, evenly spaced; at 0 a derivative is the one from the right.

    Returns:
        By name, each [points]: "x", and for each activation its name and the name with a prime,
        for the derivative; for psi also "printed ψ′".
    """
    x = torch.linspace(low, high, points, dtype=torch.float64)
    drawn = {"x": x.numpy()}
    # ReLU's derivative at 0 is 0 for autograd and 1 for Table I, which the shift leads to.
    moved = torch.where(x == 0, BESIDE, x)
    for activation in ACTIVATIONS:
        drawn[activation.name] = activation.used(x).numpy()
        drawn[f"{activation.name}′"] = derivative(activation.used, moved).numpy()
    drawn["printed ψ′"] = PSI.printed_derivative(x).numpy()
    return drawn
