"""Work that repeats, as CUDA graphs: captured once, then launched with a single call.

The step of a small network is a hundred kernels of a few microseconds each. Launching them from
Python takes longer than running them; with a graph, the driver launches them.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch

from originet.system.errors import InputError, one_line

_EAGER_RUNS = 3
"""Runs before a step is captured, in which libraries and the optimiser allocate their buffers."""


class Graphs:
    """Runs steps on torch's current stream, first eagerly, later by replaying captured graphs.

    Capturing executes nothing, so each call performs exactly one step. All graphs share one pool of
    memory, because they run one after the other and pass each other nothing in it.
    """

    def __init__(self) -> None:
        """Starts without captured graphs."""
        self._runs: Counter[object] = Counter()
        self._graphs: dict[object, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None

    def run(self, step: Callable[[int], None], size: int) -> None:
        """Performs one step.

        Args:
            step: Called with the number of images. It must be the same function in every call, use
                tensors at fixed addresses only, and never wait for the device.
            size: Number of images; each step, by its name, and size has its own graph.

        Raises:
            InputError: If the step cannot be captured. Its message has the first error of the
                capture, where torch would report the last.
        """
        # Not the step itself: as a method it would keep its object, which keeps these graphs.
        key = step.__name__, size
        if key not in self._graphs and self._runs[key] >= _EAGER_RUNS:
            self._graphs[key] = self._record(step, size)
        if key in self._graphs:
            self._graphs[key].replay()
        else:
            step(size)
            self._runs[key] += 1

    def _record(self, step: Callable[[int], None], size: int) -> torch.cuda.CUDAGraph:
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            with _capture(graph, self._pool):
                step(size)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise InputError(
                f"the network's training step cannot be captured as a CUDA graph "
                f"({one_line(error)}): turn graphs off with cuda_graph=False or --no-cuda-graph"
            ) from error
        return graph


@contextlib.contextmanager
def _capture(graph: torch.cuda.CUDAGraph, pool: Any) -> Iterator[None]:
    """Captures what is launched on the current stream.

    Unlike `torch.cuda.graph`, it neither waits for the device nor empties the cache of memory, from
    which the other networks on the device live; and if the capture fails, what was raised first is
    what the caller sees.
    """
    graph.capture_begin(pool=pool)
    try:
        yield
    except BaseException:
        with contextlib.suppress(RuntimeError):  # that the capture failed, which is known
            graph.capture_end()
        raise
    graph.capture_end()
