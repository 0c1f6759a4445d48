"""What the rows of the benchmarks say about the machine and the sources."""

import subprocess

import torch

from originet.system import environment


def test_cache_sizes_are_those_of_the_system(monkeypatch, tmp_path):
    for index, facts in enumerate(
        (("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K"))
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in zip(("level", "type", "size"), facts, strict=True):
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(environment, "_CACHES", tmp_path)
    assert environment.cache_sizes.__wrapped__(torch.device("cpu")) == (2 << 20, 0)
    monkeypatch.setattr(environment, "_CACHES", tmp_path / "none")
    assert environment.cache_sizes.__wrapped__(torch.device("cpu")) == (0, 0)


def test_commit_is_empty_outside_a_repository(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    assert environment._commit.__wrapped__() == ""


def test_commit_is_not_that_of_a_repository_around_an_installed_copy(monkeypatch, tmp_path):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    copy = tmp_path / "environment.py"
    copy.touch()
    monkeypatch.setattr(environment, "__file__", str(copy))
    assert environment._commit.__wrapped__() == ""
    subprocess.run(["git", "add", "environment.py"], cwd=tmp_path, check=True)
    assert environment._commit.__wrapped__().endswith("-dirty")
