"""`originet reproduce`: what it asks for, and what it prints."""

from types import SimpleNamespace

import pytest
from stores import write_tree

from originet.paper import reproduce


@pytest.fixture
def asked(monkeypatch):
    """What the reproduction would have been asked for, without its work."""
    given = {"failed": {}}

    def run_reproduction(clips, config, compute, *, out, **options):
        given.update(options, clips=clips, config=config)
        for done in (1, 2):
            compute.progress("LOSO", done, 2)
        return SimpleNamespace(report=out / "report.html", failed=given["failed"])

    monkeypatch.setattr(reproduce, "run_reproduction", run_reproduction)
    return given


def test_the_tables_are_asked_for_of_the_clips_and_settings_given(run, tmp_path, asked):
    tree, out = write_tree(tmp_path / "tree"), tmp_path / "out"
    options = ("--quick", "--image-size", 16, "--network", "LBP-TOP", "--device", "cpu")
    code, printed, err = run("reproduce", tree, "-o", out, *options)
    assert code == 0 and printed == f"Report: {out}/report.html\n", err
    assert len(asked["clips"].table) == len(asked["clips"].cuts) == 4 and asked["quick"]
    assert asked["config"].epochs == 1 and asked["config"].image_size == 16
    assert asked["rows"] == ("LBP-TOP",)
    assert "rank" in asked["clips"].images  # which row WDy takes


def test_parts_that_failed_are_told_and_change_the_exit_code(run, tmp_path, asked):
    asked["failed"] = {"Table IV": "timm cannot be imported"}
    tree = write_tree(tmp_path / "tree")
    code, printed, err = run("reproduce", tree, "-o", tmp_path / "out", "--image-size", 16)
    assert code == 2 and printed.startswith("Report: ")
    assert err.splitlines()[-2:] == [
        "error: 1 part could not be made:",
        "  Table IV: timm cannot be imported",
    ]
    assert asked["rows"] is None and not asked["quick"]
