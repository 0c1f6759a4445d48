"""How the folds of a run or a study are computed, kept and reported."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from originet.evaluation.executors import Executor, Serial
from originet.evaluation.ray_executor import Ray
from originet.system.device import pick_device

RowProgress = Callable[[str, int, int], None]
"""Called as progress(network's name, done, total), counted in epochs over all folds and seeds; fold
by fold if folds run in other processes."""


@dataclass(frozen=True, init=False)
class Compute:
    """Where folds are computed, by what, whether weights are kept, and who hears of the progress.

    Args:
        device: Where to compute; None takes the GPU if there is one.
        executor: How folds are computed; None means `Serial()`.
        keep_weights: Whether the weights of every fold are written.
        progress: Called as the networks proceed; None means nobody is told.

    Raises:
        InputError: If there is no such device.
    """

    device: torch.device
    executor: Executor
    keep_weights: bool
    progress: RowProgress | None

    def __init__(
        self,
        device: str | torch.device | None = None,
        executor: Executor | None = None,
        keep_weights: bool = True,
        progress: RowProgress | None = None,
    ) -> None:
        executor = Serial() if executor is None else executor
        picked = {"device": executor.pick_device(device), "executor": executor}
        for name, value in (picked | {"keep_weights": keep_weights, "progress": progress}).items():
            object.__setattr__(self, name, value)  # as the dataclass is frozen

    @property
    def here(self) -> torch.device:
        """The device for what this process computes itself.

        Nodes of a Ray cluster may have a GPU that this machine does not have.
        """
        return pick_device() if isinstance(self.executor, Ray) else self.device

    @property
    def identity(self) -> dict[str, Any]:
        """What results depend on besides clips, network and settings, as JSON types.

        Floating-point sums depend on how they are split among threads; kernels depend on the
        version of torch.
        """
        identity = {"device": self.device.type, "torch": torch.__version__}
        threads = {"threads": self.executor.fold_threads()} if self.device.type == "cpu" else {}
        return identity | threads

    def progress_of(self, name: str) -> Callable[[int, int], None] | None:
        """Returns the progress of one network, called as progress(done, total)."""
        return None if self.progress is None else partial(self.progress, name)
