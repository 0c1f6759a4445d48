"""The sums over a stream of frames, in C++ (csrc/frame_accumulator.cpp); arguments checked here.

All functions read frames [begin, end) of the stream from `frames` [rows, ...], where frame t is row
t % rows, and add to `sums` [S, ...]. Both are dense arrays of native byte order. The C++ code runs
without the GIL.
"""

from ctypes import c_bool, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from originet_ext._library import kernels

Array = NDArray[Any]

# The most frames of a stream, counting those before its start. float64 counts them exactly, and
# int64 holds 4 * 255 times their number.
MAX_FRAMES = 2**53
# As csrc/frame_accumulator.cpp numbers them.
_DTYPES = {np.dtype(np.uint8): 0, np.dtype(np.float32): 1, np.dtype(np.float64): 2}

_STREAM = (c_int32, c_void_p, c_int64, c_int64, c_int64, c_int64)
for _name, _arguments in {
    "sums": (c_int64, c_bool, c_bool, c_void_p),
    "frames": (c_void_p, c_void_p),
    "motion": (c_bool, c_void_p),
}.items():
    _function = getattr(kernels, f"originet_accumulate_{_name}")
    _function.argtypes, _function.restype = (*_STREAM, *_arguments), None


def accumulate_sums(frames: Array, begin: int, end: int, start: int, sums: Array) -> None:
    """Adds F_t, (n - t + 1) F_t and, to a third sum, (F_1 + ... + F_t) / (start + t).

    `sums` is int64 [2, ...], for uint8 frames only, or float64 [2, ...] or [3, ...].
    """
    _check(frames, begin, end, 0, sums, (2, 3))
    _require(0 <= start <= MAX_FRAMES, "start must be 0 to 2^53")
    integer = _is_dense(sums, np.int64)
    if integer:
        _require(
            _is_dense(frames, np.uint8) and len(sums) == 2,
            "int64 sums must be two and need dense uint8 frames",
        )
    else:
        _require(_is_dense(sums, np.float64), "sums must be dense int64 or float64")
    stream = _stream(frames, begin, end)
    kernels.originet_accumulate_sums(*stream, start, integer, len(sums) == 3, _address(sums))


def accumulate_frames(frames: Array, begin: int, end: int, first: Array, sums: Array) -> None:
    """Adds F_t - first, which is exactly 0 for a pixel at rest, to sums [1, ...].

    `first` [...] is like a frame; the sums are int64 for uint8 frames, else float64.
    """
    _check(frames, begin, end, 0, sums, (1,))
    _require(
        _is_dense(first, frames.dtype) and first.size == frames.size // len(frames),
        "first must be dense and like a frame",
    )
    _require(not _overlap(first, sums), "first and sums must not share memory")
    stream = _stream(frames, begin, end)
    _check_single(frames, sums)
    kernels.originet_accumulate_frames(*stream, _address(first), _address(sums))


def accumulate_motion(frames: Array, begin: int, end: int, rectify: bool, sums: Array) -> None:
    """Adds |F_t - F_(t-1)|, or max(F_t - F_(t-1), 0), of t >= 2 to sums [1, ...].

    Frame `begin - 1` is read too. The sums are int64 for uint8 frames, else float64.
    """
    _check(frames, begin, end, 1 if begin > 0 else 0, sums, (1,))
    stream = _stream(frames, begin, end)
    _check_single(frames, sums)
    kernels.originet_accumulate_motion(*stream, rectify, _address(sums))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(f"frame accumulator: {message}")


def _is_dense(array: Array, dtype: Any) -> bool:
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _overlap(a: Array, b: Array) -> bool:
    """Whether two dense arrays have memory in common."""
    return _address(a) < _address(b) + b.nbytes and _address(b) < _address(a) + a.nbytes


def _check(
    frames: Array, begin: int, end: int, history: int, sums: Array, counts: tuple[int, ...]
) -> None:
    """Checks what all three share; `history` frames before `begin` are read too."""
    _require(
        frames.ndim >= 1 and len(frames) >= 1 and sums.ndim >= 1,
        "frames and sums must be [rows, ...]",
    )
    _require(
        0 <= begin <= end <= MAX_FRAMES and end - begin <= len(frames) - history,
        "begin and end must name frames of the ring",
    )
    _require(
        len(sums) in counts and sums.size // len(sums) == frames.size // len(frames),
        "sums must be [S, ...] like a frame",
    )
    _require(sums.flags.writeable, "sums must be writeable")
    _require(not _overlap(frames, sums), "frames and sums must not share memory")


def _check_single(frames: Array, sums: Array) -> None:
    dtype = np.int64 if frames.dtype == np.uint8 else np.float64
    _require(_is_dense(sums, dtype), "sums must be dense, int64 for uint8 frames, else float64")


def _stream(frames: Array, begin: int, end: int) -> tuple[int, ...]:
    """The arguments that describe the frames to all three."""
    _require(
        frames.dtype in _DTYPES and _is_dense(frames, frames.dtype),
        "frames must be dense uint8, float32 or float64",
    )
    rows = len(frames)
    return _DTYPES[frames.dtype], _address(frames), rows, frames.size // rows, begin, end
