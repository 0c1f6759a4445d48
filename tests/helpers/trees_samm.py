"""Writes small copies of SAMM as users have it on disk: its layout, its oddities, our pictures."""

from typing import NamedTuple

from trees_casme import write_frames
from workbooks import write_workbook

WORKBOOK = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset Frame",
    "Apex Frame",
    "Offset Frame",
    "Duration",
    "Micro",
    "Action Units",
    "Estimated Emotion",
    "Objective Classes",
    "Notes",
)


class Row(NamedTuple):
    """What the workbook says of one clip."""

    subject: str
    clip: str
    onset: int
    apex: int | str | None
    offset: int
    action_units: str | int
    emotion: str
    objective: int = 7
    notes: str | None = None


# Subject 007 numbers the frames with four digits, and with five beyond 9999.
ROWS = (
    Row("006", "006_1_2", 5562, 5564, 5566, "R12 or R15", "Happiness"),
    Row("006", "006_2_1", 610, 612, 613, "?", "Others", 7, "Blink at offset"),
    Row("007", "007_3_1", 7030, 7031, 7033, 4, " Anger", 4),
    Row("007", "007_6_5", 9998, 9999, 10001, "4+7", "Surprise"),
    Row("011", "011_1_1", 300, None, 304, "A1B", "Other"),
    Row("035", "035_7_1", 20, "/", 24, "14", "contempt"),
)


def write_samm(
    root, rows=ROWS, *, preamble=13, subject=str, trees=("SAMM/SAMM",), workbook=WORKBOOK, disk=None
):
    """Writes the workbook and the frames of its clips.

    Args:
        root: the folder to write into.
        rows: the clips.
        preamble: lines of text above the header.
        subject: what the cells of the subjects are: `str` for the text 006, `int` for the number.
        trees: folders of the subjects' folders.
        workbook: where the workbook is, below `root`.
        disk: clip -> numbers of its frames, where they are others than onset to offset.

    Returns:
        The root.
    """
    rows_of_sheet = [*_text(preamble), HEADER, *(cells(row, subject) for row in rows)]
    write_workbook(root / workbook, {"MICRO ONLY": rows_of_sheet})
    for tree in trees:
        for row in rows:
            numbers = (disk or {}).get(row.clip, range(row.onset, row.offset + 1))
            width = 4 if row.subject == "007" else 5
            write_frames(
                root / tree / row.subject / row.clip,
                (f"{row.subject}_{number:0{width}d}.jpg" for number in numbers),
            )
            (root / tree / row.subject / "Thumbs.db").touch()
    return root


def cells(row, subject=str):
    """Returns the cells of a row in the order of `HEADER`."""
    place = (row.onset, row.apex, row.offset, 99, "Micro - 1/2")
    return (subject(row.subject), row.clip, 1, *place, *row[5:])


def many_rows(count):
    """Returns rows of `count` clips of two frames, all of subject 020."""
    return [
        Row("020", f"020_{n}_1", 10 * n + 1, 10 * n + 2, 10 * n + 2, 4, "Anger")
        for n in range(count)
    ]


def _text(lines):
    """The title, the explanations and the blank lines above the header."""
    return [
        [None] if line % 4 == 3 else [f"Explanation {line} of the codes below, by subject"]
        for line in range(lines)
    ]
