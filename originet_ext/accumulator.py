"""Active images of streams: frame by frame, in constant memory."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from originet_ext import _sums
from originet_ext._checks import MOTION_METHODS, check_method
from originet_ext._sums import MAX_FRAMES
from originet_ext.reference import normalize_images

Array = NDArray[Any]

_NAME = "ActiveImageAccumulator"
_DTYPES = tuple(map(np.dtype, ("uint8", "float32", "float64")))
# The largest sum of the weighted methods over uint8 frames, 255 n (n + 1), still fits in int64.
MAX_WEIGHTED_FRAMES = 190_000_000
# How many bytes per pixel wait to be summed together: 16 frames of uint8.
_PENDING_BYTES = 16
# How many sums per pixel each method keeps; csrc/frame_accumulator.cpp says which.
_SUMS = {
    "telescoped": 0,
    "cumulative": 1,
    "absolute": 1,
    "rectified": 1,
    "authors": 2,
    "rank-simple": 2,
    "rank": 3,
    "learnet": 3,
}
_HARMONIC = ("rank", "learnet")  # a frame's weight depends on its place in the whole stream
_LAGGING = ("cumulative", *MOTION_METHODS)  # the last frame counts half, so it is not summed yet
_ENDS = ("telescoped", "authors", *_LAGGING)  # need the first frame and the last two


class ActiveImageAccumulator:
    """Computes the active image of a stream, frame by frame, however long the stream is.

    Gives the same as `active_image` for all frames at once, in memory that does not grow. With
    frames F_1..F_n, S(k) = F_1 + ... + F_k, A = sum over k of S(k) = sum over t of (n - t + 1) F_t
    and B = sum over k of S(k) / k, the methods are

    - `cumulative`: 2 sum over t < n of (F_t - F_1) + (F_n - F_1);
    - `telescoped`: F_n + F_(n-1) - 2 F_1; three frames are kept;
    - `rank-simple`: (n + 1) S(n) - 2 A; `authors`: the same + F_1 - F_n;
    - `rank`: 2 A - (n + 1) B; `learnet`: 2 A - n B;
    - `rectified`: 2 P + max(F_n - F_(n-1), 0) with P = sum over t < n of max(F_t - F_(t-1), 0);
    - `absolute`: 2 `rectified` - `telescoped`, because |d| = 2 max(d, 0) - d.

    One frame gives zeros. For uint8 frames, all methods except `rank` and `learnet` are exact and
    give the same bits as `active_image`. Everything else is summed in float64 and rounded to the
    dtype of the result at the end. Besides that rounding, the absolute error is at most
    8 (n + 1)^2 (1 + H_n) 2^-53 sum_t |F_t| with H_n = 1 + 1/2 + ... + 1/n. Under `cumulative`,
    `telescoped`, `absolute` and `rectified` it is at most 8 n 2^-53 (sum_t |F_t| + n |F_1|), and 0
    for a pixel at rest. These four treat NaN and infinities like `active_image`, except that
    `cumulative` gives NaN for a pixel that is infinite in the first frame of a merged part. Under
    the other methods, a pixel that was not finite in any one frame is NaN, where `active_image` may
    give an infinity.

    Only one thread at a time may use an accumulator. It can be pickled, and parts of a stream that
    were summed elsewhere can be joined with `merge`.

    Args:
        method: one of `METHODS`.
        normalize: one of `NORMALIZATIONS`, applied to results.
        start: how many frames of the whole stream come before the first one seen here. Needed only
            for `merge`, and only under `rank` and `learnet`, whose weights depend on a frame's
            place in the whole stream.

    Raises:
        TypeError: start is not an integer.
        ValueError: an unknown method or normalisation, or a negative start.

    Example:
        >>> images = ActiveImageAccumulator(method="cumulative", normalize="minmax")
        >>> for value in (10, 20, 90):
        ...     images.update(np.array([[value, 2 * value]], np.uint8))
        >>> images.result()
        array([[  0., 255.]], dtype=float32)

    Reference: Verma et al., arXiv:2005.07991, Eqs. (1)-(3); `active_image` for the other methods.
    """

    def __init__(
        self, method: str = "cumulative", normalize: str = "none", *, start: int = 0
    ) -> None:
        check_method(_NAME, method, normalize)
        if isinstance(start, bool) or not isinstance(start, int | np.integer):
            raise TypeError(f"{_NAME}: start must be an integer, got {type(start).__name__}")
        if not 0 <= start < MAX_FRAMES:
            raise ValueError(f"{_NAME}: start must be 0 or more and below 2^53, got {start}")
        self._method, self._normalize, self._start = method, normalize, int(start)
        self._count = 0
        self._summed = 0  # how many frames are in the sums
        # Frame t = 0, 1, ... is row t % rows of the ring [rows, H, W(, C)], in the frames' dtype.
        self._ring: Array | None = None
        self._first: Array | None = None
        self._sums: Array | None = None  # [number of sums, H, W(, C)] int64 or float64

    @property
    def method(self) -> str:
        """The reading of the active image, one of `METHODS`."""
        return self._method

    @property
    def normalize(self) -> str:
        """How results are mapped to 0..255, one of `NORMALIZATIONS`."""
        return self._normalize

    @property
    def start(self) -> int:
        """How many frames of the whole stream come before the first one seen here."""
        return self._start

    @property
    def count(self) -> int:
        """The number of frames seen so far, including those of merged parts."""
        return self._count

    def update(self, frame: np.ndarray) -> None:
        """Takes the next frame. It is copied, so the caller may reuse its memory.

        The GIL is released while pixels are copied and summed.

        Args:
            frame: [H, W] or [H, W, C] uint8, float32 or float64, with any strides. All frames have
                the same shape and dtype.

        Raises:
            TypeError: the frame is not an array, or its dtype is not supported or changes.
            ValueError: its shape is not supported or changes; or `authors` or `rank-simple` have
                seen 190,000,000 frames of uint8, beyond which int64 could overflow; or the stream,
                with the frames before `start`, has 2^53. The state does not change.
        """
        self._check_frame(frame)
        self._check_count(self._count + 1, frame.dtype)
        if self._ring is None:
            self._allocate(frame.shape, frame.dtype)
        assert self._ring is not None
        rows = len(self._ring)
        if self._count - self._summed == rows - 1:  # keeps the last frame, see _LAGGING
            self._sum()
        np.copyto(self._ring[self._count % rows], frame)
        if self._count == 0 and self._method in _ENDS:
            self._first = np.array(frame, order="C", subok=False)
        self._count += 1

    def result(self) -> np.ndarray:
        """Computes the active image of the frames seen so far. May be called at any time.

        Returns:
            [H, W] or [H, W, C], float64 for float64 frames, otherwise float32; a new array.

        Raises:
            ValueError: no frame has been seen, or `start` is not 0 under `rank` or `learnet`.
        """
        if self._count == 0:
            raise ValueError(f"{_NAME}: no frame has been seen yet")
        if self._start > 0 and self._method in _HARMONIC:
            raise ValueError(
                f"{_NAME}: a part with start {self._start} has no image of its own under "
                f"{self._method!r}; merge it into the part before"
            )
        assert self._ring is not None
        self._sum()
        dtype = np.float64 if self._ring.dtype == np.float64 else np.float32
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinities are results too
            image = np.ascontiguousarray(self._image(), dtype=dtype)
        return normalize_images(torch.from_numpy(image)[None], self._normalize)[0].numpy()

    def reset(self) -> None:
        """Forgets all frames and their shape and dtype; keeps the method and `start`."""
        self._count = self._summed = 0
        self._ring = self._first = self._sums = None

    def merge(self, other: "ActiveImageAccumulator") -> None:
        """Appends another part of the stream, whose frames came right after those of this one.

        Args:
            other: the later part, with the same method and, under `rank` and `learnet`, made with
                `start=self.start + self.count`. It does not change.

        Raises:
            TypeError: other is not an `ActiveImageAccumulator`.
            ValueError: method, shape, dtype or place of the parts do not fit, or together they
                have too many frames (see `update`). The state does not change.
        """
        if not isinstance(other, ActiveImageAccumulator):
            raise TypeError(f"{_NAME}: cannot merge {type(other).__name__}")
        if other._method != self._method:
            raise ValueError(f"{_NAME}: cannot merge {other._method!r} into {self._method!r}")
        if self._method in _HARMONIC and other._start != self._start + self._count:
            raise ValueError(
                f"{_NAME}: under {self._method!r} the second part must have start "
                f"{self._start + self._count}, where this one ends, got {other._start}"
            )
        if other._count == 0:
            return
        later = other.__getstate__()
        if self._count == 0:
            self.__setstate__(later | {"normalize": self._normalize, "start": self._start})
            return
        assert self._ring is not None and other._ring is not None
        if other._ring.shape[1:] != self._ring.shape[1:] or other._ring.dtype != self._ring.dtype:
            raise ValueError(
                f"{_NAME}: cannot merge frames of {_describe(other._ring[0])} "
                f"into {_describe(self._ring[0])}"
            )
        self._check_count(self._count + other._count, self._ring.dtype)
        earlier = self.__getstate__()
        self.__setstate__(
            earlier
            | {
                "count": self._count + other._count,
                "ends": np.concatenate([earlier["ends"], later["ends"]])[-2:],
                "sums": self._merged_sums(other, earlier, later),
            }
        )

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "method": self._method,
            "normalize": self._normalize,
            "start": self._start,
            "count": self._count,
        }
        if self._count > 0:
            assert self._ring is not None
            self._sum()
            state |= {
                "shape": self._ring.shape[1:],
                "dtype": self._ring.dtype.str,
                "first": self._first,
                "ends": self._ends() if self._method in _ENDS else self._ring[:0].copy(),
                "sums": None if self._sums is None else self._sums.copy(),
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a state that `__getstate__` returned. Checks it, as a pickle may hold anything.

        Raises:
            TypeError: a part of the state has a wrong type or dtype.
            ValueError: its parts do not fit together, or no stream could have left them. The state
                does not change.
        """
        if not isinstance(state, dict) or not {"method", "normalize", "start", "count"} <= {*state}:
            raise TypeError(f"{_NAME}: the state is not one of an accumulator")
        method, start, count = state["method"], state["start"], state["count"]
        # Checks all three as it does for any new accumulator.
        new = ActiveImageAccumulator(method, state["normalize"], start=start)
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{_NAME}: the count must be an int, got {type(count).__name__}")
        if count < 0:
            raise ValueError(f"{_NAME}: the count must be 0 or more, got {count}")
        if count > 0:
            new._set_arrays(count, state)
        self.__dict__.update(new.__dict__)

    def _set_arrays(self, count: int, state: dict[str, Any]) -> None:
        """Restores the frames and sums of a state after `count` frames."""
        shape, dtype = state.get("shape"), state.get("dtype")
        if dtype not in [known.str for known in _DTYPES]:
            raise TypeError(f"{_NAME}: the frames must be uint8, float32 or float64, got {dtype!r}")
        dtype = np.dtype(dtype)
        if not (
            isinstance(shape, tuple)
            and len(shape) in (2, 3)
            and all(isinstance(size, int) and size > 0 for size in shape)
        ):
            raise ValueError(f"{_NAME}: frames must be [H, W] or [H, W, C], got {shape!r}")
        self._check_count(count, dtype)
        number = _SUMS[self._method]
        ends = _array(state, "ends", (min(count, 2) * (self._method in _ENDS), *shape), dtype)
        first = _array(state, "first", shape, dtype) if self._method in _ENDS else None
        sums = None
        if number:
            sums = _array(state, "sums", (number, *shape), _sum_dtype(number, dtype))
            if sums.dtype == np.int64:
                _check_sums(sums, count, signed=self._method == "cumulative")
        # After the arrays, which prove that the shape is not too large for memory.
        self._allocate(shape, dtype)
        assert self._ring is not None
        self._first, self._sums, self._count = first, sums, count
        self._summed = self._count - (self._method in _LAGGING)
        for back, frame in enumerate(reversed(ends), start=1):
            self._ring[(self._count - back) % len(self._ring)] = frame

    def __repr__(self) -> str:
        seen = "no frames"
        if self._ring is not None and self._count > 0:
            seen = f"{self._count} of {_describe(self._ring[0])}"
        return (
            f"{_NAME}(method={self._method!r}, normalize={self._normalize!r}, "
            f"start={self._start}): {seen}"
        )

    def _check_frame(self, frame: np.ndarray) -> None:
        if not isinstance(frame, np.ndarray):
            raise TypeError(f"{_NAME}: frame must be a numpy.ndarray, got {type(frame).__name__}")
        if self._ring is not None:
            if frame.dtype != self._ring.dtype:
                raise TypeError(
                    f"{_NAME}: frame must have the dtype of the first frame, {self._ring.dtype}, "
                    f"got {frame.dtype}"
                )
            if frame.shape != self._ring.shape[1:]:
                raise ValueError(
                    f"{_NAME}: frame must have the shape of the first frame, "
                    f"{list(self._ring.shape[1:])}, got {list(frame.shape)}"
                )
            return
        if frame.dtype not in _DTYPES:
            raise TypeError(f"{_NAME}: frame must be uint8, float32 or float64, got {frame.dtype}")
        if frame.ndim not in (2, 3) or frame.size == 0:
            raise ValueError(
                f"{_NAME}: frame must be [H, W] or [H, W, C] and have pixels, "
                f"got {list(frame.shape)}"
            )

    def _check_count(self, count: int, dtype: np.dtype[Any]) -> None:
        if self._start + count > MAX_FRAMES:
            raise ValueError(
                f"{_NAME}: a stream has at most 2^53 frames, got {self._start} and {count} more"
            )
        if count > MAX_WEIGHTED_FRAMES and _SUMS[self._method] == 2 and dtype == np.uint8:
            raise ValueError(
                f"{_NAME}: {self._method!r} takes at most {MAX_WEIGHTED_FRAMES} frames of uint8, "
                f"beyond which int64 could overflow, got {count}"
            )

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        number = _SUMS[self._method]
        rows = 1 + (_PENDING_BYTES // dtype.itemsize if number else 1)
        ring = np.empty((rows, *shape), dtype)
        if number:
            self._sums = np.zeros((number, *shape), _sum_dtype(number, dtype))
        self._ring = ring

    def _sum(self) -> None:
        """Brings the sums up to date."""
        end = max(0, self._count - 1) if self._method in _LAGGING else self._count
        if self._sums is not None:
            assert self._ring is not None
            if self._method in MOTION_METHODS:
                _sums.accumulate_motion(self._ring, self._summed, end, self._rectifies, self._sums)
            elif self._method == "cumulative":
                # From the second frame on, as the first does not deviate from itself.
                assert self._first is not None
                span = max(self._summed, 1), max(end, 1)
                _sums.accumulate_frames(self._ring, *span, self._first, self._sums)
            else:
                _sums.accumulate_sums(self._ring, self._summed, end, self._start, self._sums)
        self._summed = end

    @property
    def _rectifies(self) -> bool:
        # For integers, `absolute` follows from the sum of `rectified` exactly.
        assert self._ring is not None
        return self._method == "rectified" or self._ring.dtype == np.uint8

    def _ends(self) -> Array:
        """A copy of the last two frames [2, ...], or of the only one [1, ...]."""
        assert self._ring is not None
        last = range(max(0, self._count - 2), self._count)
        return self._ring[[t % len(self._ring) for t in last]]

    def _step(self, frames: Array) -> Array:
        """[1, ...]: the difference of frames [2, ...] as the motion methods sum it."""
        assert self._sums is not None
        step = np.zeros_like(self._sums)
        _sums.accumulate_motion(frames, 1, 2, self._rectifies, step)
        return step

    def _merged_sums(
        self, other: "ActiveImageAccumulator", earlier: dict[str, Any], later: dict[str, Any]
    ) -> Array | None:
        if self._sums is None:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            sums: Array = earlier["sums"] + later["sums"]
            if self._method == "cumulative":
                return sums + self._seam(earlier, later)
            if self._method in MOTION_METHODS:
                # The differences that are no longer the last: that of this part, and at the seam.
                if self._count > 1:
                    sums += self._step(earlier["ends"])
                if other._count > 1:
                    sums += self._step(np.stack([earlier["ends"][-1], later["first"]]))
                return sums
            # The later part's sums S(k) begin at 0, those of the whole with the earlier part's S.
            before = earlier["sums"][0]
            sums[1] += other._count * before
            if self._method in _HARMONIC:
                sums[2] += _harmonic(other._start, other._count) * before
        return sums

    def _seam(self, earlier: dict[str, Any], later: dict[str, Any]) -> Array:
        """[...]: what the sums of two parts lack of the sum of the whole, under `cumulative`.

        The last frame of the earlier part and the first of the later part are now in the middle,
        and the deviations of the later part were taken from its own first frame.
        """
        assert self._sums is not None
        wide = self._sums.dtype
        first, last, next_ = earlier["first"], earlier["ends"][-1], later["first"]
        shift = np.subtract(next_, first, dtype=wide)
        if later["count"] == 1:  # it is the last frame of the whole
            shift = np.zeros_like(shift)
        return np.subtract(last, first, dtype=wide) + (later["count"] - 1) * shift

    def _image(self) -> Array:
        """The image before normalisation, in int64 or float64; all frames are in the sums."""
        n, method = self._count, self._method
        assert self._ring is not None
        # One frame has no motion, and under `authors` two frames have weight 0 as well.
        if n == 1 or (method == "authors" and n == 2):
            return np.zeros(self._ring.shape[1:])
        if method not in _ENDS:
            return self._weighted()
        assert self._first is not None
        wide = np.int64 if self._ring.dtype == np.uint8 else np.float64
        ends = self._ends()
        first, previous, last = (frame.astype(wide) for frame in (self._first, *ends))
        if method == "authors":
            return self._weighted() + first - last
        if method == "cumulative":
            assert self._sums is not None
            return 2 * self._sums[0] + (last - first)
        # Of two frames, the first is not counted twice, so that infinities do not cancel to NaN.
        telescoped: Array = last - first if n == 2 else -2 * first + previous + last
        if self._sums is None:
            return telescoped
        # Every difference counts twice except the last, which counts once.
        moved: Array = 2 * self._sums[0] + self._step(ends)[0]
        return 2 * moved - telescoped if method == "absolute" and wide is np.int64 else moved

    def _weighted(self) -> Array:
        n = self._count
        assert self._sums is not None
        total, prefixes, *means = self._sums
        if means:
            return 2 * prefixes - (n + 1 if self._method == "rank" else n) * means[0]
        return (n + 1) * total - 2 * prefixes


def _harmonic(start: int, count: int) -> float:
    """The sum of 1 / k for k = start + 1 .. start + count, in bounded time."""
    end = start + count
    first = min(max(start, 1 << 16), end)  # terms up to here are added one by one
    total = float((1 / np.arange(start + 1, first + 1, dtype=np.float64)).sum())
    if end > first:
        # H(n) = ln n + g + 1 / (2 n) - 1 / (12 n^2) + ...; what follows is below 2^-70 here.
        total += math.log1p((end - first) / first) + (1 / end - 1 / first) / 2
        total -= (1 / end**2 - 1 / first**2) / 12
    return total


def _sum_dtype(number: int, dtype: np.dtype[Any]) -> type:
    """The dtype of `number` sums: int64 for uint8 frames, unless one of them is of S(k) / k."""
    return np.int64 if dtype == np.uint8 and number < 3 else np.float64


def _array(state: dict[str, Any], name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """An array of a state that can be written to: the array itself, or a copy."""
    array = state.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{_NAME}: {name} must be an array of {np.dtype(dtype)}, got {got}")
    if array.shape != shape:
        raise ValueError(f"{_NAME}: {name} must be {list(shape)}, got {list(array.shape)}")
    return np.require(array, dtype, ["C", "A", "W", "E"])


def _check_sums(sums: Array, count: int, signed: bool) -> None:
    """Raises unless `count` frames of uint8 can add up to these integer sums."""
    for array, most in zip(sums, (255 * count, 255 * count * (count + 1) // 2), strict=False):
        if array.min() < (-most if signed else 0) or array.max() > most:
            raise ValueError(f"{_NAME}: no {count} frames of uint8 have the sums of this state")


def _describe(frame: Array) -> str:
    return f"{list(frame.shape)} {frame.dtype}"
