"""Memory: how much is available, and what the allocator does with freed blocks."""

import os
from pathlib import Path

from originet.system.errors import InputError

# glibc's names; see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
_MOST = 2**31 - 1

_FEW = 2**26  # bytes

# By the name of the controller in /proc/self/cgroup: the files with a control group's limit and its
# usage, and the entry of memory.stat with the memory that can be reclaimed. In version 2 the name
# is empty.
_GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def keep_freed_memory() -> None:
    """Lets this process keep up to 2 GiB of freed memory instead of returning it to the system.

    glibc returns large blocks when they are freed, and the next training step faults them in again,
    page by page. Meant for processes that only train. Without glibc nothing changes.
    """
    import ctypes  # here, since the command line imports this module even for its help
    import platform

    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _MOST)


def available_memory() -> int | None:
    """Returns the bytes of memory that this process can still allocate; None if unknown.

    That is the least of three: the machine's free memory, and what the limits of the control groups
    and of the process leave.
    """
    sizes = (_left_on_machine(), *_left_in_groups(), _left_of_address_space())
    return min((size for size in sizes if size is not None), default=None)


def check_memory(what: str, size: int) -> None:
    """Refuses work that needs more memory than is available, before it allocates any.

    A system that overcommits memory kills the process later, without an error message.

    Args:
        what: The work, for the message.
        size: Bytes needed; up to 64 MiB the system is not asked.

    Raises:
        InputError: If less is available.
    """
    if size <= _FEW:
        return
    available = available_memory()
    if available is not None and size > available:
        raise InputError(
            f"{what} would take {size / 1e9:,.1f} GB of memory, {available / 1e9:,.1f} GB is free"
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
    """Returns what the limits of this process's control groups leave, in both cgroup versions."""
    left: list[int] = []
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            inner = Path("/sys/fs/cgroup", controllers, group.lstrip("/"))
            names = _GROUP_FILES[controllers]
            left += [_left_in_group(each, *names) for each in (inner, *inner.parents)]
    return [size for size in left if size >= 0]


def _left_in_group(folder: Path, limit: str, usage: str, cached: str) -> int:
    """Returns the bytes left in one group; -1 if the group is missing or has no limit.

    A group's usage includes cached pages of files, which the system reclaims when needed.
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
    """Reads lines that hold a name and a number."""
    words = [line.split() for line in _text(path).splitlines()]
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def _text(path: str | Path) -> str:
    """Reads a file of /proc or /sys; returns an empty text if it cannot be read."""
    try:
        return Path(path).read_text()
    except (OSError, ValueError):
        return ""
