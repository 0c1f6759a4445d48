"""bench/build_time.py: what it measures, without a build."""

import subprocess
import sys

import build_time
import pytest
from study_rows import read_rows


def fake_build(command, env, **_):
    """A build that takes a moment of processor time and leaves a library."""
    code = "sum(range(4_000_000))"
    subprocess.Popen([sys.executable, "-c", code]).wait()
    folder = command[command.index("--build-lib") + 1]
    (build_time.Path(folder) / "originet_ext").mkdir(parents=True)
    (build_time.Path(folder) / "originet_ext" / "_C.so").write_text(
        f"{env['ORIGINET_CUDA']} {env.get('TORCH_CUDA_ARCH_LIST')}"
    )


def test_each_build_has_a_row_that_a_later_one_replaces(tmp_path, monkeypatch):
    about = build_time.environment(build_time.torch.device("cpu"))  # calls git
    monkeypatch.setattr(build_time, "environment", lambda device: about)
    monkeypatch.setattr(build_time.subprocess, "run", fake_build)
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "7.5")
    out, keep = tmp_path / "build.csv", tmp_path / "kept"
    for archs in ("none", "9.0", "default", "9.0"):
        command = ["build_time.py", "--archs", archs, "--out", str(out), "--keep", str(keep)]
        monkeypatch.setattr(sys, "argv", command)
        build_time.main()
    rows = read_rows(out, build_time.Row)
    assert [row.archs for row in rows] == ["none", "9.0", "default"]
    assert all(row.cores >= 1 and row.wall_s >= 0 and row.date for row in rows)
    kept = {path.parent.parent.name: path.read_text() for path in keep.rglob("_C.so")}
    assert kept == {"none": "0 None", "9.0": "1 9.0", "default": "1 None"}


def test_a_failed_build_has_no_row(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(subprocess.CalledProcessError):
        build_time.build("none", None)


def test_the_docs_are_what_the_committed_results_give(monkeypatch):
    rows = read_rows(build_time.RESULT, build_time.Row)
    seconds = {row.archs: row.wall_s for row in rows}
    assert seconds["none"] < seconds["9.0"] < 90 and seconds["default"] < 180
    assert all(row.cores == 2 for row in rows)
    monkeypatch.setattr(sys, "argv", ["build_time.py", "--check"])
    build_time.main()
