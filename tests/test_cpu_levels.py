"""The CPU kernels at every instruction set, not only the one that this processor would choose.

`every_float.cpp` compares psi with exact values over all float32 inputs, `cpu_kernels.cpp` over
samples of every type; the bounds are here. `pool_kernels.cpp` compares the temporal pools. "eps" is
2^-23 and 2^-52.
"""

import platform
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
OPTIONS = ["-std=c++20", *OPTIMISE, *WARNINGS, "-Werror", "-DORIGINET_NO_MULTIVERSION"]
OPTIONS += [f"-I{ROOT / 'csrc'}"]
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
    subprocess.run([compiler, *OPTIONS, *flags, source, "-o", binary], check=True)
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


# float32, every input

# The most units in the last place that psi and psi' are off, by alpha and step.
SWEEPS = {
    (0.1, 1): {"sse2": (3.4e15, 1.8e7), "avx2": (6.3e7, 20.6), "avx512": (6.3e7, 20.6)},
}


@pytest.fixture(scope="module")
def every_float(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program and its libraries, one for each level."""
    if platform.machine() != "x86_64":
        pytest.skip("the levels are those of x86-64")
    folder = tmp_path_factory.mktemp("every_float")
    source, program = ROOT / "tests" / "every_float.cpp", folder / "every_float"
    flags = ["-fopenmp", "-march=native"]
    subprocess.run(["g++", *OPTIONS, *flags, source, "-o", program], check=True)
    libraries = {name: folder / f"{name}.so" for name in ("sse2", "avx2", "avx512")}
    for name, library in libraries.items():
        compiler, *flags = LEVELS[name]
        flags += ["-DKERNELS", "-shared", "-fPIC", "-fvisibility=hidden"]
        subprocess.run([compiler, *OPTIONS, *flags, source, "-o", library], check=True)
    return [str(program), *(f"{name}={library}" for name, library in libraries.items())]


@pytest.mark.parametrize(("alpha", "step"), SWEEPS)
def test_every_float32_is_within_its_bound(every_float: list[str], alpha: float, step: int):
    program, *libraries = every_float
    command = [program, str(alpha), str(step), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"(\w+) (forward|backward) (\S+) at", done.stdout)
    assert {name for name, _, _ in found} >= {"sse2"} and len(found) % 2 == 0
    for name, function, units in found:
        bound = SWEEPS[alpha, step][name][function == "backward"]
        assert float(units) <= bound, done.stdout
