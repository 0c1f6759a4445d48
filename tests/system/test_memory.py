"""Freed memory that a process keeps, and how much there is left."""

import ctypes
import platform
import subprocess
import sys

import pytest

from originet.system import memory
from originet.system.errors import InputError

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


def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    (tmp_path / "memory.stat").write_text("anon 1000\ninactive_file 300000\n")
    names = memory._GROUP_FILES[""]
    assert memory._left_in_group(tmp_path, *names) == 3_300_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._left_in_group(tmp_path, *names) == -1
    assert memory._left_in_group(tmp_path / "none", *names) == -1
    monkeypatch.setattr(memory, "_left_in_groups", lambda: [3, 12345])
    assert memory.available_memory() == 3
    with pytest.raises(InputError, match=r"^all of it would take 100\.0 GB of memory, 0\.0 GB"):
        memory.check_memory("all of it", 10**11)
    memory.check_memory("little", 2**20)
