"""These tests need the runtime of this folder. `.ci/fake_gpu` runs them, `pytest` does not."""

import ctypes

if not hasattr(ctypes.CDLL(None), "fake_gpu_counts"):
    collect_ignore_glob = ["*.py"]
