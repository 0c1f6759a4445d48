import json

import pytest
from made_up import interval

from originet.clips.faces import Box
from originet.spotting.progress import NAME, Progress, identify, read_progress
from originet.system.errors import InputError


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = Progress({"video": "a.mp4"}, finished=3, bytes=77, intervals=[interval()])
    state.put({0: Box(1, 2, 30), 4: Box(5, 6, 70)})
    state.write(tmp_path)
    there = read_progress(tmp_path, {"video": "a.mp4"})
    assert there == state and there.boxes()[4] == Box(5, 6, 70)


def test_other_results_are_not_continued(tmp_path):
    Progress({"video": "a.mp4", "fps": 25.0}).write(tmp_path)
    with pytest.raises(InputError, match=r"holds other results: fps is 25.0 there, 30.0 here"):
        read_progress(tmp_path, {"video": "a.mp4", "fps": 30.0})
    values = json.loads((tmp_path / NAME).read_text()) | {"version": 0}
    (tmp_path / NAME).write_text(json.dumps(values))
    with pytest.raises(InputError, match="of version 0"):
        read_progress(tmp_path, {"video": "a.mp4", "fps": 25.0})


def test_a_damaged_state_is_told_in_one_line(tmp_path):
    (tmp_path / NAME).write_text('{"made_of": 3}')
    with pytest.raises(InputError, match="does not hold what it should"):
        read_progress(tmp_path, {})


def test_a_video_that_changed_is_another(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    before = identify(path)
    path.write_bytes(b"22")
    assert identify(path) != before
