"""psi by name in timm."""

import subprocess
import sys

import pytest
import timm
import torch
from activations import randn
from timm.layers import create_act_layer, get_act_fn, get_act_layer, set_layer_config

from originet_ext import FusedRReLU, fused_rrelu, register_with_timm


@pytest.fixture(autouse=True)
def registered():
    register_with_timm()


@pytest.mark.parametrize("inplace", [False, True])
def test_layer_and_function(inplace):
    x = randn((100,))
    want = fused_rrelu(x)
    assert get_act_layer("fused_rrelu") is FusedRReLU
    layer = create_act_layer("fused_rrelu", inplace=inplace)
    assert layer.inplace == inplace
    for function in (layer, lambda x: get_act_fn("fused_rrelu")(x, inplace=inplace)):
        given = x.clone()
        got = function(given)
        assert torch.equal(got, want) and (got is given) == inplace
    assert create_act_layer("fused_rrelu", alpha=0.5).alpha == 0.5


def test_while_exporting():
    # timm then leaves out its activations with an autograd of their own.
    with set_layer_config(exportable=True):
        assert get_act_layer("fused_rrelu") is FusedRReLU


@pytest.mark.parametrize(
    "name, count",
    [
        ("resnet18", 17),  # the stem and 2 in each of 8 blocks
        ("mobilenetv3_small_050", 19),  # joined with the normalisation; its ReLUs are not asked for
        ("vit_tiny_patch16_224", 12),  # one in each block
    ],
)
def test_create_model(name, count):
    by_name = timm.create_model(name, act_layer="fused_rrelu", num_classes=3).eval()
    assert sum(isinstance(module, FusedRReLU) for module in by_name.modules()) == count
    by_class = timm.create_model(name, act_layer=FusedRReLU, num_classes=3).eval()
    by_class.load_state_dict(by_name.state_dict())
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(by_name(x), by_class(x))


@pytest.mark.slow
def test_timm_is_imported_only_when_asked_for():
    program = """
import sys, originet_ext
assert "timm" not in sys.modules
sys.modules["timm"] = None  # as if it were not installed
try:
    originet_ext.register_with_timm()
except ImportError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "timm" in result.stdout
