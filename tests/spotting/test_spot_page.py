"""The page of a video, in headless Chromium: a click on a movement shows its apex."""

import json

import numpy as np
import pytest
from browser import EXECUTABLE, Browser
from made_up import interval

from originet.spotting.progress import Progress
from originet.spotting.regions import REGIONS
from originet.spotting.scene import Row
from originet.spotting.snapshots import Snapshots
from originet.spotting.source import Frame
from originet.spotting.spot_page import CAVEAT, MOST, read_curves, write_page
from originet.spotting.tables import FRAME_COLUMNS, frame_lines


@pytest.fixture
def folder(tmp_path):
    """A page of two faces that were never spotted."""
    rows = []
    for index in range(120):
        for face in (0, 1):
            energies = np.full(len(REGIONS) + 1, 0.1 + face)
            rows.append(Row(index, index / 30, face, 1.0, None, energies))
    table = ",".join(FRAME_COLUMNS) + "\n" + frame_lines(rows, [row.index + 1 for row in rows])
    (tmp_path / "frames.csv").write_text(table)
    pictures = Snapshots(tmp_path / "pictures", 4.0, 200)
    for index in range(120):
        pixels = np.full((30, 40), 2 * index, np.uint8)
        pictures.see(Frame(index, pixels, index / 30))
    found = [
        interval(label="<i>joy</i>", confidence=0.8),
        interval(1, 2.0, kind="macro"),
        interval(0, 3.0, note="blink", regions=("lid_left", "lid_right")),
    ]
    state = Progress({}, intervals=found, frames=120, faces=2)
    write_page(tmp_path, "<b>video.mp4", state, 30.0, pictures)
    return tmp_path


def test_the_page_says_what_it_does_not_know_and_escapes_names(folder):
    text = (folder / "report.html").read_text()
    assert CAVEAT in text and "no lie detector" in CAVEAT and "no diagnosis" in CAVEAT
    assert "<b>" not in text and "&lt;i&gt;joy&lt;/i&gt; (0.80)" in text
    assert text.count('class="movement micro"') == 1
    assert text.count('class="movement noted"') == 2  # two lids
    assert "http" not in text.replace("http://www.w3.org", "")


def test_curves_are_the_largest_energies_of_their_periods(folder):
    curves, seconds = read_curves(folder / "frames.csv", 4.0)
    assert set(curves) == {0, 1} and seconds == pytest.approx(119 / 30, abs=1e-3)
    assert np.nanmax(curves[1]) == 1.1 and np.isnan(curves[0]).any()


def test_of_many_movements_the_strongest_are_shown(folder):
    many = [interval(0, 0.01 * index, score=float(index)) for index in range(MOST + 50)]
    state = Progress({}, intervals=many, frames=120, faces=1)
    write_page(folder, "a.mp4", state, 30.0, Snapshots(folder / "pictures", 4.0, 1))
    text = (folder / "report.html").read_text()
    assert f"The strongest {MOST} of {len(many)} are shown here." in text
    assert text.count('class="card"') == MOST and "micro at 0.10 s" not in text


CLICK = """(async () => {
  const seen = [];
  for (const id of ["0", "1"]) {
    const target = id === "0" ? document.querySelector(`rect[data-movement="${id}"]`)
      : document.querySelector(`div[data-movement="${id}"] button`);
    target.dispatchEvent(new MouseEvent("click", {bubbles: true}));
    await document.querySelector(".viewer img").decode();
    const image = document.querySelector(".viewer img");
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    seen.push({
      told: document.getElementById("told").textContent,
      grey: context.getImageData(5, 5, 1, 1).data[0],
      chosen: [...document.querySelectorAll(".chosen")].map(each => each.dataset.movement),
      line: Number(document.querySelector(".now").getAttribute("x1")),
    });
  }
  return JSON.stringify(seen);
})()"""


@pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed")
def test_a_click_jumps_to_a_movement(folder, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        url = (folder / "report.html").as_uri()
        seen, console = browser.look(url, 1000)
        assert console == [] and all(seen["pictures"])
        assert seen["content"] <= seen["width"]
        first, second = json.loads(browser.evaluate(url, CLICK))
    # The frame nearest to the apex, at 1.1 and at 3.1 s; a frame is kept each fifth of a second.
    assert set(first["chosen"]) == {"0"} and len(first["chosen"]) == 2
    assert set(second["chosen"]) == {"1"} and len(second["chosen"]) == 3  # both lids, and its card
    assert abs(float(first["told"].split()[0]) - 1.1) <= 0.11
    assert abs(first["grey"] - 2 * 30 * float(first["told"].split()[0])) < 8
    assert abs(float(second["told"].split()[0]) - 3.1) <= 0.11
    assert first["line"] < second["line"]


@pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed")
def test_the_page_fits_a_phone_in_the_dark(folder, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        seen, console = browser.look((folder / "report.html").as_uri(), 375, dark=True)
    assert console == [] and seen["content"] <= seen["width"] == 375
    assert seen["background"] == "rgb(23, 24, 26)"
