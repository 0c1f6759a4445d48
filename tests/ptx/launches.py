"""Reads what emulated runs launched; fails if they left a kernel out or a launch failed.

    python launches.py REPORT...

The reports are what the runtime appends to $PTX_REPORT, a line for each kernel of each process.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path


def read_reports(paths: list[str]) -> tuple[Counter[str], int]:
    """Returns how often each kernel was launched, 0 included, and how many launches failed."""
    launches: Counter[str] = Counter()
    for line in (line for path in paths for line in Path(path).read_text().splitlines()):
        count, name = line.split()
        launches[name] += int(count)
    return launches, launches.pop("failed", 0)


def main(paths: list[str]) -> int:
    launches, failed = read_reports(paths)
    never = [name for name in launches if launches[name] == 0]
    if never:
        names = subprocess.run(
            ["c++filt"], input="\n".join(never), capture_output=True, text=True, check=True
        ).stdout
        print(f"never launched:\n{names}")
    if failed:
        print(f"{failed} launches failed, though the tests did not")
    print(f"{len(launches) - len(never)} of {len(launches)} kernels launched")
    return 1 if never or failed or not launches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
