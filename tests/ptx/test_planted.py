"""Mistakes planted in copies of the project's kernels: the tests of the kernels must find each.

A mistake changes one text in csrc. Only the file with its kernels is compiled, for one dtype.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import emulator
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.emulated]

CSRC = emulator.ROOT / "csrc"
TESTS = "tests/originet_ext/test_every_kernel.py"
PSI = f"{TESTS}::test_psi_at_every_alignment_and_tail_writes_its_own_elements[cuda-dtype2]"
POOL = f"{TESTS}::test_weighted_sums_of_any_index[cuda]"

# Leaves only float32 of the dispatch of dtypes: a file, what goes, and what comes.
FLOAT_ONLY = [
    (
        "common.h",
        r"AT_FLOATING_TYPES, *\\\n.*BFloat16\)",
        "torch::headeronly::ScalarType::Float)",
    ),
    (
        "frame_pool.h",
        r"switch \(plan\.stored\) \{.*?\n  \}\n",
        "body.template operator()<float, float, float>();\n",
    ),
]


@dataclass(frozen=True)
class Mistake:
    """A change of csrc, the test that must fail, and what it must say."""

    source: str  # with the kernels, without ".cu"
    file: str
    right: str
    wrong: str
    test: str
    message: str


MISTAKES = {
    "no_barrier": Mistake(
        "frame_pool_cuda",
        "frame_pool_cuda.cuh",
        "__syncthreads();\n      const int64_t here",
        "const int64_t here",
        POOL,
        "race: |shared memory that was never written",
    ),
    "tail_off_by_one": Mistake(
        "rrelu_cuda",
        "rrelu_cuda.cu",
        "if (i < n) {",
        "if (i <= n) {",
        PSI,
        "outside of any allocation, store of 4 bytes",
    ),
    "vectors_at_any_alignment": Mistake(
        "rrelu_cuda",
        "rrelu_cuda.cu",
        "load_inputs<scalar_t, kVec>(pointers, in[u], head + v * kVec)",
        "load_inputs<scalar_t, kVec>(pointers, in[u], v * kVec)",
        PSI,
        "misaligned load of 16 bytes at global",
    ),
    "blocks_that_write_the_same": Mistake(
        "rrelu_cuda",
        "rrelu_cuda.cu",
        "if (blockIdx.x == 0) {",
        "if (blockIdx.x <= 1) {",
        PSI,
        "race: (written|read) by another thread",
    ),
    "beyond_a_table_of_parameters": Mistake(
        "frame_pool_cuda",
        "frame_pool_cuda.cuh",
        "few[b]",
        "few[b + kFewClips]",
        POOL,
        "outside of the parameters",
    ),
}


def change(file: Path, right: str, wrong: str) -> None:
    """Replaces a regular expression that matches once."""
    text, count = re.subn(right, lambda _: wrong, file.read_text(), flags=re.DOTALL)
    if count != 1:
        pytest.fail(f"{count} times in csrc/{file.name}, instead of once: {right}")
    file.write_text(text)


def plant(mistake: Mistake, folder: Path, place: Path) -> Path:
    """Builds the kernels with a mistake; returns the library."""
    copy = folder / "csrc"
    shutil.copytree(CSRC, copy)
    for file, *texts in FLOAT_ONLY:
        change(copy / file, *texts)
    change(copy / mistake.file, re.escape(mistake.right), mistake.wrong)
    return emulator.build_changed(copy / f"{mistake.source}.cu", place)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The kernels with each mistake."""
    place = emulator.build()
    folders = [tmp_path_factory.mktemp(name) for name in MISTAKES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = pool.map(plant, MISTAKES.values(), folders, itertools.repeat(place))
        return dict(zip(MISTAKES, built, strict=True))


def run(library: Path, test: str) -> str:
    """What a test prints, on the kernels of a library and under AddressSanitizer."""
    runtimes = [
        subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    added = {"PLANTED": str(library), "LD_PRELOAD": " ".join(runtimes), "PTX_SEED": "1"}
    added |= {"ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": str(Path(__file__).parent)}
    unset = ("PTX_REPORT", "PTX_NO_RACES")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    options = ["-q", "-p", "no:cacheprovider", "-p", "planted", "--capture=sys"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--slow", "--emulate-cuda", test],
        env=kept | added,
        cwd=emulator.ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_kernel_is_found(libraries: dict[str, Path], name: str) -> None:
    printed = run(libraries[name], MISTAKES[name].test)
    assert "1 failed" in printed
    assert re.search(MISTAKES[name].message, printed), printed


def test_a_mistake_whose_text_is_gone_fails(tmp_path: Path) -> None:
    (tmp_path / "kernel.cu").write_text("if (i < n) {\n")
    with pytest.raises(pytest.fail.Exception, match=r"0 times in csrc/kernel.cu, instead of once"):
        change(tmp_path / "kernel.cu", re.escape("if (j < n) {"), "")
