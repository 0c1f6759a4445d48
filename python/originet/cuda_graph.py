"""A training step as a CUDA graph: recorded once, launched in one call from then on.

A small network's step is a hundred kernels of a few microseconds, and launching each of them from
Python takes longer than running it. A graph has them launched by the driver.
"""

from collections import Counter
from collections.abc import Callable

import torch

from originet.errors import InputError

_EAGER_RUNS = 3
"""Runs before a step is recorded, in which libraries and the optimiser allocate what they keep."""


class GraphedStep:
    """Calls a step, and after some calls replays a recording of it, on torch's current stream.

    The recording is made without executing anything, so each call is one step, whichever way.
    """

    def __init__(self, step: Callable[[int], None]) -> None:
        """Takes the step.

        Args:
            step: Called with the number of images; reads and writes tensors at fixed addresses
                only, and never waits for the device.
        """
        self._step = step
        self._runs: Counter[int] = Counter()
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, size: int) -> None:
        """Does one step.

        Args:
            size: Number of images; each has a graph of its own.

        Raises:
            InputError: If the step cannot be recorded.
        """
        if size not in self._graphs and self._runs[size] >= _EAGER_RUNS:
            self._graphs[size] = self._record(size)
        if size in self._graphs:
            self._graphs[size].replay()
        else:
            self._step(size)
            self._runs[size] += 1

    def _record(self, size: int) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self._step(size)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"the network's training step cannot be a CUDA graph ({reason}): turn graphs off"
            ) from error
        return graph
