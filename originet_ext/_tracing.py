"""Registers the lowerings of the psi ops with Inductor when it first traces one of the ops."""

import functools
import importlib
import sys
import warnings
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode


def register() -> None:
    """Adds a rule for tracing to the ops that have lowerings; Inductor stays unimported."""
    for name in ("rrelu_forward", "rrelu_backward", "rrelu_add_forward", "rrelu_add_backward"):
        torch.library.register_torch_dispatch(f"originet::{name}", ProxyTorchDispatchMode, _trace)


@functools.cache
def why_not_fused() -> str:
    """Registers the lowerings.

    Returns:
        "", or why this torch rejects them. The ops then compile to calls, like any custom op.
    """
    try:
        importlib.import_module("originet_ext._inductor")
    except (ImportError, AttributeError, TypeError) as error:
        reason = f"{type(error).__name__} with torch {torch.__version__}: {error}"
        warnings.warn(f"torch.compile does not fuse originet_ext's ops: {reason}", stacklevel=2)
        return reason
    return ""


def _trace(mode: Any, op: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Traces a call of an op into a graph, as torch does without this rule."""
    if "torch._inductor.lowering" in sys.modules:  # the graph may be for Inductor
        why_not_fused()
    return mode.__torch_dispatch__(op, types, args, kwargs)
