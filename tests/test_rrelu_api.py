"""The module's arguments, and what bad arguments are answered with."""

import math
import pickle

import pytest
import torch

import originet_ext
from originet_ext import FusedRReLU, fused_rrelu, reference


def test_module_shows_and_uses_alpha(device):
    x = torch.randn(9, device=device)
    for module in (FusedRReLU(0.2), FusedRReLU(0.2, inplace=True)):
        want = fused_rrelu(x, 0.2)
        torch.testing.assert_close(module(x.clone()), want, rtol=0, atol=0)
        other = pickle.loads(pickle.dumps(module))
        assert repr(other) == repr(module)
        torch.testing.assert_close(other(x.clone()), want, rtol=0, atol=0)
    assert repr(FusedRReLU()) == "FusedRReLU(alpha=0.1)"
    assert repr(FusedRReLU(0.2, inplace=True)) == "FusedRReLU(alpha=0.2, inplace=True)"


# Errors


@pytest.mark.parametrize("module", [originet_ext, reference])
@pytest.mark.parametrize("name", ["fused_rrelu", "fused_rrelu_"])
def test_bad_arguments_are_named(module, name):
    function = getattr(module, name)
    with pytest.raises(TypeError, match=r"x must be float16.* got torch.int64"):
        function(torch.arange(3))
    with pytest.raises(TypeError, match=r"got torch\.complex64"):
        function(torch.zeros(3, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"must be a torch.Tensor, got float"):
        function(1.0)
    for alpha in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"alpha must be finite, got {alpha}"):
            function(torch.zeros(3), alpha)


@pytest.mark.parametrize("module", [originet_ext, reference])
def test_add_names_what_differs(module):
    add = module.fused_rrelu_add
    with pytest.raises(ValueError, match=r"same shape, got \[3\] and \[1\]"):
        add(torch.zeros(3), torch.zeros(1))
    with pytest.raises(TypeError, match=r"same dtype, got torch.float32 and torch.float64"):
        add(torch.zeros(3), torch.zeros(3).double())
    with pytest.raises(ValueError, match="same device, got cpu and meta"):
        add(torch.zeros(3), torch.zeros(3, device="meta"))
    with pytest.raises(ValueError, match="alpha must be finite, got nan"):
        add(torch.zeros(3), torch.zeros(3), math.nan)


def test_module_refuses_nan_alpha():
    with pytest.raises(ValueError, match="FusedRReLU: alpha must be finite, got nan"):
        FusedRReLU(math.nan)


def test_ops_called_directly_check_their_arguments():
    ops = torch.ops.originet
    with pytest.raises(RuntimeError, match=r"grad must have the shape of x, \[3\], got \[2\]"):
        ops.rrelu_backward(torch.zeros(2), torch.zeros(3), 0.1)
    with pytest.raises(RuntimeError, match="grad must have the dtype of x, Float, got Double"):
        ops.rrelu_backward(torch.zeros(3).double(), torch.zeros(3), 0.1)
    with pytest.raises(RuntimeError, match="not implemented for 'Long'"):
        ops.rrelu_forward(torch.arange(3), 0.1)
