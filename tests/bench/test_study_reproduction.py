"""bench/study_reproduction.py: the committed reproduction, and what is kept of one."""

import json

import pytest
import study_reproduction as study
from study_rows import read_rows

from originet.paper.ablation import ROWS as ABLATED
from originet.system.choices import COMPARED

CLIPS = study.SUBJECTS * study.CLIPS_PER_CLASS * 4


def test_the_docs_are_what_the_committed_results_give():
    study.main(check=True)


def test_every_row_of_the_paper_was_evaluated_on_all_clips():
    runs = read_rows(study.RUNS, study.Run)
    wanted = {"compare": COMPARED, "ablation": [row.name for row in ABLATED]}
    for name, folder in (("table3_4", "compare"), ("table6", "ablation")):
        rows = study.table_of(name)
        intervals = {run.row: (run.low, run.high) for run in runs if run.study == folder}
        assert {row["row"] for row in rows} == set(wanted[folder]) == set(intervals)
        for row in rows:
            assert int(row["clips"]) == CLIPS and row["protocol"] == "strict" and not row["failed"]
            accuracy = float(row["pooled_accuracy"])
            assert accuracy * CLIPS == pytest.approx(round(accuracy * CLIPS))
            low, high = intervals[row["row"]]
            assert low <= accuracy <= high


def test_the_results_are_what_the_page_says_of_them():
    for name, higher, lower in (
        (
            "table3_4",
            {"AlexNet", "GoogLeNet", "ResNet-50"},
            {"VGG-16", "VGG-19", "MobileNet", "MobileNetV2", "LBP-TOP"},
        ),
        ("table6", {"LR", "LFC", "KS-2", "WDy"}, {"Sig", "KS-1"}),
    ):
        scores = {row["row"]: float(row["pooled_accuracy"]) for row in study.table_of(name)}
        ours = scores.pop("OrigiNet")
        assert {row for row, score in scores.items() if score > ours} == higher
        assert {row for row, score in scores.items() if score < ours} == lower
    compared = {run.row: run for run in read_rows(study.RUNS, study.Run) if run.study == "compare"}
    assert [row for row, run in compared.items() if run.low > compared["OrigiNet"].high] == [
        "AlexNet"
    ]


def test_the_page_shows_every_figure_of_the_report():
    page = study.DOCS.read_text(encoding="utf-8")
    pictures = list(study.PICTURES.glob("*.png"))
    assert pictures
    assert all(f"pictures/reproduction/{path.name}" in page for path in pictures)


@pytest.fixture
def report(tmp_path):
    """A finished run's folder, as far as it is read."""
    shares = {"uf1": 0.5, "uar": 0.5}
    for name, folds in (("OrigiNet", [3.04, 2.06, 9.0]), ("LBP-TOP", None)):
        result = {"intervals": {"pooled_accuracy": [0.33333, 0.87501], **shares}, "seconds": 12.0}
        if folds:
            result["folds"] = [{"seconds": seconds} for seconds in folds]
        path = tmp_path / "compare" / name / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(result))
    for folder, name in (("tables", "table5.csv"), ("figures", "figure2.png")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"new")
    return tmp_path


def test_tables_and_figures_take_the_place_of_older_ones(report, tmp_path, monkeypatch):
    results, pictures = tmp_path / "results", tmp_path / "pictures"
    for folder in (results, pictures):
        folder.mkdir()
        (folder / "older.csv").write_text("old")
    monkeypatch.setattr(study, "RESULTS", results)
    monkeypatch.setattr(study, "PICTURES", pictures)
    monkeypatch.setattr(study, "RUNS", results / "runs.csv")
    study.keep(report)
    assert {path.name for path in results.iterdir()} == {"table5.csv", "runs.csv"}
    assert (pictures / "figure2.png").read_bytes() == b"new"
    assert not (pictures / "older.csv").exists()
    by_row = {run.row: run for run in read_rows(results / "runs.csv", study.Run)}
    # The fastest fold, or a share of the whole where folds were not timed.
    assert by_row["OrigiNet"].seconds == 2.1 and by_row["LBP-TOP"].seconds == 2.0
    assert (by_row["OrigiNet"].low, by_row["OrigiNet"].high) == (0.3333, 0.875)
    assert by_row["OrigiNet"].study == "compare"


def test_scores_stand_beside_the_paper_and_what_they_cost():
    rows = [
        study.Run("compare", "OrigiNet", 0.5, 0.75, 360.0, "a CPU", "2.13.0", "abc", "2026-01-01"),
        study.Run("ablation", "OrigiNet", 0.1, 0.2, 1.0, "a CPU", "2.13.0", "abc", "2026-01-01"),
    ]
    scores = {"row": "OrigiNet", "pooled_accuracy": "0.625", "uf1": "0.61", "uar": "0.62"}
    table = study.scores_table(
        "compare", rows, [(scores, "1,234", "0.5909")], "parameters", texts=1
    )
    last = table.splitlines()[-1]
    assert last == "| OrigiNet | 1,234 | 62.5 % | 50.0 to 75.0 % | 0.610 | 0.620 | 59.1 % | 360 |"
    assert f"folds of each row take {360 * study.SUBJECTS / 3600:.1f} hours" in table


@pytest.mark.slow
def test_a_reproduction_is_made_kept_and_drawn(tmp_path, monkeypatch):
    page, results = tmp_path / "page.md", tmp_path / "results"
    blocks = ("compared", "ablation", "sizes")
    page.write_text("".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in blocks))
    few = ("--quick", "--network", "OrigiNet", *study.SETTINGS)
    for name, value in (
        ("SETTINGS", few),
        ("SUBJECTS", 3),
        ("CLIPS_PER_CLASS", 1),
        ("DOCS", page),
        ("RESULTS", results),
        ("RUNS", results / "runs.csv"),
        ("PICTURES", tmp_path / "pictures"),
    ):
        monkeypatch.setattr(study, name, value)
    study.main(folder=tmp_path / "made")
    text = page.read_text()
    assert "| OrigiNet | 1,872,548 |" in text and "| WDy | dynamic images |" in text
    assert {run.study for run in read_rows(study.RUNS, study.Run)} == {"compare", "ablation"}
    assert len(list(study.PICTURES.glob("figure*.png"))) == 4


def test_results_are_not_made_without_a_folder():
    with pytest.raises(study.typer.BadParameter, match="--folder"):
        study.main()
