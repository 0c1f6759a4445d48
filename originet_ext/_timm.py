"""psi among the activations that timm knows by name."""

import importlib

from torch import Tensor

from originet_ext.rrelu import FusedRReLU, fused_rrelu, fused_rrelu_


def register_with_timm() -> None:
    """Lets timm's models and layers ask for psi by name: `act_layer="fused_rrelu"`.

    timm has functions that look up an activation by name, but none that adds one, so this function
    writes to the two tables behind them (`timm.layers.create_act`). `act_layer=FusedRReLU`, without
    a name, needs no registration.

    Raises:
        ImportError: timm is not installed.
        AttributeError: this version of timm has different tables.

    Example:
        >>> register_with_timm()
        >>> model = timm.create_model("resnet18", act_layer="fused_rrelu")
    """
    tables = importlib.import_module("timm.layers.create_act")
    tables._ACT_LAYER_DEFAULT["fused_rrelu"] = FusedRReLU
    tables._ACT_FN_DEFAULT["fused_rrelu"] = _function


def _function(x: Tensor, inplace: bool = False) -> Tensor:
    """Computes psi, with the arguments that timm passes to the functions in its table."""
    return fused_rrelu_(x) if inplace else fused_rrelu(x)
