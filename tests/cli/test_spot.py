"""`originet spot`: folders of videos, one that breaks off, one that is none, and a pipe."""

import csv

import pytest
from clips import random_frames, write_video
from planted_faces import FPS, clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    path = write_video(folder / "face.avi", clip()[0], FPS)
    data = path.read_bytes()
    (folder / "broken.avi").write_bytes(data[: len(data) // 2])
    (folder / "none.mp4").write_bytes(b"no video")
    write_video(folder / "noise.avi", random_frames(12, (48, 64)))
    return folder


def test_a_folder_of_videos_of_which_some_cannot_be_read(videos, run, tmp_path):
    code, out, err = run("spot", videos, "-o", tmp_path / "out", "--no-video")
    assert code == 2 and "2 of 4 videos failed" in err
    assert "none.mp4" in err and "truncated video" in err and "what was found until there" in err
    assert "noise: 12 frames, no face in any frame" in out
    assert f"face: {len(clip()[0])} frames, {len(clip()[1])} micro-movements" in out
    with open(tmp_path / "out" / "intervals.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["video"] for row in rows} <= {str(videos / f"{n}.avi") for n in ("face", "broken")}
    assert sum(row["video"].endswith("face.avi") for row in rows) == len(clip()[1])
    assert (tmp_path / "out" / "broken" / "report.html").exists()
    assert not (tmp_path / "out" / "none").exists()
    # The same command again does nothing anew, and says the same.
    again, told, _ = run("spot", videos, "-o", tmp_path / "out", "--no-video")
    assert (again, told) == (code, out)


def test_movements_get_names_from_a_model(videos, model, run, tmp_path):
    video = videos / "face.avi"
    code, _, err = run("spot", video, "--model", model, "-o", tmp_path / "out", "--no-video")
    assert code == 0, err
    with open(tmp_path / "out" / "face" / "intervals.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["label"] for row in rows} <= {"happiness", "sadness"}
    assert all(0.5 <= float(row["confidence"]) <= 1 for row in rows)


def test_what_does_not_fit_together_is_refused(videos, refuse, tmp_path):
    out = ("-o", tmp_path / "out")
    refuse("give videos or folders", "spot", *out)
    refuse("give no other path", "spot", "-", videos, *out)
    refuse("--seconds 3 is for - and --camera", "spot", videos, "--seconds", 3, *out)
    refuse("--fps 25 is for files", "spot", "--camera", 0, "--fps", 25, *out)
    refuse("--video is for files", "spot", "--camera", 0, "--video", *out)
    refuse(
        "--face must be viola-jones or landmarks", "spot", videos / "face.avi", "--face", "x", *out
    )
