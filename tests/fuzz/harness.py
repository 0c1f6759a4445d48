"""Runs the cases of a target, within limits, and says which readers failed and how."""

import faulthandler
import resource
import sys
import traceback
from pathlib import Path
from random import Random
from time import perf_counter

from targets import Target

from originet.system.errors import InputError

MEMORY = 2**30  # bytes, besides what the process has when its first case begins
SECONDS = 20  # a case
SHOWN = 5  # failures that are shown, each in another place


def make_case(target: Target, name: str, seed: int, case: int) -> None:
    """Writes the damaged file of a case, which follows from these three alone."""
    random = Random(f"{name} {seed} {case}")
    target.path.write_bytes(target.mutate(random.choice(target.sound), random))


def run(target: Target, name: str, seed: int, cases: int) -> int:
    """Runs the cases of a target in this process, which then has little memory left.

    A reader that takes too long ends the process, as one does that crashes: what was printed last
    on stderr says which case it was.

    Args:
        target: The target.
        name: Its name.
        seed: Which cases.
        cases: How many.

    Returns:
        How many cases ended in neither of what they may end in.
    """
    for file in target.sound:  # also loads what the reader loads late
        target.path.write_bytes(file)
        target.read(target.path)
    _limit_memory()
    read, failed = 0, 0
    places = set()
    began = perf_counter()
    for case in range(cases):
        make_case(target, name, seed, case)
        print(f"{name}: case {case} of seed {seed}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            read += _ends_well(target)
        except Exception as error:
            failed += 1
            place = traceback.extract_tb(error.__traceback__)[-1][:2]
            if place not in places and len(places) < SHOWN:
                print(f"{name}: case {case} of seed {seed} failed:")
                traceback.print_exc(file=sys.stdout)
                places.add(place)
        finally:
            faulthandler.cancel_dump_traceback_later()
    seconds = perf_counter() - began
    print(
        f"{name:<12} {cases:,} cases: {read:,} read, {cases - read - failed:,} refused, "
        f"{failed:,} failed, {seconds:.0f} s"
    )
    return failed


def _ends_well(target: Target) -> bool:
    """Reads the file; returns whether it was read, and raises unless it was, or refused well."""
    try:
        target.read(target.path)
    except InputError as error:
        message = str(error)
        assert str(target.path.parent) in message, f"names no file: {message[:300]}"
        assert "\n" not in message, f"several lines: {message[:300]!r}"
        assert len(message) < 2000, f"{len(message)} characters: {message[:300]}"
        return False
    return True


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
