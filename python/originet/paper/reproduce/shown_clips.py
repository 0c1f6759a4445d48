"""Chooses the clips that the pictures show, and makes Fig. 2: a clip's frames and active image.

All pictures show clips of one subject that the networks of Figs. 4 and 5 never saw. Clips are
chosen by the order of their names, never by their looks.
"""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from originet.clips.active_images import phases
from originet.clips.clip import open_clip
from originet.datasets import ClipTable
from originet.datasets.prepare import Settings
from originet.evaluation.splits import SortedClips
from originet.paper.reproduce.figures import Picture
from originet.system.errors import InputError
from originet.system.words import counted
from originet.training.config import Config

PHASES = ("onset", "apex", "offset", "active image")
CLIPS_A_CLASS = 2  # Fig. 5 shows two pictures of each emotion


class Shown(NamedTuple):
    """The clips of the pictures.

    Attributes:
        subject: Their subject.
        places: Their indices among the sorted clips, ordered by class and name.
        labels: The class of each.
        training: Indices of all other subjects' clips.
    """

    subject: str
    places: list[int]
    labels: list[str]
    training: NDArray[np.int64]

    def first_of_each(self) -> list[int]:
        """Returns the indices of one clip of each class."""
        return [self.places[self.labels.index(label)] for label in dict.fromkeys(self.labels)]


class Phases(NamedTuple):
    """A row of Fig. 2.

    Attributes:
        label: The clip's class.
        clip: Its name.
        pictures: One for each of `PHASES`; None for missing frames.
        difference: Mean absolute difference of apex and onset in grey levels (0..255), or None.
    """

    label: str
    clip: str
    pictures: list[Picture | None]
    difference: float | None


def choose_clips(clips: SortedClips) -> Shown:
    """Chooses a subject and its clips: the one with the most classes, on a tie the first by name.

    Args:
        clips: The clips.

    Returns:
        Up to two clips of each class.
    """
    subjects, labels = clips.subjects, clips.labels
    having = {str(name): len(set(labels[subjects == name])) for name in np.unique(subjects)}
    subject = max(having, key=having.__getitem__)  # the first on a tie
    places = [
        int(place)
        for label in range(len(clips.classes))
        for place in np.flatnonzero((subjects == subject) & (labels == label))[:CLIPS_A_CLASS]
    ]
    return Shown(
        subject,
        places,
        [clips.classes[labels[place]] for place in places],
        np.flatnonzero(subjects != subject),
    )


def phase_pictures(
    table: ClipTable, place: int, active: NDArray[np.uint8], cut: Settings, method: str
) -> list[Picture]:
    """Reads onset, apex and offset of a clip, cropped and resized like its active image.

    Args:
        table: The clips.
        place: Index of the clip.
        active: Its active image [S, S].
        cut: How its frames were cropped and resized.
        method: The active image's method.

    Returns:
        The pictures of `PHASES`. The apex is the annotated one, or else the frame that differs most
        from the onset.

    Raises:
        InputError: If the frames no longer exist or cannot be read.
    """
    row = table.iloc[place]
    if not Path(row["frames"][0]).exists():
        raise InputError(f"no such file: {row['frames'][0]}")
    clip = open_clip(
        row["frames"],
        start=_number(row["onset"]),
        end=_number(row["offset"]),
        **cut.cut(),
    )
    apex = _number(row["apex"])
    found = phases(clip, method, apex=apex)
    notes = [f"frame {shot.number}" for shot in (found.onset, found.apex, found.offset)]
    notes[1] += "" if apex is not None else " (estimated)"
    frames = (found.onset.pixels, found.apex.pixels, found.offset.pixels)
    pictures = [Picture(pixels, note) for pixels, note in zip(frames, notes, strict=True)]
    return [*pictures, Picture(active, f"of {counted(found.length, 'frame')}")]


def phase_rows(
    clips: SortedClips, shown: Shown, config: Config, failed: dict[str, str]
) -> list[Phases]:
    """Reads the clips of Fig. 2, one of each class.

    Args:
        clips: The clips.
        shown: The clips that the pictures show.
        config: The settings; they name the method of the active images.
        failed: Receives the reason, under "Fig. 2, frames", if a clip's frames cannot be read.

    Returns:
        The rows. A clip without frames, such as one in a store whose data set is elsewhere, shows
        only its active image.
    """
    table, images, cuts = clips.rows, clips.images[config.method], clips.cuts_as(config)
    rows = []
    for place in shown.first_of_each():
        pictures: list[Picture | None]
        difference = None
        try:
            onset, apex, *others = phase_pictures(
                *(table, place, images[place], cuts[place], config.method)
            )
            pictures = [onset, apex, *others]
            difference = float(cv2.absdiff(onset.pixels, apex.pixels).mean())
        except InputError as error:
            failed.setdefault("Fig. 2, frames", str(error))
            pictures = [None, None, None, Picture(images[place])]
        label = shown.labels[shown.places.index(place)]
        rows.append(Phases(label, str(table["clip"].iloc[place]), pictures, difference))
    return rows


def _number(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
