import json

import cv2
import numpy as np
import pytest
from browser import EXECUTABLE, Browser
from made_up import interval

from originet.clips.faces import Box
from originet.spotting.annotate import annotate
from originet.spotting.scene import Row
from originet.spotting.source import Source
from originet.spotting.tables import FRAME_COLUMNS, frame_lines


@pytest.mark.slow
def test_a_box_is_drawn_and_stands_out_during_a_movement(video, tmp_path):
    rows = [Row(index, index / 30, 0, 1.0, Box(70, 30, 60)) for index in range(50)]
    table = tmp_path / "frames.csv"
    table.write_text(
        ",".join(FRAME_COLUMNS) + "\n" + frame_lines(rows, [row.index + 1 for row in rows])
    )
    annotate(Source(video), table, [interval()], tmp_path / "a.webm", 60)
    capture = cv2.VideoCapture(str(tmp_path / "a.webm"))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1].astype(int))
    assert len(frames) == 60 and frames[0].shape == (150, 160, 3)
    edge = np.s_[40:80, 70]
    colour = [np.ptp(frame[edge].mean(axis=0)) for frame in frames]
    assert colour[10] < 15 and colour[33] > 80  # grey, then orange
    plain = np.abs(frames[55][edge] - frames[10][edge]).mean()
    assert plain > 15  # no face is known there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.webm", "frames.csv"]


PLAY = """(async () => {
  const video = document.createElement("video");
  video.src = "a.webm";
  await new Promise((loaded, failed) => { video.onloadeddata = loaded; video.onerror = failed; });
  await new Promise(seeked => { video.onseeked = seeked; video.currentTime = 1; });
  return JSON.stringify([video.videoWidth, video.videoHeight, video.currentTime, video.duration]);
})()"""


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed")
def test_a_browser_plays_the_video_and_finds_a_place_in_it(video, tmp_path, tmp_path_factory):
    table = tmp_path / "frames.csv"
    table.write_text(",".join(FRAME_COLUMNS) + "\n")
    annotate(Source(video), table, [], tmp_path / "a.webm", 60)
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>A video</title>")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        width, height, at, length = json.loads(browser.evaluate(page.as_uri(), PLAY))
    assert (width, height, at) == (160, 150, 1)
    assert abs(length - 2) < 0.1
