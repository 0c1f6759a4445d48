"""How long the source build takes, in processor seconds and by the clock.

    python bench/build_time.py [--archs LIST ...] [--keep DIR]
        [--out bench/results/studies/build.csv]

Builds the extension into temporary folders, once without CUDA kernels and once for each list of
architectures ("default": setup.py's own). `--keep` copies each library to DIR/LIST. A build by pip
adds the copying of files and the wheel. Processor seconds leave out other programs' work, but they
grow with it: programs beside the build share its caches and cores, so `load` says how many ran.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from study_rows import STUDIES, read_rows, write_rows

from originet.system.environment import environment

ROOT = Path(__file__).resolve().parents[1]
RESULT = STUDIES / "build.csv"


@dataclass(frozen=True)
class Row:
    """One build."""

    archs: str
    """Compute capabilities built for; "none" without CUDA kernels."""
    processor_s: int
    wall_s: int
    cores: int
    load: float
    """Programs that ran or waited to run on average during the build's last minute."""
    device_name: str
    commit: str
    date: str


def build(archs: str, keep: Path | None) -> Row:
    """Builds once.

    Args:
        archs: "none", "default" or a list as in TORCH_CUDA_ARCH_LIST.
        keep: Where to put the libraries, in a folder of that name; None: nowhere.

    Raises:
        subprocess.CalledProcessError: The build failed.
    """
    variables = os.environ | {"ORIGINET_CUDA": "0" if archs == "none" else "1"}
    variables.pop("TORCH_CUDA_ARCH_LIST", None)
    for name in ("CMAKE_CXX_COMPILER_LAUNCHER", "CMAKE_CUDA_COMPILER_LAUNCHER"):
        variables.pop(name, None)  # a cache would answer
    if archs not in ("none", "default"):
        variables["TORCH_CUDA_ARCH_LIST"] = archs
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "setup.py", "-q", "build_ext"),
                *("--build-temp", f"{folder}/temp", "--build-lib", f"{folder}/lib"),
            ],
            cwd=ROOT,
            env=variables,
            check=True,
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if keep is not None:
            shutil.copytree(f"{folder}/lib", keep / archs, dirs_exist_ok=True)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    about = environment(torch.device("cpu"))
    return Row(
        archs=archs,
        processor_s=round(processor),
        wall_s=round(wall),
        cores=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 1),
        device_name=about["device_name"],
        commit=about["commit"],
        date=about["date"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archs", nargs="+", default=["none", "9.0", "default"], metavar="LIST")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    for archs in args.archs:
        row = build(archs, args.keep)
        print(row)
        rows = {old.archs: old for old in read_rows(args.out, Row)} | {archs: row}
        write_rows(args.out, rows.values())


if __name__ == "__main__":
    main()
