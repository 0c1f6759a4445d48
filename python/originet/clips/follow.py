"""Cuts one face out of a clip, frame by frame, with the head's motion taken out.

The face is the one that is largest in sampled frames. Every frame is warped by a shift, a rotation
and a scaling, so that the eyes stay at `originet.clips.tracking.EYES`; see `originet.clips.steady`.
Where the face is lost, the warp stays as it was.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from originet.clips.faces import NoFaceError
from originet.clips.landmarks import REMEMBERED, LandmarkTracker, find_points
from originet.clips.similarity import Similarity, to_complex
from originet.clips.steady import level_eyes
from originet.clips.still import Image
from originet.clips.tracking import TrackedFace, warped
from originet.clips.video import Timed
from originet.system.words import counted

_MIDDLE = 0.5 + 0.5j

# Frames a second where times are unknown. Too low a rate smooths too little; too high a one would
# let the crop lag behind the face.
_UNKNOWN_RATE = 25.0


class ClipFace(NamedTuple):
    """The face to cut out of a clip."""

    warp: Similarity
    """To the aligned face, in the sampled frame where its place is nearest to the median."""
    people: int
    """Faces that at least half of the sampled frames show."""

    @property
    def centre(self) -> complex:
        """Its place in the frame, x + iy in pixels."""
        back = self.warp.inverse()
        return back.a * _MIDDLE + back.b

    @property
    def side(self) -> int:
        """Pixels of the frame that the aligned face has a side."""
        return max(1, round(1 / abs(self.warp.a)))


def find_face_of(samples: Sequence[Image]) -> ClipFace:
    """Finds the face to follow: the largest of each sampled frame, near the median place.

    Args:
        samples: frames of one size, [H, W] or [H, W, 3] uint8.

    Raises:
        NoFaceError: if none shows a face.
        InputError: if the networks of the landmarks are missing.
    """
    found = [find_points(frame) for frame in samples]
    faces = [ClipFace(level_eyes(to_complex(each[0][0])), 0) for each in found if each]
    if not faces:
        height, width = samples[0].shape[:2]
        what = f"{counted(len(samples), 'sampled frame')} of {width}x{height}"
        raise NoFaceError(f"no face found in {what}")
    places = np.array([(face.centre.real, face.centre.imag, face.side) for face in faces])
    far = np.linalg.norm(places - np.median(places, axis=0), axis=1)
    people = sorted(map(len, found))[(len(found) - 1) // 2]
    return faces[int(far.argmin())]._replace(people=people)


def follow(frames: Iterable[Timed], face: ClipFace, size: int | None) -> Iterator[Timed]:
    """Cuts a face out of all frames of a clip.

    Args:
        frames: the frames, in their order; if their times are unknown, 25 a second are assumed.
        face: the face, from `find_face_of`.
        size: height and width of the results, in pixels; None leaves the face as large as it is.

    Yields:
        Each frame as [size, size] or [size, size, 3] uint8, before the next is taken.
    """
    tracker = LandmarkTracker()
    size = face.side if size is None else size
    warp, identity, seen = face.warp.matrix(), -1, 0.0
    centre = face.centre
    for index, frame in enumerate(frames):
        seconds = index / _UNKNOWN_RATE if frame.seconds is None else frame.seconds
        there = {each.identity: each for each in tracker.follow(frame.pixels, seconds)}
        if there and identity not in there and (identity < 0 or seconds - seen > REMEMBERED):
            identity = min(there, key=lambda each: abs(_centre(there[each]) - centre))
        if identity in there:
            warp, seen, centre = there[identity].warp, seconds, _centre(there[identity])
        yield frame._replace(pixels=warped(frame.pixels, warp, size))


def _centre(face: TrackedFace) -> complex:
    return complex(face.box.x + face.box.size / 2, face.box.y + face.box.size / 2)
