"""The folder of a video's results, whatever becomes of the video or the run."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from planted_faces import FPS, clip

from originet.spotting.progress import NAME
from originet.spotting.settings import Settings
from originet.spotting.source import Frame
from originet.spotting.spot_files import Plan, folders_of, spot_file, spot_live
from originet.system.errors import InputError

pytestmark = pytest.mark.slow

FILES = {"frames.csv", "intervals.csv", "intervals.vtt", "intervals.eaf", "report.html", NAME}


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_holds_tables_subtitles_a_page_and_a_video(results, video):
    folder, report = results
    assert {path.name for path in folder.iterdir()} == FILES | {"annotated.webm"}
    rows = table(folder / "frames.csv")
    assert [int(row["frame"]) for row in rows] == list(range(1, len(clip()[0]) + 1))
    assert float(rows[30]["timestamp"]) == pytest.approx(1.0, abs=1e-3)
    found = table(folder / "intervals.csv")
    assert len(found) == len(clip()[1]) == len(report.intervals)
    for row, truth in zip(found, clip()[1], strict=True):
        assert row["video"] == str(video) and row["face"] == "0" and row["kind"] == "micro"
        assert abs(int(row["onset"]) - 1 - truth.onset) <= 4
        assert abs(int(row["offset"]) - 1 - truth.offset) <= 4
    assert (report.frames, report.faces, report.ended) == (len(rows), 1, "")


def test_a_finished_video_is_not_spotted_again(results, video):
    folder, report = results
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert spot_file(video, folder, Plan()) == report
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(InputError, match=r"holds other results: settings\.window"):
        spot_file(video, folder, Plan(settings=Settings(window=0.3)))


def test_no_face_at_all(tmp_path):
    path = write_video(tmp_path / "noise.avi", random_frames(20, (48, 64)), 25)
    report = spot_file(path, tmp_path / "out", Plan())
    rows = table(tmp_path / "out" / "frames.csv")
    assert report.faces == 0 and len(rows) == 20
    assert {(row["success"], row["face"], row["nose"]) for row in rows} == {("0", "", "")}


def test_a_video_that_breaks_off_gives_what_was_found_until_there(video, tmp_path):
    data = video.read_bytes()
    broken = tmp_path / "broken.avi"
    broken.write_bytes(data[: int(0.6 * len(data))])
    report = spot_file(broken, tmp_path / "out", Plan())
    assert "truncated video" in report.ended and f"after {report.frames} of" in report.ended
    assert 60 < report.frames < 100 and len(report.intervals) == 1
    assert len(table(tmp_path / "out" / "frames.csv")) == report.frames
    assert "broke off" in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_of_frames_has_its_own_numbers(tmp_path):
    folder = write_folder(tmp_path / "clip", clip()[0], first=501)
    report = spot_file(folder, tmp_path / "out", Plan(fps=FPS, video=False))
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert table(tmp_path / "out" / "frames.csv")[0]["frame"] == "501"
    for interval, truth in zip(report.intervals, clip()[1], strict=True):
        assert abs(interval.onset - 501 - truth.onset) <= 4


PLAN = Plan(settings=Settings(longest=0.6), stretch=1.0, video=False)

PROGRAM = """
import sys
from pathlib import Path
from originet.spotting import spot_files
sys.path[:0] = {paths!r}
from test_spot_files import PLAN
spot_files.spot_file(Path(sys.argv[1]), Path(sys.argv[2]), PLAN)
"""


def test_a_killed_run_is_resumed_to_the_same_results(video, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    spot_file(video, whole, PLAN)
    program = PROGRAM.format(paths=[str(Path(__file__).parent), *sys.path])
    words = [sys.executable, "-c", program, str(video), str(killed)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE)
    while running.poll() is None and not (killed / NAME).exists():
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, running.stderr.read()
    state = json.loads((killed / NAME).read_text())
    assert 0 < state["finished"] and not state["complete"]
    spot_file(video, killed, PLAN)
    for name in sorted(FILES):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_stream_is_told_as_it_goes(tmp_path):
    heard, now = [], 0.0

    def camera():
        nonlocal now
        for index, pixels in enumerate(clip()[0]):
            now = index / FPS
            yield Frame(index, pixels, now)

    def tell(interval):
        heard.append(now - interval.offset_seconds)

    report = spot_live(camera(), FPS, "camera 0", tmp_path / "out", Plan(), tell=tell)
    assert len(heard) == len(report.intervals) == len(clip()[1])
    assert 0 < np.max(heard) < 0.5
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_videos_of_one_name_get_folders_of_their_own(tmp_path):
    paths = [tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4", tmp_path / "b" / "y.mp4"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folders = folders_of(paths, tmp_path / "out")
    assert [folder.name for folder in folders.values()] == ["x", "x-2", "y"]
    with pytest.raises(InputError, match="is given twice"):
        folders_of([paths[0], paths[0]], tmp_path)
