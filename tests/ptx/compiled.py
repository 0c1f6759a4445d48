"""Compiles hand-made PTX with the runtime, and launches its kernels on NumPy arrays."""

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ptx_translate import translate

HERE = Path(__file__).parent
HEADER = ".version 9.0\n.target sm_90\n.address_size 64\n"
RUNTIME = ("runtime.cpp", "shadow.cpp", "fiber.cpp")


@dataclass(frozen=True)
class Library:
    """Compiled kernels, in a file."""

    path: Path

    def launch(
        self,
        kernel: str,
        *arguments: np.ndarray,
        block: int | tuple[int, ...] = 32,
        grid: int | tuple[int, ...] = 1,
        shared: int = 0,
        by_value: tuple[int, ...] = (),
    ) -> str:
        """Launches a kernel; returns what went wrong, or "".

        Arrays go as pointers, but those of the numbers `by_value` as they are.
        """
        library = ctypes.CDLL(str(self.path))
        library.ptx_launch.restype = ctypes.c_char_p
        dims = [(ctypes.c_uint32 * 3)(*(*np.atleast_1d(d), 1, 1)[:3]) for d in (grid, block)]
        values = [
            argument if i in by_value else np.array([argument.ctypes.data], np.uint64)
            for i, argument in enumerate(arguments)
        ]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        wrong = library.ptx_launch(kernel.encode(), *dims, pointers, ctypes.c_size_t(shared))
        return wrong.decode()


def compile_ptx(text: str, folder: Path) -> Library:
    """Compiles kernels into a folder; `text` is PTX without its three lines of a header."""
    source, target = folder / "kernels.cpp", folder / "kernels.so"
    source.write_text(translate(HEADER + text))
    options = ["-std=c++20", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-w", "-fPIC"]
    runtime = [HERE / name for name in RUNTIME]
    command = ["g++", *options, f"-I{HERE}", "-shared", source, *runtime, "-o", target]
    subprocess.run(command, check=True)
    return Library(target)
