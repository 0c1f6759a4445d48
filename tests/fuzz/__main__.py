"""Reads damaged files by the thousand: each is read, or refused in one line that names it.

    python tests/fuzz [TARGET ...] [--cases 10000] [--seed 0] [--jobs 2]
    python tests/fuzz TARGET --seed 0 --case 4711     makes the file of one case, and reads it

A target (`targets.py`) is a reader and the sound files that are damaged for it. Each runs in a
process of its own, within the limits of `harness.py`.
"""

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # for what test files share

import harness
from targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--cases", type=int, default=10_000, help="cases a target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--case", type=int, help="make the file of this case, and read it")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    if unknown := sorted(set(names) - TARGETS.keys()):
        parser.error(f"no target {', '.join(unknown)}: {', '.join(TARGETS)}")
    if options.case is not None:
        target = TARGETS[names[0]](Path(tempfile.mkdtemp(prefix="originet-fuzz-")))
        harness.make_case(target, names[0], options.seed, options.case)
        print(target.path)
        target.read(target.path)
        return 0
    if options.worker:
        with tempfile.TemporaryDirectory(prefix="originet-fuzz-") as folder:
            target = TARGETS[names[0]](Path(folder))
            return min(harness.run(target, names[0], options.seed, options.cases), 1)
    start = monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        well = list(pool.map(lambda name: _run_apart(name, options), names))
    print(f"{len(names)} targets in {monotonic() - start:.0f} s, failed: {well.count(False)}")
    return 0 if all(well) else 1


def _run_apart(name: str, options: argparse.Namespace) -> bool:
    """Runs a target in a process of its own; returns whether all went well."""
    command = [sys.executable, sys.argv[0], name, "--worker"]
    command += ["--cases", str(options.cases), "--seed", str(options.seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    print(done.stdout, end="", flush=True)
    if done.returncode not in (0, 1) or (done.returncode and not done.stdout):
        print(f"{name}: exit code {done.returncode}, after\n{done.stderr[-4000:]}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
