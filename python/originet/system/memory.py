"""Memory: how much there is left, and what the allocator does with what training frees."""

import os
from pathlib import Path

from originet.system.errors import InputError

# glibc's names; see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
_MOST = 2**31 - 1

_FEW = 2**26  # bytes

# By the name of the controller, as /proc/self/cgroup has it: the files of a control group with its
# limit and its usage, and the entry of memory.stat with what it may give up. The second version has
# no such name.
_GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def keep_freed_memory() -> None:
    """Lets this process keep freed memory, up to 2 GiB, rather than give it back to the system.

    glibc gives large blocks back when they are freed, and the next step of a training gets them
    anew, page by page. For processes that are there to train; elsewhere than on glibc nothing
    changes.
    """
    import ctypes  # the command line imports this module for its help, too
    import platform

    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _MOST)


def available_memory() -> int | None:
    """Returns the bytes of memory that this process may still take; None where nothing tells.

    That is what the machine has free, or the control group's or the process's own limit leaves,
    whichever is least.
    """
    told = (_left_on_machine(), *_left_in_groups(), _left_of_address_space())
    return min((size for size in told if size is not None), default=None)


def check_memory(what: str, size: int) -> None:
    """Refuses what takes more memory than there is, before any of it is taken.

    Where the system hands out memory that it does not have, it kills the process later, and there
    is nobody left to say why.

    Args:
        what: what takes it, for the message.
        size: bytes; few of them are not worth asking the system about.

    Raises:
        InputError: if there is less.
    """
    if size <= _FEW:
        return
    available = available_memory()
    if available is not None and size > available:
        raise InputError(
            f"{what} would take {size / 1e9:,.1f} GB of memory, {available / 1e9:,.1f} GB are free"
        )


def _left_on_machine() -> int | None:
    numbers = _numbers("/proc/meminfo")
    if "MemAvailable:" in numbers:
        return 1024 * numbers["MemAvailable:"]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _left_in_groups() -> list[int]:
    """Returns what the limits of this process's control groups leave, of both versions."""
    left: list[int] = []
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            inner = Path("/sys/fs/cgroup", controllers, group.lstrip("/"))
            names = _GROUP_FILES[controllers]
            left += [_left_in_group(each, *names) for each in (inner, *inner.parents)]
    return [size for size in left if size >= 0]


def _left_in_group(folder: Path, limit: str, usage: str, cached: str) -> int:
    """Returns what is left in one group; -1 if there is no such group, or it has no limit.

    What a group uses counts the pages of files, which are given up for anything else.
    """
    most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
    if not (most.isdigit() and used.isdigit()):
        return -1
    return max(0, int(most) - int(used) + _numbers(folder / "memory.stat").get(cached, 0))


def _left_of_address_space() -> int | None:
    try:
        import resource
    except ImportError:  # on Windows
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text("/proc/self/statm").split()
    if most == resource.RLIM_INFINITY or not pages:
        return None
    return max(0, most - int(pages[0]) * os.sysconf("SC_PAGE_SIZE"))


def _numbers(path: str | Path) -> dict[str, int]:
    """Reads lines of a name and a number."""
    words = [line.split() for line in _text(path).splitlines()]
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def _text(path: str | Path) -> str:
    """Reads what the system tells of itself; an empty text where it does not."""
    try:
        return Path(path).read_text()
    except (OSError, ValueError):
        return ""
