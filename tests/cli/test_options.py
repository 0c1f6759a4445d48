"""Options that several commands have."""

import pytest
from clips import random_frames, write_folder

from originet.system import limits


@pytest.mark.parametrize(
    ("command", "code"), [("image", 2), ("prepare", 2), ("check", 1), ("loso", 2)]
)
def test_commands_that_read_frames_have_the_option(run, tmp_path, command, code):
    for number, clip in enumerate(("happy/s1/a", "happy/s2/b", "sad/s1/c", "sad/s2/d")):
        write_folder(tmp_path / "set" / clip, random_frames(3, (200, 300), seed=number))
    root, out = tmp_path / "set", tmp_path / "out"
    arguments = ("folder", root) if command in ("check", "prepare") else (root,)
    if command != "check":
        arguments = (*arguments, "-o", out)
    ended, printed, errors = run(command, *arguments, "--max-pixels", 50_000)
    assert ended == code
    assert "frames of 300x200 have 60,000 pixels, more than the limit of 50,000" in printed + errors
    assert limits.max_pixels() == limits.MAX_PIXELS
    ended, _, errors = run(command, *arguments, "--max-pixels", 0)
    assert ended == 2 and errors == ("error: --max-pixels must be above 0 and below 10^18, got 0\n")
