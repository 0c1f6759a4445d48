"""bench/study_spotting.py: its committed results, and one short case of it."""

import numpy as np
import pytest
import study_spotting as study
from made_up import interval
from planted_faces import FPS, clip
from study_rows import put_table, read_rows

from originet.datasets.planted import movements


def test_the_docs_are_what_the_committed_results_give():
    rows = read_rows(study.RESULTS, study.Result)
    put_table(study.DOCS, "study", study.table(rows), check=True, command="")


def test_committed_results_are_whole_and_still_faces_are_spotted():
    rows = read_rows(study.RESULTS, study.Result)
    for row in rows:
        assert row.hits + row.own <= row.found and row.hits <= row.planted
        for score, rest in ((row.f1, row.found), (row.f1_planted, row.found - row.own)):
            wanted = 2 * row.hits / (rest + row.planted) if rest + row.planted else 0
            assert score == pytest.approx(wanted, abs=1e-4)
    still, talking = (
        next(row for row in rows if (row.case, row.video) == (f"{face}, planted", "all"))
        for face in ("still", "talking")
    )
    assert still.f1 > 0.98 and still.planted > 60
    assert talking.f1 > 0.56 and talking.f1_planted > 0.69 and talking.planted > 60


def test_each_interval_counts_once():
    assert study.matched([(10, 19), (12, 21)], [(11, 20)]) == (1, [])
    assert study.matched([(10, 19)], [(15, 24)]) == (0, [(15, 24)])  # a third
    assert study.matched([(10, 19)], [(10, 14)]) == (1, [])  # a half, ends included
    assert study.matched([(10, 19), (30, 39)], [(30, 40), (9, 19), (50, 60)]) == (2, [(50, 60)])


def test_what_the_untouched_video_gives_as_well_is_its_own():
    planted = movements(90, 30, np.random.default_rng(0), first=1.0)[:1]
    first, last = planted[0].onset + 1, planted[0].offset + 1
    found = [
        interval(onset=first, offset=last),
        interval(onset=70, offset=80),
        interval(onset=5, offset=12),
        interval(onset=70, offset=80, note="blink"),
        interval(onset=40, offset=88, kind="macro"),
    ]
    untouched = [interval(onset=71, offset=80), interval(onset=first, offset=last)]
    result = study.scored("talking, planted", "a", 0, 60.0, planted, found, untouched)
    counts = (result.planted, result.found, result.hits, result.own, result.macro, result.noted)
    assert counts == (1, 3, 1, 1, 1, 1)
    assert (result.f1, result.f1_planted, result.false_alarms_per_minute) == (0.5, 0.6667, 2.0)
    both = study.total("talking, planted", [result, result])
    assert (both.seconds, both.own, both.f1, both.false_alarms_per_minute) == (120, 2, 0.5, 2.0)


@pytest.mark.slow
def test_planted_movements_of_a_short_video_are_found():
    frames, planted = clip()
    found = study.spotted(frames, FPS)
    result = study.scored("still, planted", "astronaut", 0, len(frames) / FPS, planted, found, [])
    assert result.f1 == 1 and result.seconds == pytest.approx(4.5)
    same = list(study.planted_frames(frames, [None] * len(frames), planted))
    assert all(np.array_equal(one, other) for one, other in zip(frames, same, strict=True))
