"""Freed memory that a process keeps."""

import ctypes
import platform
import subprocess
import sys

import pytest

from originet.system import memory

# glibc's own account, see mallinfo(3): page faults are not counted on every kernel.
PROGRAM = """
import ctypes, sys
import torch
from originet.system.memory import keep_freed_memory

FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

class Account(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in FIELDS]

mallinfo = ctypes.CDLL(None).mallinfo
mallinfo.restype = Account

if sys.argv[1] == "keep":
    keep_freed_memory()
before = mallinfo()
# MiB: below the 32 that glibc never keeps, above all that an import may have freed.
blocks = [torch.ones(n << 18) for n in (24, 16, 20)]
mapped = mallinfo().hblkhd - before.hblkhd
del blocks
print(mapped >> 20, (mallinfo().fordblks - before.fordblks) >> 20)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc's allocator")
def test_freed_blocks_stay_with_the_process():
    def mebibytes(what: str) -> list[int]:
        """Mapped one by one while in use, and free but kept after."""
        command = [sys.executable, "-c", PROGRAM, what]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [int(word) for word in printed.split()]

    mapped, kept = mebibytes("keep")
    assert mapped == 0
    assert kept >= 59  # of 60, rounded down
    mapped, kept = mebibytes("leave")
    assert mapped >= 60
    assert kept <= 0


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("looked for mallopt"))
    memory.keep_freed_memory()
