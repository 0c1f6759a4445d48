"""The CPU kernels at every instruction set, not only the one that this processor would choose.

`every_float.cpp` compares psi with exact values over all float32 inputs, `cpu_kernels.cpp` over
samples of every type; the bounds are here. `pool_kernels.cpp` compares the temporal pools and
`hybrid_conv_loops.cpp` the convolutions. "eps" is 2^-23 and 2^-52.
"""

import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "build_tools"))
from flags import OPTIMISE_GCC, WARNINGS, optimise  # noqa: E402

LEVELS = {
    "sse2": ["g++", "-march=x86-64"],
    "avx2": ["g++", "-march=x86-64-v3"],
    "avx512": ["g++", "-march=x86-64-v4"],
    "neon": ["aarch64-linux-gnu-g++", "-static"],
    "clang": ["clang++", "-march=x86-64-v3"],
}
COMMON = ["-std=c++20", *WARNINGS, "-Werror", "-DORIGINET_NO_MULTIVERSION"]
COMMON += [f"-I{ROOT / 'csrc'}"]
OPTIONS = [*COMMON, *OPTIMISE_GCC]
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
    binary, source = folder / name, ROOT / "tests" / "originet_ext" / f"{name}.cpp"
    options = [*COMMON, *optimise(compiler)]
    subprocess.run([compiler, *options, *flags, source, "-o", binary], check=True)
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


@pytest.mark.slow
def test_pools_are_right(level: str, tmp_path: Path):
    printed = run("pool_kernels", level, tmp_path)
    assert int(re.fullmatch(r"compared (\d+)\n", printed)[1]) > 500_000


@pytest.mark.slow
def test_winograd_convolutions_are_right(level: str, tmp_path: Path):
    errors = [float(error) for error in run("hybrid_conv_loops", level, tmp_path).split()]
    assert len(errors) == 3
    assert all(0 < error < 2e-6 for error in errors)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["forward", "backward"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_16_bit_input_is_within_half_an_eps(errors: Errors, dtype: str, function: str):
    assert errors[dtype, function, "relative"] <= 0.51  # beyond an absolute 2^-24


@pytest.mark.slow
def test_sampled_float32_and_float64_are_within_their_bounds(errors: Errors, level: str):
    if level == "sse2":  # no fused multiply-add: the zero crossings have an absolute bound only
        bounds = {"float32": 1e-11, "float64": 2e-20}
        for (dtype, _, kind), value in errors.items():
            if kind == "absolute" and dtype in bounds:
                assert value <= bounds[dtype]
        return
    assert errors["float32", "forward", "relative"] <= 1.2
    assert errors["float64", "forward", "relative"] <= 1.1
    assert errors["float32", "forward", "ulp"] <= 1.82
    assert errors["float64", "forward", "ulp"] <= 1.5
    assert errors["float32", "backward", "ulp"] <= 4.3  # next to the zero crossing, else 1.8
    assert errors["float64", "backward", "ulp"] <= 1.5
    # Above 3 eps only next to the zero crossing near -1 - 1/alpha, where psi' is that small.
    assert errors["float32", "backward", "absolute"] <= 1e-17
    assert errors["float64", "backward", "absolute"] <= 1e-24


# float32, every input

# The most units in the last place that psi and psi' are off for alpha = 0.1, by level: next to
# their zero crossings, and for all other inputs. One value is lost, psi(-10) = -2.5e-21: it is what
# rounding 0.1 to a double leaves of 1 - 10 alpha, and two floats hold less of alpha than a double.
FUSED = {
    ("forward", "elsewhere"): 1.82,
    ("forward", "crossing"): 6.3e7,
    ("backward", "elsewhere"): 1.80,
    ("backward", "crossing"): 26.6,
}
UNITS = {
    "sse2": {  # no fused multiply-add: large wherever the sums cancel
        ("forward", "elsewhere"): 2.4e4,
        ("forward", "crossing"): 3.4e15,
        ("backward", "elsewhere"): 1.8e4,
        ("backward", "crossing"): 6.5e6,
    },
    "avx2": FUSED,
    "avx512": FUSED,
}


@pytest.fixture(scope="module")
def every_float(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program and its libraries, one for each level."""
    if platform.machine() != "x86_64":
        pytest.skip("the levels are those of x86-64")
    folder = tmp_path_factory.mktemp("every_float")
    source, program = ROOT / "tests" / "originet_ext" / "every_float.cpp", folder / "every_float"
    flags = ["-fopenmp", "-march=native"]
    subprocess.run(["g++", *OPTIONS, *flags, source, "-o", program], check=True)
    libraries = {name: folder / f"{name}.so" for name in ("sse2", "avx2", "avx512")}
    for name, library in libraries.items():
        compiler, *flags = LEVELS[name]
        flags += ["-DKERNELS", "-shared", "-fPIC", "-fvisibility=hidden"]
        subprocess.run([compiler, *OPTIONS, *flags, source, "-o", library], check=True)
    return [str(program), *(f"{name}={library}" for name, library in libraries.items())]


def units_off(every_float: list[str], alpha: float, step: int) -> Errors:
    program, *libraries = every_float
    command = [program, str(alpha), str(step), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found = re.findall(r"(\w+) (\w+) (\w+) (\S+) at", done.stdout)
    return {(level, function, place): float(units) for level, function, place, units in found}


@pytest.mark.slow
def test_every_float32_is_within_its_bound(every_float: list[str]):
    found = units_off(every_float, 0.1, 1)
    assert ("sse2", "forward", "elsewhere") in found
    for (level, function, place), units in found.items():
        assert units <= UNITS[level][function, place], (level, function, place)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.25, 1.0, 3.0, -0.5, 1e4])
def test_float32_is_within_2_units_for_other_alphas(every_float: list[str], alpha: float):
    found = units_off(every_float, alpha, 1009)
    for (level, function, _), units in found.items():
        if level != "sse2" and function == "forward":
            assert units <= 2
