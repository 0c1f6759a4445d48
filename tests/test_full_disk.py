"""Commands on a full disk: one line that names what cannot be written, no temporary file."""

import errno
import os
from pathlib import Path

import pytest
from stores import make, write_tree

from originet.system.lock import NAME

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")


@pytest.fixture
def store(tmp_path):
    make(write_tree(tmp_path / "tree", subjects=3), tmp_path / "store", "cumulative", "rank")
    return tmp_path / "store"


@pytest.fixture
def full_at(monkeypatch):
    """Fills the disk when a file of a name is written."""

    def start(name):
        def write_bytes(path, data, original=Path.write_bytes):
            if name in path.name:
                original(path, data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(path, data)

        monkeypatch.setattr(Path, "write_bytes", write_bytes)

    return start


def check(answer, tmp_path, where, reason="No space left on device"):
    code, _, err = answer
    *_, last = err.splitlines()
    assert code == 2 and last.startswith("error: ") and str(where) in last and reason in last, err
    assert ".tmp" not in last and ".partial" not in last, err
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]
    assert not list(tmp_path.rglob(NAME))


def test_a_run_on_a_disk_without_room_leaves_nothing(run, store, tmp_path, file_limit):
    out = tmp_path / "out"
    with file_limit(500):  # more than the message has, less than config.json
        answer = run("loso", store, *QUICK, "-o", out)
    check(answer, tmp_path, out, "File too large")
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("loso --no-weights", "predictions.csv"),
        ("loso --no-weights", "report.html"),
        ("ablation --row LFC --no-weights", "ablation.csv"),
        ("compare --network OrigiNet", "compare.json"),
    ],
)
def test_a_run_on_a_full_disk_ends_in_one_line(run, store, tmp_path, full_at, command, name):
    full_at(name)
    command, *options = command.split()
    answer = run(command, store, *options, *QUICK, "-o", tmp_path / "out")
    check(answer, tmp_path, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "erratum.csv", "report.html"])
def test_a_reproduction_on_a_full_disk_ends_in_one_line(
    run, store, tmp_path, full_at, monkeypatch, name
):
    monkeypatch.setattr("originet.paper.reproduce.PICTURED", ())
    for study in ("paper.comparison.run_comparison", "paper.ablation.run_ablation"):  # tried above
        monkeypatch.setattr(f"originet.{study}", lambda *_, **__: None)
    for section in ("comparison", "ablation", "response", "first_layer"):
        monkeypatch.setattr(f"originet.paper.reproduce.{section}_section", lambda *_: None)
    full_at(name)
    answer = run("reproduce", store, "--quick", "-o", tmp_path / "out")
    check(answer, tmp_path, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["active_images.png", "kernels.csv"])
def test_a_demonstration_on_a_full_disk_ends_in_one_line(run, tmp_path, full_at, monkeypatch, name):
    monkeypatch.setattr("originet.cli.demonstration.SUBJECTS", 2)
    monkeypatch.setattr("originet.cli.demonstration.evaluate_methods", lambda *_: {})
    monkeypatch.setattr("originet.bench.jobs", lambda *_, **__: [])
    monkeypatch.setattr("originet.bench.run_jobs", lambda *_: [])
    full_at(name)
    check(run("demo", "-o", tmp_path / "out"), tmp_path, tmp_path / "out" / name)
