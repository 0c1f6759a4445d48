"""A training step as a CUDA graph: captured once, then launched with a single call.

The step of a small network is a hundred kernels of a few microseconds each. Launching them from
Python takes longer than running them; with a graph, the driver launches them.
"""

from collections import Counter
from collections.abc import Callable

import torch

from originet.system.errors import InputError

_EAGER_RUNS = 3
"""Runs before a step is captured, in which libraries and the optimiser allocate their buffers."""


class StepGraphs:
    """Runs a step on torch's current stream, first eagerly, later by replaying a captured graph.

    Capturing executes nothing, so each call performs exactly one step.
    """

    def __init__(self) -> None:
        """Starts without captured graphs."""
        self._runs: Counter[int] = Counter()
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def run(self, step: Callable[[int], None], size: int) -> None:
        """Performs one step.

        Args:
            step: Called with the number of images. It must be the same function in every call, use
                tensors at fixed addresses only, and never wait for the device.
            size: Number of images; each size has its own graph.

        Raises:
            InputError: If the step cannot be captured.
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
            f"the network's training step cannot be captured as a CUDA graph ({reason}): "
            "turn graphs off with cuda_graph=False or --no-cuda-graph"
        ) from error
    return graph
