"""Reads the CUDA kernels' machine code (SASS) from the compiled library. No GPU is needed.

The two programs come from PyPI (`nvidia-cuda-cuobjdump`, `nvidia-cuda-nvdisasm`) or from the CUDA
toolkit.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# Bytes that a load or store moves a thread, by the suffix of its instruction; 4 without one.
_WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}

_TYPES = {
    "unsigned char": "uint8",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "float": "float32",
    "double": "float64",
    "int": "int32",
    "long": "int64",
}


def tool(package: str, name: str) -> Path | None:
    """Finds a program inside an installed package of NVIDIA's, or else in the CUDA toolkit.

    Args:
        package: The package's name on PyPI.
        name: The program's.

    Returns:
        Its path; None if it is nowhere.
    """
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    paths = [Path(str(file.locate())) for file in files if file.name == name]
    found = shutil.which(name)
    return next(filter(Path.is_file, paths), Path(found) if found else None)


CUOBJDUMP = tool("nvidia-cuda-cuobjdump", "cuobjdump")
NVDISASM = tool("nvidia-cuda-nvdisasm", "nvdisasm")


@dataclass(frozen=True)
class Loop:
    """A loop of a kernel."""

    start: int
    """Address of its first instruction."""
    end: int
    """Address of the jump back."""
    body: tuple[str, ...]
    """Its instructions, without predicates."""

    def count(self, pattern: str) -> int:
        """Counts the instructions whose name matches a regular expression from its start on."""
        return sum(bool(re.match(pattern, each)) for each in self.body)

    def bytes_moved(self, name: str, *, widest: bool = False) -> int:
        """Adds up the bytes that a thread moves.

        Args:
            name: Of the instructions: `LDG` loads from global memory, `STG` stores.
            widest: Count only the widest of them.
        """
        widths = [_width(each) for each in self.body if each.startswith(f"{name}.")]
        return sum(each for each in widths if not widest or each == max(widths))


@dataclass(frozen=True)
class Kernel:
    """One kernel of the library."""

    name: str
    """Its mangled name."""
    code: str
    """Its disassembly."""
    registers: int
    """Registers of a thread."""
    shared_bytes: int
    """Static shared memory of a block."""

    @property
    def short_name(self) -> str:
        """Its name and template arguments, as in `finish_pool_kernel<int32, float32>`."""
        return _short(demangled(self.name))

    @cached_property
    def instructions(self) -> tuple[tuple[int, str], ...]:
        """Addresses and instructions, without predicates."""
        found = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?(\S.*?)\s*;", self.code)
        return tuple((int(address, 16), text) for address, text in found)

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Its loops: jumps back and what they jump over."""
        found = []
        for end, text in self.instructions:
            jump = re.match(r"BRA\b.*?0x([0-9a-f]+)", text)
            if jump and (start := int(jump[1], 16)) < end:
                body = tuple(each for at, each in self.instructions if start <= at <= end)
                found.append(Loop(start, end, body))
        return tuple(found)

    @property
    def innermost(self) -> tuple[Loop, ...]:
        """Its loops that contain no other loop."""
        return tuple(
            loop
            for loop in self.loops
            if not any(loop.start <= o.start and o.end < loop.end for o in self.loops)
        )


def read_kernels(library: str | Path, architecture: str = "sm_90") -> dict[str, Kernel]:
    """Disassembles a library.

    Args:
        library: The compiled extension.
        architecture: As in `sm_90`; the library must hold its machine code.

    Returns:
        The kernels by mangled name; none if the library holds no code for the architecture.

    Raises:
        RuntimeError: If cuobjdump or nvdisasm is not installed.
    """
    code = _printed("-sass", library, architecture)
    usage = _printed("-res-usage", library, architecture)
    resources = {
        name: (int(registers), int(shared))
        for name, registers, shared in re.findall(
            r"Function (\S+):\s+REG:(\d+)\b.*?\bSHARED:(\d+)", usage
        )
    }
    parts = re.split(r"^\s*Function : (\S+)$", code, flags=re.MULTILINE)[1:]
    return {
        name: Kernel(name, text, *resources[name])
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def demangled(name: str) -> str:
    """Returns the C++ name of a mangled one, by c++filt."""
    return subprocess.check_output(["c++filt", name], text=True).strip()


def _printed(option: str, library: str | Path, architecture: str) -> str:
    if CUOBJDUMP is None or NVDISASM is None:
        raise RuntimeError("cuobjdump and nvdisasm are needed: nvidia-cuda-{cuobjdump,nvdisasm}")
    done = subprocess.run(
        [CUOBJDUMP, option, "-arch", architecture, library],
        env=os.environ | {"PATH": f"{NVDISASM.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def _width(instruction: str) -> int:
    suffixes = instruction.split()[0].split(".")[1:]
    return next((_WIDTHS[each] for each in suffixes if each in _WIDTHS), 4)


def _short(name: str) -> str:
    """Cuts namespaces and parameters off a kernel's name, and names types as torch does."""
    match = re.search(r"\w+_kernel<.*>(?=\()", re.sub(r"\(anonymous namespace\)::|\w+::", "", name))
    if match is None:
        return name
    short = match[0].replace("> >", ">>")
    for ours, theirs in _TYPES.items():
        short = re.sub(rf"\b{ours}\b", theirs, short)
    return short
