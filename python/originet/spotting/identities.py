"""Keeps the identities of faces from one stretch of a video to the next.

Each stretch has a tracker of its own, which counts faces from 0. A face that it names for the first
time is the one that was last seen in its place, if that is not elsewhere in the frame.
"""

from collections.abc import Sequence

from originet.clips.cascade_tracker import same_place
from originet.clips.faces import Box
from originet.clips.tracking import TrackedFace


class Identities:
    """Identities in the whole video, by identities of its stretches.

    Args:
        places: Where each face of earlier stretches was last seen.
    """

    def __init__(self, places: dict[int, Box] | None = None) -> None:
        self.places = dict(places or {})
        self._names: dict[tuple[int, int], int] = {}

    def see(self, stretch: int, faces: Sequence[TrackedFace]) -> None:
        """Takes the faces of the next frame, as its stretch's tracker names them."""
        keys = {(stretch, face.identity): face for face in faces}
        taken = {self._names[key] for key in keys if key in self._names}
        for key, face in keys.items():
            if key not in self._names:
                free = [
                    name
                    for name, place in self.places.items()
                    if name not in taken and same_place(place, face.box)
                ]
                self._names[key] = free[-1] if free else len(self.places)
                taken.add(self._names[key])
            name = self._names[key]
            self.places[name] = face.box

    def name(self, stretch: int, identity: int) -> int:
        """Returns the identity in the video of a face that was seen."""
        return self._names[stretch, identity]
