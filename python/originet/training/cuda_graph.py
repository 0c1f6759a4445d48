"""A training step as a CUDA graph: recorded once, launched in one call from then on.

A small network's step is a hundred kernels of a few microseconds, and launching each of them from
Python takes longer than running it. A graph has them launched by the driver.
"""

from collections import Counter
from collections.abc import Callable

import torch

from originet.system.errors import InputError

_EAGER_RUNS = 3
"""Runs before a step is recorded, in which libraries and the optimiser allocate what they keep."""


class StepGraphs:
    """Does a step, and after some times replays a recording of it, on torch's current stream.

    The recording is made without executing anything, so each call is one step, whichever way.
    """

    def __init__(self) -> None:
        """Starts without recordings."""
        self._runs: Counter[int] = Counter()
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def run(self, step: Callable[[int], None], size: int) -> None:
        """Does one step.

        Args:
            step: Called with the number of images; reads and writes tensors at fixed addresses
                only, and never waits for the device. The same one at every call.
            size: Number of images; each has a graph of its own.

        Raises:
            InputError: If the step cannot be recorded.
        """
        if size not in self._graphs and self._runs[size] >= _EAGER_RUNS:
            self._graphs[size] = _record(step, size)
        if size in self._graphs:
            self._graphs[size].replay()
        else:
            step(size)
            self._runs[size] += 1


def _record(step: Callable[[int], None], size: int) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            step(size)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the network's training step cannot be a CUDA graph ({reason}): "
            "turn graphs off, cuda_graph=False or --no-cuda-graph"
        ) from error
    return graph
