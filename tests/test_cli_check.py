"""`originet check`: what it prints and how it ends."""

import pytest
from clips import random_frames, write_folder


@pytest.fixture
def tree(tmp_path):
    """Two classes of two subjects each."""
    for emotion in ("fear", "sad"):
        for subject in ("s1", "s2"):
            write_folder(tmp_path / "clips" / emotion / subject / "a", random_frames(4))
    return tmp_path / "clips"


def test_a_sound_folder_ends_with_exit_code_0(run, tree):
    code, printed, err = run("check", "folder", tree)
    assert code == 0, err
    assert "unusable clips: none\n" in printed
    assert "frames missing between onset and offset: none\n" in printed


def test_missing_frames_of_a_folder_end_with_exit_code_1(run, tree):
    (tree / "sad" / "s2" / "a" / "img3.png").unlink()
    code, printed, _ = run("check", "folder", tree)
    assert code == 1
    assert "frames missing between onset and offset: 1\n  s2/sadness-a: 1 (3)\n" in printed
