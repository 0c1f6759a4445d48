"""What errors say: one line, of sensible length, whatever it quotes."""

import pickle

import pytest

from originet.system.errors import InputError, is_foreseen, one_line


def test_a_message_is_one_line():
    assert str(InputError("a\nb\n")) == "a b"
    assert str(InputError("x: 'a  b'")) == "x: 'a  b'"


def test_a_message_keeps_its_start_and_its_end():
    told = str(InputError("/path/to/file: name must be short, got " + "x" * 1_000_000 + " (of 3)"))
    assert told.startswith("/path/to/file: name must be short, got xxx")
    assert " ... xxx" in told and told.endswith("xxx (of 3)") and len(told) == 1505


def test_a_message_goes_from_process_to_process():
    error = InputError("a" * 5000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


class CvError(Exception):
    """As cv2.error, which derives from Exception alone."""


CvError.__module__ = "cv2"

TORCH = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)\nframe #0: ..."
)
OPENCV = (
    "OpenCV(4.12.0) /io/opencv/modules/core/src/alloc.cpp:73: error: (-4:Insufficient memory) "
    "Failed to allocate 9 bytes in function 'OutOfMemoryError'\n"
)
LOADER = "libtorch_cpu.so: failed to map segment from shared object"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a\nb"), r"a\nb: No space left on device"),
        (
            OSError(28, "No space left on device", "a.1.tmp", None, "a"),
            "a: No space left on device",
        ),
        (OSError(28, "No space left on device", b"a"), "a: No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(9, "Bad file descriptor", 7), "Bad file descriptor"),
        (OSError(LOADER), LOADER),
        (MemoryError(), "out of memory"),
        (MemoryError("Unable to allocate 9 GiB"), "Unable to allocate 9 GiB"),
        (
            RecursionError("maximum recursion depth exceeded"),
            "files, folders or data are nested too deeply",
        ),
        (ImportError(LOADER), LOADER),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (RuntimeError(TORCH), TORCH[TORCH.index("Default") : TORCH.index("\n")]),
        (CvError(OPENCV), OPENCV[OPENCV.index("(-4") : -1]),
        (UnicodeEncodeError("utf-8", "s\udc80", 1, 2, "no"), r"not valid text: 's\udc80'"),
        (InputError("x\x1b"), r"x\x1b"),
    ],
)
def test_what_may_happen_to_correct_code_is_foreseen_and_told_in_one_line(error, line):
    assert is_foreseen(error) and one_line(error) == line


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("out of memory"), TypeError(), KeyError("a"), AssertionError()),
        *(RuntimeError("shapes differ"), ImportError("cannot import name 'a'"), CvError("(-215)")),
    ],
)
def test_what_is_a_mistake_in_a_program_is_not_foreseen(error):
    assert not is_foreseen(error)
