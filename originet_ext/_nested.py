"""psi of nested tensors of both layouts, part by part."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def on_parts(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Applies an element-wise function to nested tensors of one shape.

    Args:
        function: takes as many tensors as are given, and returns one like them.
        tensors: nested, all with the layout and shape of the first.

    Raises:
        ValueError: a tensor is not nested, or has another layout or shape.
    """
    first = tensors[0]
    if any(not t.is_nested or t.layout != first.layout for t in tensors):
        raise ValueError("a nested tensor needs other nested tensors of its layout")
    if first.layout == torch.jagged:
        if any(t.shape != first.shape for t in tensors):
            raise ValueError(
                "nested tensors must have the same shape, got "
                + " and ".join(str(list(t.shape)) for t in tensors)
            )
        like: Any = first  # torch passes the same private attributes to the result of F.silu
        return torch.nested.nested_tensor_from_jagged(
            function(*(t.values() for t in tensors)),
            like.offsets(),
            like.lengths(),
            jagged_dim=like._ragged_idx,
            min_seqlen=like._maybe_min_seqlen,
            max_seqlen=like._maybe_max_seqlen,
        )
    counts = [t.size(0) for t in tensors]
    if len(set(counts)) > 1:
        raise ValueError(
            f"nested tensors must have the same number of parts, got "
            f"{' and '.join(map(str, counts))}"
        )
    parts = [function(*part) for part in zip(*(t.unbind() for t in tensors), strict=True)]
    return torch.nested.as_nested_tensor(parts) if parts else first.clone()
