"""How the C++ sources are compiled, by setup.py and by the tests that compile some of them."""

import shlex
import subprocess

WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter"]
# The last two let selects become vector blends, not paths; neither changes a result.
OPTIMISE = ["-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]
# The same, of GCC alone: clang has no such pass, and refuses the flag.
OPTIMISE_GCC = [*OPTIMISE, "-fno-thread-jumps"]


def is_clang(compiler: str) -> bool:
    command = [*shlex.split(compiler), "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "clang" in printed


def optimise(compiler: str) -> list[str]:
    return OPTIMISE if is_clang(compiler) else OPTIMISE_GCC
