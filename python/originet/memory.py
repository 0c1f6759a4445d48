"""What the allocator does with memory that training frees and asks for again in the next step."""

import ctypes
import platform

# glibc's names; see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Lets this process keep freed memory, up to 2 GiB, rather than give it back to the system.

    glibc gives large blocks back when they are freed, and the next step of a training gets them
    anew, page by page. For processes that are there to train; elsewhere than on glibc nothing
    changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _MOST)
