"""Table I: what is computed of the paper's formulas, against closed forms."""

import math

import numpy as np
import pytest
import torch

from originet.paper.reproduce import activations
from originet.paper.reproduce.activations import ACTIVATIONS, ALPHA, PSI

CHECKS = {check.activation: check for check in map(activations.check, ACTIVATIONS)}
FACTS = {record["quantity"]: record for record in activations.erratum()}


def lambert_w(z):
    """The principal branch of w exp(w) = z, by Newton's method."""
    w = z
    for _ in range(20):
        w -= (w * math.exp(w) - z) / (math.exp(w) * (w + 1))
    return w


def test_all_printed_equations_are_the_functions():
    assert [check.equation_error < 1e-14 for check in CHECKS.values()] == [True] * 6


def test_only_psis_derivative_is_printed_wrong_and_only_below_zero():
    wrong = {name for name, c in CHECKS.items() if max(c.error_below, c.error_above) > 1e-12}
    assert wrong == {PSI.name}
    assert CHECKS[PSI.name].error_above < 1e-14
    # printed - true = (1 - alpha) sigmoid(x), which is largest next to 0
    step = activations.STEP
    expected = (1 - ALPHA) / (1 + math.exp(step))
    assert CHECKS[PSI.name].error_below == pytest.approx(expected, rel=1e-12)
    assert FACTS["x of the largest error"]["computed"] == pytest.approx(-step)


def test_central_differences_agree_with_autograd():
    assert max(check.difference_error for check in CHECKS.values()) < 1e-9


def test_psi_has_the_minimum_of_its_closed_form():
    # psi' = 0 where alpha e^x + alpha x + 1 + alpha = 0: y e^y = 1 / e^(1 + 1/alpha), y = e^x
    at = -(1 + 1 / ALPHA) - lambert_w(math.exp(-(1 + 1 / ALPHA)))
    lowest = (1 + ALPHA * at) / (1 + math.exp(-at))
    check = CHECKS[PSI.name]
    assert lowest < 0 and FACTS["smallest value of ψ"]["printed"] == 0
    assert check.minimum == pytest.approx(lowest, rel=1e-6)
    assert check.minimum_at == pytest.approx(at, abs=activations.STEP)


def test_psi_at_zero_and_its_kink():
    check = CHECKS[PSI.name]
    assert FACTS["ψ(0)"] == {"quantity": "ψ(0)", "printed": 0.5, "computed": 0.5}
    # left: s (alpha + (1 - s)) with s = 1/2; right: s (1 + (1 - s))
    assert check.left == pytest.approx(0.5 * (ALPHA + 0.5), abs=1e-8)
    assert check.right == pytest.approx(0.75, abs=1e-8)
    assert check.printed_left == pytest.approx(0.75, abs=1e-8)


def test_the_other_facts_of_the_erratum():
    def computed(name):
        return FACTS[name]["computed"]

    assert abs(computed("ψ(−1/α), below which it is negative")) < 1e-15
    assert computed("largest error of the printed ψ′, x < 0, if α were 1") < 1e-14
    assert computed("largest error of the formula given here, x < 0") < 1e-14
    assert computed("smallest value of ψ′") < 0 < 1 < computed("largest value of ψ′") < 1.2


def test_derivatives_of_the_others_have_the_ranges_that_are_known():
    for name, low, high in (
        ("Sigmoid", 0, 0.25),
        ("Tanh", 0, 1),
        ("ReLU", 0, 1),
        ("ELU", 0, 1),
        ("Leaky ReLU", 0.1, 1),
    ):
        check = CHECKS[name]
        found = check.derivative_minimum, check.derivative_maximum
        assert found == pytest.approx((low, high), abs=1e-6)


def test_a_wrong_formula_would_be_seen():
    wrong = PSI._replace(
        printed=lambda x: torch.sigmoid(x),
        printed_derivative=lambda x: torch.where(x < 0, PSI.printed_derivative(x), x),
    )
    check = activations.check(wrong)
    assert check.equation_error > 1 and check.error_above > 1


def test_curves_take_the_right_side_of_the_kink():
    drawn = activations.curves(-1, 1, 3)
    assert drawn["x"].tolist() == [-1, 0, 1]
    assert drawn[f"{PSI.name}′"][1] == pytest.approx(0.75, abs=1e-8)
    assert drawn["ReLU′"].tolist() == [0, 1, 1]
    assert drawn["Leaky ReLU"] == pytest.approx([-0.1, 0, 1])
    e = math.exp(-1)
    assert drawn["printed ψ′"][0] == pytest.approx(e * (e - ALPHA + 2) / (e + 1) ** 2)
    true = activations.true_psi_slope(torch.tensor([-1.0], dtype=torch.float64))
    np.testing.assert_allclose(drawn[f"{PSI.name}′"][0], true.item(), rtol=1e-12)
