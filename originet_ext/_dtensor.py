"""The psi ops on `torch.distributed.tensor.DTensor`: each rank computes its own shard."""

import sys
from typing import Any

from originet_ext._library import ops

_registered = False


def register() -> None:
    """Registers how the psi ops may be sharded, if DTensor has been imported.

    Importing it from here would slow down startup for everybody who does not use it.
    """
    global _registered
    if _registered or "torch.distributed.tensor" not in sys.modules:
        return
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.experimental import register_sharding

    def placements(x: Any, *more: Any) -> list[tuple[list[Any], list[Any]]]:
        """All tensors alike, along any dimension. No partial sums, because psi is not linear."""
        tensors = 1 + sum(not isinstance(each, float) for each in more)
        results = 2 if tensors == 3 else 1  # only the gradients of a sum take three
        kinds = [Replicate(), *map(Shard, range(x.ndim))]
        return [([kind] * results, [kind] * tensors + [None]) for kind in kinds]

    register_sharding(
        [
            ops.rrelu_forward.default,
            ops.rrelu_forward_.default,
            ops.rrelu_backward.default,
            ops.rrelu_add_forward.default,
            ops.rrelu_add_backward.default,
        ]
    )(placements)
    _registered = True
