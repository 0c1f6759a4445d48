"""Which clips the pictures show, and Fig. 2: frames of a clip beside its active image.

All pictures show clips of one subject, whom the networks of Figs. 4 and 5 never saw. Clips are
taken in the order of their names, never for how they look.
"""

from collections.abc import Sequence
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
from originet.evaluation.loso import check_table
from originet.paper.reproduce.figures import Picture
from originet.system.errors import InputError
from originet.system.words import counted

PHASES = ("onset", "apex", "offset", "active image")
CLIPS_A_CLASS = 2  # Fig. 5 shows two pictures of each emotion


class Shown(NamedTuple):
    """The clips of the pictures.

    Attributes:
        subject: Whose they are, as `check_table` names subjects.
        places: Their positions in the table, in the order of class and name.
        labels: The class of each.
        training: Positions of all other subjects' clips, in the order of their names.
    """

    subject: str
    places: list[int]
    labels: list[str]
    training: NDArray[np.int64]

    def first_of_each(self) -> list[int]:
        """Returns the positions of one clip of each class."""
        return [self.places[self.labels.index(label)] for label in dict.fromkeys(self.labels)]


class Phases(NamedTuple):
    """A row of Fig. 2.

    Attributes:
        label: The clip's class.
        clip: Its name.
        pictures: Those of `PHASES`; None for frames that are not at hand.
        difference: Mean absolute difference of apex and onset in grey levels of 255, or None.
    """

    label: str
    clip: str
    pictures: list[Picture | None]
    difference: float | None


def choose_clips(table: ClipTable) -> Shown:
    """Chooses the first subject, by name, of those with clips of most classes, and their clips.

    Args:
        table: The clips, which can be evaluated by leaving subjects out.

    Returns:
        Up to two clips of each class.

    Raises:
        InputError: If the table cannot be evaluated, see `originet.evaluation.loso.check_table`.
    """
    subjects, classes, labels = check_table(table)
    names = table["clip"].astype(str).to_numpy()
    order = np.lexsort((names, subjects))
    having = {name: len(set(labels[subjects == name])) for name in sorted(set(subjects))}
    subject = max(having, key=having.__getitem__)  # of equals the first
    places = [
        int(place)
        for label in range(len(classes))
        for place in [i for i in order if (subjects[i], labels[i]) == (subject, label)][
            :CLIPS_A_CLASS
        ]
    ]
    return Shown(
        subject,
        places,
        [classes[labels[place]] for place in places],
        np.array([place for place in order if subjects[place] != subject]),
    )


def phase_pictures(
    table: ClipTable, place: int, active: NDArray[np.uint8], cut: Settings, method: str
) -> list[Picture]:
    """Reads onset, apex and offset of a clip, cut and resized as its active image was.

    Args:
        table: The clips.
        place: Which one.
        active: Its active image [S, S].
        cut: How its frames were cut out and resized.
        method: How it was made.

    Returns:
        The pictures of `PHASES`. The apex is that of the annotations; where they have none, the
        frame that differs most from the onset.

    Raises:
        InputError: If the frames are not there any more, or cannot be read.
    """
    row = table.iloc[place]
    if not Path(row["frames"][0]).exists():
        raise InputError(f"no such file: {row['frames'][0]}")
    clip = open_clip(
        row["frames"],
        start=_number(row["onset"]),
        end=_number(row["offset"]),
        crop_face=cut.crop_face,
        align_eyes=cut.align_eyes,
        margin=cut.margin,
        size=cut.image_size,
    )
    apex = _number(row["apex"])
    found = phases(clip, method, apex=apex)
    notes = [f"frame {shot.number}" for shot in (found.onset, found.apex, found.offset)]
    notes[1] += "" if apex is not None else " (estimated)"
    frames = (found.onset.pixels, found.apex.pixels, found.offset.pixels)
    pictures = [Picture(pixels, note) for pixels, note in zip(frames, notes, strict=True)]
    return [*pictures, Picture(active, f"of {counted(found.length, 'frame')}")]


def phase_rows(
    table: ClipTable,
    shown: Shown,
    images: NDArray[np.uint8],
    cuts: Sequence[Settings],
    method: str,
    failed: dict[str, str],
) -> list[Phases]:
    """Reads the clips of Fig. 2, one of each class.

    Args:
        table: The clips.
        shown: Those of the pictures.
        images: All active images [N, S, S].
        cuts: How each clip's frames were cut out and resized, [N].
        method: How the images were made.
        failed: Gets the reason, under "Fig. 2, frames", if the frames of a clip cannot be read.

    Returns:
        The rows. A clip without frames, as in a store whose data set is elsewhere, keeps its
        active image.
    """
    rows = []
    for place in shown.first_of_each():
        pictures: list[Picture | None]
        difference = None
        try:
            onset, apex, *others = phase_pictures(table, place, images[place], cuts[place], method)
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
