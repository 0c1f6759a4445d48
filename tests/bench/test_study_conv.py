"""bench/study_conv.py: what was committed, and the tables of it."""

import study_conv as study
from study_rows import read_rows


def test_the_docs_are_what_the_committed_results_give():
    study.main(check=True)


def test_winograd_is_faster_in_every_stage_and_takes_a_tenth_off_a_step():
    rows = read_rows(study.RESULTS, study.Row)
    seconds = {(row.case, row.what, row.provider): row.seconds for row in rows}
    timed = {(case, what) for case, what, provider in seconds if provider == "winograd"}
    assert len(timed) == 7
    for case, what in timed:
        assert seconds[case, what, "winograd"] < seconds[case, what, "torch"]
    step = [seconds["training", "step", name] for name in ("torch", "winograd")]
    assert step[1] < 0.9 * step[0]


def test_a_short_study_has_every_case(monkeypatch):
    for name, value in {"ROUNDS": 1, "BATCH": 1, "SIZE": 64, "WIDE_SIZE": 4}.items():
        monkeypatch.setattr(study, name, value)
    rows = [*study.convolutions(), *study.training_step()]
    table = study.tables_of(rows)
    for stage in (2, 3, 4):
        assert f"| stage {stage}, forward |" in table and f"| stage {stage}, backward |" in table
    assert "| training step |" in table
