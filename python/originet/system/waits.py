"""How long this process' threads waited for a core, which other programs took.

A thread that waits keeps its whole team waiting, since parallel kernels end with their last thread.
Where every call waits, the calls agree, so that their spread tells nothing. Linux counts the waits
of each thread; elsewhere there are none known.
"""

import os
from pathlib import Path

_TASKS = Path("/proc/self/task")
_MOST = 0.9  # of a call
_RAN = 0.1  # share of a call, above which a thread had a part in it

Times = dict[str, tuple[int, int]]
"""By thread, the nanoseconds that it ran and that it waited for a core."""


def thread_times() -> Times:
    """Return the times of every thread so far; none where the system does not count them."""
    times = {}
    for name in os.listdir(_TASKS) if _TASKS.is_dir() else ():
        try:
            ran, waited, _ = (_TASKS / name / "schedstat").read_text().split()
        except (OSError, ValueError):  # a thread that has just ended, or another system's file
            continue
        times[name] = int(ran), int(waited)
    return times


def waited(before: Times, after: Times, seconds: float) -> float:
    """Return how much of a time the longest waiting thread waited.

    Threads that outnumber the cores wait for each other on any machine: then 0. Otherwise at most
    nine tenths, since a call takes some time at least.

    Args:
        before: The threads' times at its start.
        after: Those at its end.
        seconds: How long it was.
    """
    waits = []
    for name, (ran, wait) in after.items():
        ran_before, waited_before = before.get(name, (0, 0))
        ran, wait = ran - ran_before, wait - waited_before
        if ran + wait > _RAN * seconds * 1e9:
            waits.append(wait / 1e9)
    if not waits or len(waits) > len(os.sched_getaffinity(0)):
        return 0.0
    return min(max(waits), _MOST * seconds)
