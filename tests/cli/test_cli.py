"""The command line as it is installed, and names in what it prints."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from loso_results import make_result

from originet.cli import demonstration


def test_console_script_is_installed():
    printed = subprocess.check_output(
        [Path(sys.executable).with_name("originet"), "--help"], text=True
    )
    for command in ("demo", "image", "synth", "prepare", "loso", "ablation", "bench", "doctor"):
        assert f" {command} " in printed


def test_paths_that_look_like_markup_are_printed_as_they_are(run, tmp_path, monkeypatch):
    path = tmp_path / "a[" / "b]"  # "[/b]" would close what nothing opened
    code, out, err = run("synth", path, "--subjects", 1, "--clips-per-class", 1)
    assert (code, out) == (0, f"{path}: 4 clips\n"), err
    result = make_result()
    methods = {"cumulative": result}
    page = path / "report.html"
    made = SimpleNamespace(loso=result, methods=methods, report=page, spotted=page)
    monkeypatch.setattr(demonstration, "run_demo", lambda *_, **__: made)
    code, out, err = run("demo", "-o", path)
    assert code == 0 and f"\nReport: {path}/report.html (" in out, err
