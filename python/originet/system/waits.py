"""How long this process's threads waited for cores that other programs had taken.

One waiting thread holds up its whole team, since a parallel kernel ends with its last thread. If
every call waits, the calls agree, and their spread reveals nothing. Linux counts the waits of each
thread; other systems do not.
"""

import os
from pathlib import Path

_TASKS = Path("/proc/self/task")
_MOST = 0.9  # of a call
_RAN = 0.1  # a thread took part in a call if it was active for more than this share

Times = dict[str, tuple[int, int]]
"""For each thread, the nanoseconds that it ran and those that it waited for a core."""


def thread_times() -> Times:
    """Return the times of every thread so far; empty if the system does not count them."""
    times = {}
    for name in os.listdir(_TASKS) if _TASKS.is_dir() else ():
        try:
            ran, waited, _ = (_TASKS / name / "schedstat").read_text().split()
        except (OSError, ValueError):  # a thread that has just ended, or another file format
            continue
        times[name] = int(ran), int(waited)
    return times


def waited(before: Times, after: Times, seconds: float) -> float:
    """Return how long, within a period, the thread that waited longest was waiting.

    Threads that outnumber the cores wait for each other on any machine; then the result is 0. It is
    at most nine tenths of the period, since a call must take some time.

    Args:
        before: The threads' times at the start of the period.
        after: Their times at its end.
        seconds: Length of the period.

    Returns:
        Seconds.
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
