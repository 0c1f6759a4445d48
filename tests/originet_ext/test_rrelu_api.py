"""The module's arguments, and what bad arguments are answered with."""

import math
import pickle
from typing import ClassVar

import pytest
import torch
import torch.fx.experimental.optimization
from activations import PSI
from torch import nn

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


# __torch_function__: tracers, subclasses and modes


class Recording(torch.Tensor):
    """Notes which functions it is given to."""

    seen: ClassVar[list] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


FRAMES = torch.rand(6, 2, 3)
CALLS = {
    "fused_rrelu": lambda x: fused_rrelu(x, 0.2),
    "fused_rrelu_": lambda x: originet_ext.fused_rrelu_(x.clone(), 0.2),
    "fused_rrelu_add": lambda x: originet_ext.fused_rrelu_add(x, x, 0.2),
    "fused_rrelu_add_norm": lambda x: originet_ext.fused_rrelu_add_norm(
        x, x, None, None, training=True, eps=1e-3
    ),
    "active_image": lambda x: originet_ext.active_image(x, method="rank"),
    "sliding_active_images": lambda x: originet_ext.sliding_active_images(x, 3, method="rank"),
    "temporal_pool": lambda x: originet_ext.temporal_pool(x, torch.arange(6.0)),
}


@pytest.mark.parametrize("name", CALLS)
def test_tracers_and_subclasses_see_the_function(name, monkeypatch):
    function, call = getattr(originet_ext, name), CALLS[name]
    want = call(FRAMES)
    # As torch's own functions: one node of a graph ...
    graph = torch.fx.symbolic_trace(call)
    assert function in [node.target for node in graph.graph.nodes]
    torch.testing.assert_close(graph(FRAMES), want, rtol=0, atol=0)
    # ... and one call that a subclass sees, whose result is of its kind.
    monkeypatch.setattr(Recording, "seen", [])
    got = call(FRAMES.as_subclass(Recording))
    assert type(got) is Recording and function in Recording.seen
    torch.testing.assert_close(got.as_subclass(torch.Tensor), want, rtol=0, atol=0)


def test_lists_of_clips_are_given_to_their_subclass(monkeypatch):
    monkeypatch.setattr(Recording, "seen", [])
    clips = [FRAMES.as_subclass(Recording), FRAMES[:4]]
    got = originet_ext.active_image(clips)
    assert type(got) is Recording and Recording.seen[0] is originet_ext.active_image


def test_networks_can_be_traced_and_fused():
    """What torchvision's and timm's feature extraction and conv-bn fusing begin with."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), FusedRReLU()).eval()
    x = torch.randn(2, 3, 8, 8)
    traced = torch.fx.symbolic_trace(network)
    torch.testing.assert_close(traced(x), network(x))
    fused = torch.fx.experimental.optimization.fuse(network)
    assert not [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(fused(x), network(x), rtol=1e-4, atol=1e-5)


# Errors


def test_inference_tensors_are_changed_in_inference_mode_alone(activation):
    with torch.inference_mode():
        x = torch.randn(3)
        want = activation.function(x)
        torch.testing.assert_close(activation.in_place(x.clone()), want)
    before = x.clone()
    with pytest.raises(RuntimeError, match="clone"):
        activation.in_place(x)
    if activation is PSI:  # F.silu raises when it has written already
        torch.testing.assert_close(x, before, rtol=0, atol=0)


@pytest.mark.parametrize("module", [originet_ext, reference])
@pytest.mark.parametrize("name", ["fused_rrelu", "fused_rrelu_", "fused_rrelu_add"])
def test_a_tensor_as_alpha_is_refused(module, name):
    x = [torch.zeros(3)] * (2 if name.endswith("add") else 1)
    for alpha in (torch.tensor(0.1), nn.Parameter(torch.tensor(0.1))):
        with pytest.raises(TypeError, match=r"alpha must be a number, got (Tensor|Parameter)"):
            getattr(module, name)(*x, alpha)


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
    with pytest.raises(RuntimeError, match=r"x must be float16, .* or float64, got Long"):
        ops.rrelu_forward(torch.arange(3), 0.1)
