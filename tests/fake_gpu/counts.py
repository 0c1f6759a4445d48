"""What the CUDA runtime without a device counts."""

import ctypes
from collections.abc import Callable

_NAMES = (
    "kernels",
    "torch_ops",
    "graph_launches",
    "captures",
    "allocations",
    "frees",
    "synchronisations",
    "to_device",
    "to_host",
    "on_device",
    "pageable",
)


class _Counts(ctypes.Structure):  # `Counts` in runtime/state.h
    _fields_ = [(name, ctypes.c_int64) for name in _NAMES]


# Among the libraries of this process, as it is preloaded.
runtime = ctypes.CDLL(None)


def counted(work: Callable[[], object]) -> dict[str, int]:
    """Calls a function; returns what it made the runtime do, without what it did not do at all."""
    before, after = _Counts(), _Counts()
    runtime.fake_gpu_counts(ctypes.byref(before))
    work()
    runtime.fake_gpu_counts(ctypes.byref(after))
    differences = {name: getattr(after, name) - getattr(before, name) for name in _NAMES}
    return {name: count for name, count in differences.items() if count}
