"""bench/study_spotting.py: its committed results, and one short case of it."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from planted_faces import FPS, clip

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study():
    """The program, loaded as a module."""
    path = ROOT / "bench" / "study_spotting.py"
    spec = importlib.util.spec_from_file_location("study_spotting", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_spotting"] = module  # where dataclasses look up the types of fields
    spec.loader.exec_module(module)
    yield module
    del sys.modules["study_spotting"]


def test_the_docs_are_what_the_committed_results_give(study):
    text = study.DOCS.read_text()
    shown = text.split(study.BEGIN)[1].split(study.END)[0]
    assert shown == "\n" + study.table(study.RESULTS)


def test_committed_results_are_whole_and_still_faces_are_spotted(study):
    with open(study.RESULTS, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        hits, found, planted = (int(row[name]) for name in ("hits", "found", "planted"))
        assert hits <= min(found, planted)
        wanted = 2 * hits / (found + planted) if found + planted else 0
        assert float(row["f1"]) == pytest.approx(wanted, abs=1e-4)
    (still,) = [row for row in rows if (row["case"], row["video"]) == ("still, planted", "all")]
    assert float(still["f1"]) >= 0.8 and int(still["planted"]) > 100


def test_each_interval_counts_once(study):
    assert study.matches([(10, 19), (12, 21)], [(11, 20)]) == 1
    assert study.matches([(10, 19)], [(15, 24)]) == 0  # a third
    assert study.matches([(10, 19)], [(10, 14)]) == 1  # a half, ends included
    assert study.matches([(10, 19), (30, 39)], [(30, 40), (9, 19)]) == 2


@pytest.mark.slow
def test_planted_movements_of_a_short_video_are_found(study):
    frames, planted = clip()
    result = study.measure("still, planted", "astronaut", 0, frames, FPS, planted)
    assert result.f1 >= 0.8 and result.seconds == pytest.approx(4.5)
    same = list(study.planted_frames(frames, [None] * len(frames), planted))
    assert all(np.array_equal(one, other) for one, other in zip(frames, same, strict=True))
