"""Plugin of pytest: the kernels of the library $PLANTED take the place of emulated ones."""

import ctypes
import os


def pytest_collection_finish() -> None:
    from originet_ext import _library

    # Its runtime, where the library registers its kernels.
    ctypes.CDLL(str(_library.LIBRARY), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(os.environ["PLANTED"])
