"""How long the source build takes, in processor seconds and by the clock.

    python bench/build_time.py [--archs LIST ...] [--keep DIR]
        [--out bench/results/studies/build.csv]
    python bench/build_time.py --draw   # the table in docs, from the CSV
    python bench/build_time.py --check  # exit code 1 if the table is not what the CSV gives

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
from study_rows import STUDIES, put_table, read_rows, write_rows

from originet.system.environment import environment

ROOT = Path(__file__).resolve().parents[1]
RESULT = STUDIES / "build.csv"
DOCS = ROOT / "docs" / "installing.md"
NAMES = {"none": "without CUDA kernels", "default": "the default ones"}


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


def table_of(rows: list[Row]) -> str:
    """Writes the times as a table, in Markdown."""
    lines = ["| architectures | by the clock | of a processor |", "| --- | ---: | ---: |"]
    for row in rows:
        name = NAMES.get(row.archs, row.archs)
        lines.append(f"| {name} | {row.wall_s} s | {row.processor_s} s |")
    first = rows[0]
    made = f"{first.cores} cores, {first.device_name}, commit {first.commit}, {first.date}"
    return "\n".join(lines) + f"\n\nWith {made}; pip adds the copying of files and the wheel."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archs", nargs="+", default=["none", "9.0", "default"], metavar="LIST")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.draw or args.check:
        table = table_of(read_rows(RESULT, Row))
        put_table(DOCS, "build", table, check=args.check, command="bench/build_time.py --draw")
        return
    for archs in args.archs:
        row = build(archs, args.keep)
        print(row)
        rows = {old.archs: old for old in read_rows(args.out, Row)} | {archs: row}
        write_rows(args.out, rows.values())


if __name__ == "__main__":
    main()
