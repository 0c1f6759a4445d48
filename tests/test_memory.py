"""Freed memory that a process keeps."""

import platform
import subprocess
import sys

import pytest

from originet import memory

PROGRAM = """
import resource, sys
import torch
from originet.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):  # as a step does: blocks of several sizes, freed together
        blocks = [torch.ones(n << 18) for n in (8, 2, 8, 4)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc's allocator")
def test_a_second_step_touches_no_new_page():
    def count(what: str) -> int:
        command = [sys.executable, "-c", PROGRAM, what]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert count("keep") < 20 < count("leave")


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("looked for mallopt"))
    memory.keep_freed_memory()
