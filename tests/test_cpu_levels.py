"""The CPU kernels at every instruction set, not only the one that this processor would choose.

`cpu_kernels.cpp` compares psi with exact values, the bounds are here; `pool_kernels.cpp` compares
the temporal pools. "eps" is 2^-23 and 2^-52.
"""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "build_tools"))
from flags import OPTIMISE, WARNINGS  # noqa: E402

LEVELS = {
    "sse2": ["g++", "-march=x86-64"],
    "avx2": ["g++", "-march=x86-64-v3"],
    "avx512": ["g++", "-march=x86-64-v4"],
    "neon": ["aarch64-linux-gnu-g++", "-static"],
}
Errors = dict[tuple[str, str, str], float]


@pytest.fixture(scope="module", params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    return request.param


def run(name: str, level: str, folder: Path) -> str:
    """What a program of this folder prints, compiled for and run at a level."""
    compiler, *flags = LEVELS[level]
    for program in (compiler, "qemu-aarch64") if level == "neon" else (compiler,):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    binary, source = folder / name, ROOT / "tests" / f"{name}.cpp"
    options = ["-std=c++20", *OPTIMISE, *WARNINGS, "-Werror", "-DORIGINET_NO_MULTIVERSION"]
    subprocess.run(
        [compiler, *options, *flags, f"-I{ROOT / 'csrc'}", source, "-o", binary], check=True
    )
    command = ["qemu-aarch64", binary] if level == "neon" else [binary]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGILL:
        pytest.skip(f"this processor does not have {level}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def errors(level: str, tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """The largest errors of psi by type, function and kind."""
    printed = run("cpu_kernels", level, tmp_path_factory.mktemp(level))
    found = re.findall(r"(\w+) (\w+) (\w+) (\S+) at", printed)
    assert len(found) == 4 * 2 * 3
    return {(dtype, function, kind): float(value) for dtype, function, kind, value in found}


def test_pools_are_right(level: str, tmp_path: Path):
    printed = run("pool_kernels", level, tmp_path)
    assert int(re.fullmatch(r"compared (\d+)\n", printed)[1]) > 500_000


@pytest.mark.parametrize("function", ["forward", "backward"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_16_bit_input_is_within_half_an_eps(errors: Errors, dtype: str, function: str):
    assert errors[dtype, function, "relative"] <= 0.51  # beyond an absolute 2^-24


def test_float32_and_float64_are_within_2_and_3_eps(errors: Errors, level: str):
    if level == "sse2":  # no fused multiply-add: the zero crossings have an absolute bound only
        bounds = {"float32": 1e-11, "float64": 2e-20}
        for (dtype, _, kind), value in errors.items():
            if kind == "absolute" and dtype in bounds:
                assert value <= bounds[dtype]
        return
    assert errors["float32", "forward", "relative"] <= 2.1
    assert errors["float64", "forward", "relative"] <= 1.5
    assert errors["float32", "forward", "ulp"] <= 3.3
    assert errors["float64", "forward", "ulp"] <= 2.6
    assert errors["float32", "backward", "ulp"] <= 4.3
    assert errors["float64", "backward", "ulp"] <= 3.3
    # Above 3 eps only next to the zero crossing near -1 - 1/alpha, where psi' is that small.
    assert errors["float32", "backward", "absolute"] <= 1e-17
    assert errors["float64", "backward", "absolute"] <= 1e-24
