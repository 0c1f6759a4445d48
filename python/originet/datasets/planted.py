"""Micro-movements planted into frames that show a real face, for tests of spotting.

The movements are those of `originet.datasets.synth`, as are their course and their length, but the
frames are those of a video: the face keeps its place, its light and whatever else it does. When a
movement begins and ends is therefore known to the frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.displacement import displacement
from originet.clips.still import Image
from originet.clips.tracking import EYES
from originet.datasets import synth

PEAK = (1.0, 2.0)
"""Pixels of a 128-pixel face, at the strongest point at the apex."""

_SIDE = 128
# Where a movement of `synth` lies in the unit square of an aligned face: its eyes are at (42, 52)
# and (86, 52) and its mouth at (64, 97), those of an aligned face at `EYES` and (0.5, 0.74).
_ACROSS = (EYES[1][0] - EYES[0][0]) / (86 - 42)
_DOWN = (0.74 - EYES[0][1]) / (97 - 52)
_JITTER = 0.015  # of the places, in the unit square

Float = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Planted:
    """A movement that was planted."""

    onset: int
    """Index of its first frame, the last at rest."""
    course: Float
    """[T], 0 at rest and 1 at the apex."""
    emotion: str
    peak: float
    """Pixels of a 128-pixel face."""
    bumps: Float
    """[N, 5] in the unit square: x, y, radius, and the displacement (x, y) at the apex."""

    @property
    def offset(self) -> int:
        """Index of its last frame, at rest again."""
        return self.onset + len(self.course) - 1


def movements(
    length: int, fps: float, rng: Rng, *, first: float = 2.0, gaps: tuple[float, float] = (1.2, 2.5)
) -> list[Planted]:
    """Draws movements for a video.

    Args:
        length: Its frames.
        fps: Frames per second.
        rng: Random numbers.
        first: Seconds before the first movement.
        gaps: Shortest and longest pause between two, in seconds.

    Returns:
        The movements, in order; after the last, a second is left.
    """
    found: list[Planted] = []
    start = first
    while True:
        course = _course(fps, rng)
        emotion = list(synth.MOVEMENTS)[rng.integers(len(synth.MOVEMENTS))]
        peak = float(rng.uniform(*PEAK))
        onset = round(start * fps)
        if onset + len(course) + fps > length:
            return found
        found.append(Planted(onset, course, emotion, peak, _bumps(emotion, peak, rng)))
        start = (onset + len(course)) / fps + rng.uniform(*gaps)


def _course(fps: float, rng: Rng) -> Float:
    """Draws a course as `synth` does, at any rate: it rises, stays and falls."""
    while True:
        times = (rng.uniform(*each) for each in (synth.RISE, synth.PLATEAU, synth.FALL))
        rise, stay, fall = (each / 1000 for each in times)
        whole = 1000 * (rise + stay + fall)
        if synth.DURATION[0] <= whole <= synth.DURATION[1]:
            break
    seconds = np.arange(int(np.ceil(whole / 1000 * fps)) + 1) / fps
    rising, falling = _smooth(seconds / rise), _smooth((seconds - rise - stay) / fall)
    return np.where(seconds < rise + stay, rising, 1 - falling)


def _smooth(time: Float) -> Float:
    time = np.clip(time, 0, 1)
    return time * time * (3 - 2 * time)


def _bumps(emotion: str, peak: float, rng: Rng) -> Float:
    choices = synth.MOVEMENTS[emotion]
    bumps = np.array(
        [
            (
                0.5 + (pull.x - 64) * _ACROSS + rng.uniform(-_JITTER, _JITTER),
                EYES[0][1] + (pull.y - 52) * _DOWN + rng.uniform(-_JITTER, _JITTER),
                pull.radius * _ACROSS * rng.uniform(0.85, 1.2),
                pull.dx,
                pull.dy,
            )
            for pull in choices[rng.integers(len(choices))]
        ]
    )
    rows, columns = (np.mgrid[:_SIDE, :_SIDE] + 0.5) / _SIDE
    strongest = np.linalg.norm(displacement(bumps, columns, rows), axis=0).max()
    bumps[:, 3:] *= peak / _SIDE / strongest
    return bumps


def plant(
    frame: Image,
    index: int,
    warp: Float,
    planted: Sequence[Planted],
    motion: Float | None = None,
) -> NDArray[np.float32]:
    """Moves a face in a frame.

    Args:
        frame: [H, W] uint8.
        index: Of the frame in its video.
        warp: [2, 3], where the face is: from pixels of the frame to the aligned face's unit square.
        planted: The movements in the video.
        motion: [2, 3], moves the whole frame as well: from its pixels to where they shall be.

    Returns:
        [H, W] grey levels, not rounded.
    """
    height, width = frame.shape
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    if motion is not None:
        back = cv2.invertAffineTransform(motion)
        columns, rows = (each[0] * columns + each[1] * rows + each[2] for each in back)
    now = [each for each in planted if each.onset < index < each.offset]
    if now:
        x, y = (each[0] * columns + each[1] * rows + each[2] for each in warp)
        moved = sum(
            each.course[index - each.onset] * displacement(each.bumps, x, y) for each in now
        )
        right, down = np.einsum("ij,j...->i...", np.linalg.inv(warp[:, :2]), moved)
        columns, rows = columns - right, rows - down
    return np.asarray(
        cv2.remap(
            frame.astype(np.float32),
            (columns - 0.5).astype(np.float32),
            (rows - 0.5).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def still_video(
    frame: Image,
    warp: Float,
    planted: Sequence[Planted],
    length: int,
    fps: float,
    rng: Rng,
    *,
    sway: float = 3.0,
    noise: float = 1.5,
) -> Iterator[Image]:
    """Yields a video of one frame: the head sways slowly, and the camera adds noise.

    Args:
        frame: [H, W] uint8.
        warp: [2, 3], where the face is in it; see `plant`.
        planted: Movements of the face.
        length: Frames of the video.
        fps: Frames per second.
        rng: Random numbers.
        sway: Amplitude of the head's shift, in pixels of a 128-pixel face; it also turns by 0.6
            degrees and comes closer by 0.8 percent.
        noise: Standard deviation in grey levels.
    """
    side = 1 / np.sqrt(abs(np.linalg.det(warp[:, :2])))
    middle = np.linalg.solve(warp[:, :2], np.array([0.5, 0.5]) - warp[:, 2])
    seconds = np.arange(length) / fps
    speed, phase = rng.uniform(0.1, 0.5, (5, 1)), rng.uniform(0, 2 * np.pi, (2, 5, 1))
    swing = np.sin(2 * np.pi * speed * seconds + phase[0])
    swing = swing + 0.3 * np.sin(2 * np.pi * 2.3 * speed * seconds + phase[1])
    right, down, turn, near, light = swing * np.array([[sway], [sway], [0.6], [0.008], [0.01]])
    for index in range(length):
        motion = cv2.getRotationMatrix2D(tuple(middle), float(turn[index]), 1 + float(near[index]))
        motion[:, 2] += np.array([right[index], down[index]]) * side / _SIDE
        moved = plant(frame, index, warp, planted, np.asarray(motion, np.float64))
        moved = moved * (1 + light[index]) + noise * rng.standard_normal(frame.shape)
        yield np.clip(np.rint(moved), 0, 255).astype(np.uint8)
