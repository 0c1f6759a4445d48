"""Replaces the activations of a model that somebody else wrote."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from originet_ext._forward import Forward, read_forward
from originet_ext.rrelu import FusedRReLU

# What packages call the activations of torch.nn: lower case, without underscores or "Activation".
_NAMES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.ReLU: ("relu",),
    nn.ReLU6: ("relu6",),
    nn.LeakyReLU: ("leakyrelu",),
    nn.ELU: ("elu",),
    nn.GELU: (
        *("gelu", "gelutanh", "pytorchgelutanh", "quickgelu", "fastgelu", "gelufast"),
        *("newgelu", "gelunew", "accurategelu", "clippedgelu"),
    ),
    nn.SiLU: ("silu", "swish", "swishme"),
    nn.Mish: ("mish", "mishme"),
    nn.Hardswish: ("hardswish", "hardswishme"),
}
_OWN_ATTRIBUTES = frozenset(vars(nn.Module()))  # hooks and the like


class Replaced(int):
    """The number of activations that `replace_activations` replaced.

    Attributes:
        left: What was found but not replaced: the path of each such module ("" for the model
            itself), and what it does.
    """

    left: dict[str, str]

    def __new__(cls, count: int, left: dict[str, str]) -> "Replaced":
        """Makes the number with its attribute."""
        number = super().__new__(cls, count)
        number.left = left
        return number

    def __repr__(self) -> str:
        number = int.__repr__(self)
        return f"{number} (left: {self.left})" if self.left else number

    def __reduce__(self) -> tuple[Any, ...]:
        return Replaced, (int(self), self.left)


def replace_activations(
    model: nn.Module,
    old: type[nn.Module] | tuple[type[nn.Module], ...] | None = None,
    new: Callable[[], nn.Module] = FusedRReLU,
) -> Replaced:
    """Replaces the activations of a model, in place.

    Replaces modules, and functions that a module keeps as an attribute (`layer.activation =
    F.relu`). Clears the flag that makes `nn.TransformerEncoderLayer` compute ReLU or GELU
    regardless. A module that the model uses under several names stays shared. Some activations are
    not replaced: functions that a `forward` calls (`F.relu(x)`), and activations that are chosen by
    a flag (`nn.RNN`), kept in a list, compiled by TorchScript, or have parameters of their own. The
    result names them, as far as they can be found in the source.

    Args:
        model: changed in place; parameters and state_dict keys stay the same.
        old: module types to replace, including subclasses, and the functions of the same names. By
            default ReLU, ReLU6, LeakyReLU, ELU, GELU, SiLU, Mish and Hardswish, of torch.nn or any
            other package: what counts is the name of the class, and approximations of GELU are
            GELU.
        new: called without arguments for each replacement.

    Returns:
        The number of distinct activations that were replaced. It is an int whose attribute `left`
        lists what was not replaced.

    Raises:
        ValueError: the model itself is such an activation, so no module holds it.

    Example:
        >>> replace_activations(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
        1
        >>> replace_activations(nn.RNN(4, 4, nonlinearity="relu")).left
        {'': "nonlinearity = 'relu'"}
    """
    search = _Search(old, new)
    if search.is_activation(model):
        raise ValueError(
            f"replace_activations: the model itself is a {type(model).__name__}; "
            "only activations inside of a model can be replaced"
        )
    search.enter(model, "")
    return Replaced(search.count, {path: "; ".join(what) for path, what in search.left.items()})


class _Search:
    """One walk through a model."""

    def __init__(
        self,
        old: type[nn.Module] | tuple[type[nn.Module], ...] | None,
        new: Callable[[], nn.Module],
    ) -> None:
        self.count = 0
        self.left: dict[str, list[str]] = {}
        self._any_package = old is None
        self._types = tuple(_NAMES) if old is None else old if isinstance(old, tuple) else (old,)
        self._names = {
            name for kind in self._types for name in _NAMES.get(kind, (_plain(kind.__name__),))
        }
        self._new = new
        self._made: dict[nn.Module, nn.Module] = {}
        self._entered: set[nn.Module] = set()
        self._read: dict[type[nn.Module], Forward] = {}

    def is_activation(self, module: nn.Module) -> bool:
        """Whether a module should be replaced, if possible."""
        return isinstance(module, self._types) or (
            self._any_package and _plain(type(module).__name__) in self._names
        )

    def enter(self, module: nn.Module, path: str) -> None:
        """Replaces the activations in a module and its submodules."""
        if module in self._entered:
            return
        self._entered.add(module)
        changed = self._replace_functions(module, path)
        for name, child in list(module._modules.items()):
            below = f"{path}.{name}" if path else name
            if child is None or name in changed:
                continue
            if reason := self._obstacle(module, child):
                self._leave(below, reason)
            elif self.is_activation(child):
                module._modules[name] = self._replacement(child)
                changed.add(name)
            else:
                self.enter(child, below)
        self._mend_transformer(module, changed)
        forward = self._forward(type(module))
        if forward.calls:
            self._leave(path, f"{type(module).__name__} calls {', '.join(forward.calls)}")

    def _replacement(self, child: nn.Module) -> nn.Module:
        if child not in self._made:
            self._made[child] = self._new().train(child.training)
            self.count += 1
        return self._made[child]

    def _obstacle(self, parent: nn.Module, child: nn.Module) -> str:
        """Says why an activation cannot be replaced; "" if it can be, or is not an activation."""
        if isinstance(child, torch.jit.ScriptModule):
            named = _plain(child.original_name) in self._names
            return f"{child.original_name} in TorchScript" if named else ""
        kind = type(child).__name__
        if _plain(kind) not in self._names or isinstance(child, self._types):
            return ""
        if not self._any_package:
            return f"{kind} of {type(child).__module__}"
        if next(child.parameters(), None) is not None or next(child.buffers(), None) is not None:
            return f"{kind} of {type(child).__module__}, which has parameters"
        return ""

    def _replace_functions(self, module: nn.Module, path: str) -> set[str]:
        """Replaces functions kept as attributes, and returns the names of the attributes."""
        if isinstance(module, torch.jit.ScriptModule):
            return set()
        changed = set()
        forward = self._forward(type(module))
        for name, value in list(vars(module).items()):
            if name in _OWN_ATTRIBUTES:
                continue
            if self._is_function(value):
                replacement = self._new().train(module.training)
                more = name in forward.with_arguments
                setattr(module, name, _OfInput(replacement) if more else replacement)
                self.count += 1
                changed.add(name)
            elif reason := self._kept_otherwise(module, name, value, forward):
                self._leave(path, reason)
        return changed

    def _kept_otherwise(self, module: nn.Module, name: str, value: Any, forward: Forward) -> str:
        """Names an activation in an attribute that cannot be replaced; "" if there is none."""
        if isinstance(value, str) and _plain(value) in self._names:
            flag = name in forward.reads or isinstance(module, nn.RNN | nn.RNNCell)
            return f"{name} = {value!r}" if flag else ""
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            held = [each for each in value if self._is_function(each) or self._is_module(each)]
            return f"{name} holds {', '.join(map(_title, held))}" if held else ""
        code = getattr(value, "__code__", None)
        called = sorted(each for each in getattr(code, "co_names", ()) if self._sought(each))
        return f"{name} calls {', '.join(called)}" if called else ""

    def _mend_transformer(self, module: nn.Module, changed: set[str]) -> None:
        """Keeps torch's Transformer layers from computing their former activation."""
        if isinstance(module, nn.TransformerEncoderLayer) and "activation" in changed:
            module.activation_relu_or_gelu = 0  # else one kernel computes everything in evaluation
        elif isinstance(module, nn.TransformerDecoderLayer) and "activation" in changed:
            # After copying or unpickling it uses F.relu, unless `activation` is in its __dict__.
            vars(module)["activation"] = module.activation
        elif isinstance(module, nn.TransformerEncoder) and any(
            getattr(layer, "activation_relu_or_gelu", 1) == 0 for layer in module.layers
        ):
            module.use_nested_tensor = False  # only that kernel needs such tensors

    def _forward(self, kind: type[nn.Module]) -> Forward:
        if kind not in self._read:
            self._read[kind] = read_forward(kind, self._sought)
        return self._read[kind]

    def _is_module(self, value: object) -> bool:
        return isinstance(value, nn.Module) and self.is_activation(value)

    def _is_function(self, value: object) -> bool:
        while isinstance(value, functools.partial):
            value = value.func
        function = callable(value) and not isinstance(value, nn.Module | type)
        return function and self._sought(getattr(value, "__name__", ""))

    def _sought(self, name: str) -> bool:
        return _plain(name) in self._names

    def _leave(self, path: str, reason: str) -> None:
        self.left.setdefault(path, []).append(reason)


class _OfInput(nn.Module):
    """An activation that replaces a function called with more arguments, such as `inplace`."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor, *_: object, **__: object) -> Tensor:
        return self.activation(x)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("activation")


def _title(value: Any) -> str:
    return str(getattr(value, "__name__", type(value).__name__))
