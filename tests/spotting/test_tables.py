import csv
import io

import numpy as np
from made_up import interval

from originet.clips.faces import Box
from originet.spotting.regions import REGIONS
from originet.spotting.scene import Row
from originet.spotting.tables import (
    FRAME_COLUMNS,
    INTERVAL_COLUMNS,
    frame_lines,
    write_intervals,
)


def test_a_line_of_frames_holds_what_is_known():
    energies = np.arange(len(REGIONS) + 1) / 10
    rows = [Row(0, 0.0), Row(1, 0.04, 2, 0.5, Box(3, 4, 50)), Row(2, 0.08, 2, 0.6, Box(3, 4, 50))]
    rows[2].energies = energies
    text = ",".join(FRAME_COLUMNS) + "\n" + frame_lines(rows, [1, 2, 3])
    none, early, known = csv.DictReader(io.StringIO(text))
    assert (none["success"], none["face"], none["x"]) == ("0", "", "")
    assert (early["success"], early["face"], early["size"], early["nose"]) == ("1", "2", "50", "")
    assert known["frame"] == "3" and known["rigid"] == "0.800" and known["brow_right"] == "0.100"


def test_intervals_of_several_videos_and_names_that_look_like_formulas(tmp_path):
    found = [("=a.mp4", [interval(label="joy", confidence=0.5)]), ("b.mp4", [interval(1)])]
    write_intervals(tmp_path / "intervals.csv", found)
    with open(tmp_path / "intervals.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == INTERVAL_COLUMNS
    assert first["video"] == "'=a.mp4" and first["confidence"] == "0.5000"
    assert (second["face"], second["onset"], second["apex"], second["offset"]) == (
        *("1", "31"),
        *("34", "37"),
    )
    assert second["label"] == second["confidence"] == second["note"] == ""
