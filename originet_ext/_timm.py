"""psi among the activations that timm knows by name."""

import importlib

from torch import Tensor

from originet_ext.rrelu import FusedRReLU, fused_rrelu, fused_rrelu_


def register_with_timm() -> None:
    """Lets timm's models and layers ask for psi by name: `act_layer="fused_rrelu"`.

    timm has functions that look an activation up by name, but none that adds one, so this writes
    into the two tables behind them (`timm.layers.create_act`). Without a name,
    `act_layer=FusedRReLU` needs no registration.

    Raises:
        ImportError: timm is not installed.
        AttributeError: this timm has other tables.

    Example:
        >>> register_with_timm()
        >>> model = timm.create_model("resnet18", act_layer="fused_rrelu")
    """
    tables = importlib.import_module("timm.layers.create_act")
    tables._ACT_LAYER_DEFAULT["fused_rrelu"] = FusedRReLU
    tables._ACT_FN_DEFAULT["fused_rrelu"] = _function


def _function(x: Tensor, inplace: bool = False) -> Tensor:
    """Computes psi, with the arguments that timm gives to the functions in its table."""
    return fused_rrelu_(x) if inplace else fused_rrelu(x)
