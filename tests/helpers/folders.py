"""Folders of clips and lists of them, as small as a survey takes."""

import cv2
import numpy as np


def write_clip(folder, numbers=(1, 2, 3)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        assert cv2.imwrite(str(folder / f"img{number}.png"), np.full((8, 8), number, np.uint8))


def write_csv(folder, text):
    path = folder / "clips.csv"
    path.write_text(text)
    return path


def names(table):
    return list(table[["subject", "clip", "emotion"]].itertuples(index=False, name=None))


def rows(*lines, header="path,subject,emotion,onset,apex,offset,fps"):
    return "\n".join((header, *lines)) + "\n"
