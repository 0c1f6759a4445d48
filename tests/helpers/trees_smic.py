"""Writes small trees in the shape of SMIC, with pictures and codes of our own."""

from typing import NamedTuple

from trees_casme import around, write_frames
from workbooks import write_workbook

WORKBOOK = "SMIC-HS-E_annotation_2019.xlsx"
HEADER = (
    *("Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "TotalMF1", "Onset2F", "Offset2F"),
    *("FirstF", "LastF", "TotalVL", "Emotion"),
)
LAYOUTS = {
    "cropped": "SMIC_all_cropped/HS",
    "raw": "SMIC_all_raw/HS",
    "long": "SMIC_HS_E",
    "VIS": "SMIC_all_cropped/VIS",
    "NIR": "SMIC_all_raw/NIR",
}


class Coded(NamedTuple):
    """A row as it is coded, with the names of lists, and the numbers of the clip's frames."""

    subject: int
    clip: str
    onset: object
    apex: object
    offset: object
    emotion: str
    frames: range
    second: tuple[object, object] = (None, None)

    @property
    def folder(self):
        """The name on disk: s3_ne_03 for s03_ne_03."""
        return self.clip.replace("s0", "s", 1)


CLIPS = (
    Coded(3, "s03_ne_01", 9876, 9880, 9890, "negative", range(9876, 9891)),
    Coded(3, "s03_ne_03", "100020", None, "100028", "Negative ", range(100020, 100029)),
    Coded(3, "s03_su_02", 300, 305, 309, "surprise", range(300, 310), (312, 314)),
    Coded(11, "s11_po_01", 99998, 100000, 100003, "positive", range(99998, 100004)),
    Coded(11, "s11_ne_01", 40, 44, 0, "negative", range(40, 45)),
    Coded(20, "s20_po_12", 7, 0, 13, "Positive", range(7, 14)),
)


def write_smic(
    root,
    *,
    rows=CLIPS,
    workbook=WORKBOOK,
    layouts=("cropped",),
    header=HEADER,
    without=(),
    missing=(),
    subject=int,
):
    """Writes the workbook and the frames.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file; None for none.
        layouts: of `LAYOUTS`. Long clips have three more frames at both ends.
        header: cells of the first row; columns that it lacks are not written.
        without: names of clips of which there are no frames.
        missing: numbers of the frames that the cropped clips lack.
        subject: what the cells of the subjects are, such as `str`.

    Returns:
        The workbook, or None.
    """
    for layout in layouts:
        for row in rows:
            if row.clip in without:
                continue
            home = root / LAYOUTS[layout]
            if layout == "long":
                folder = home / f"s{row.subject:02d}" / row.folder
            else:
                emotion = row.emotion.strip().lower()
                folder = home / f"s{row.subject}" / "micro" / emotion / row.folder
            numbers = around(row.frames, layout != "long")
            if home.parent.name == "SMIC_all_cropped":
                numbers = [number for number in numbers if number not in missing]
                names = [f"reg_image{number:06d}.bmp" for number in numbers]
            else:
                names = [
                    f"image{number:06d}.{'jpg' if layout == 'long' else 'bmp'}"
                    for number in numbers
                ]
            write_frames(folder, names)
    if workbook is None:
        return None
    return write_workbook(
        root / workbook, {"Sheet1": [header, *(cells(r, header, subject) for r in rows)]}
    )


def cells(row, header=HEADER, subject=int):
    """Returns the cells of a row below the given header."""
    values = {
        "Subject": subject(row.subject),
        "Filename": row.clip,
        "OnsetF": row.onset,
        "ApexF": row.apex,
        "OffsetF": row.offset,
        "TotalMF1": len(row.frames),
        "Onset2F": row.second[0],
        "Offset2F": row.second[1],
        "Emotion": row.emotion,
    }
    return [values.get(name) for name in header]
