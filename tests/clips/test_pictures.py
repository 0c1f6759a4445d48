"""Labelled sheets and animations: sizes, colours, and that no pixel or label is lost."""

import io

import numpy as np
import pytest
from clips import random_frames
from PIL import Image

from originet.clips import pictures
from originet.clips.pictures import PANEL_SIDES, Panel
from originet.system.errors import InputError


def panels(count, size, title="title", note="note"):
    return [Panel(title, note, frame) for frame in random_frames(count, size)]


def opened(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def places(sheet, pixels):
    """Finds where an array of pixels stands in a sheet: (top, left) of each copy."""
    height, width = pixels.shape[:2]
    tops, lefts = np.nonzero((sheet == pixels[0, 0]).reshape(*sheet.shape[:2], -1).all(-1))
    return [
        (int(top), int(left))
        for top, left in zip(tops, lefts, strict=True)
        if np.array_equal(sheet[top : top + height, left : left + width], pixels)
    ]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_panels_of_a_fitting_size_keep_every_pixel(channels):
    items = panels(5, (230, 300, *channels))
    picture = opened(pictures.png(pictures.sheet(items, 3)))
    assert picture.mode == ("RGB" if channels else "L")
    sheet = np.asarray(picture)
    found = []
    for item in items:
        want = item.pixels[..., ::-1] if channels else item.pixels  # OpenCV's order to PNG's
        (place,) = places(sheet, want)
        found.append(place)
    tops, lefts = (sorted({place[axis] for place in found}) for axis in (0, 1))
    assert len(tops) == 2 and len(lefts) == 3
    assert found == [(tops[i // 3], lefts[i % 3]) for i in range(5)]


@pytest.mark.parametrize(
    ("size", "panel"),
    [((64, 64), (224, 224)), ((1080, 1920), (360, 640)), ((400, 100), (400, 100))],
)
def test_small_frames_are_enlarged_and_large_ones_shrunk(size, panel):
    assert PANEL_SIDES == (224, 640)
    black = np.zeros(size, np.uint8)
    sheet = np.asarray(pictures.sheet([Panel("", "", black)], 1))
    rows, columns = np.nonzero(sheet == 0)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == panel


@pytest.mark.parametrize("size", [(64, 64), (1080, 1920), (300, 40)])
def test_labels_stay_in_their_columns_and_above_their_panels(size):
    long = "apex (estimated)"
    items = [Panel(long, "frame 123456, 1234.56 s", np.full(size, 128, np.uint8))] * 4
    single = np.asarray(pictures.sheet(items[:1], 2))
    double = np.asarray(pictures.sheet(items, 2))
    cell = double.shape[1] - single.shape[1]  # a column and the gap beside it
    gap = 2 * single.shape[1] - double.shape[1]
    for column in (slice(0, gap), slice(cell, cell + gap), slice(2 * cell, 2 * cell + gap)):
        assert (double[:, column] == 255).all()
    assert np.array_equal(double[: single.shape[0], : single.shape[1]], single)
    inked = (single < 255).any(1)
    assert 3 <= np.diff(inked.astype(int)).clip(min=0).sum()  # two lines and the panel, apart


def test_same_panels_give_the_same_bytes():
    first, second = (pictures.png(pictures.sheet(panels(3, (40, 50)), 2)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("items", "columns"),
    [([], 2), (panels(1, (4, 4)) + panels(1, (4, 5)), 2), (panels(2, (4, 4)), 0)],
)
def test_panels_that_make_no_sheet_are_refused(items, columns):
    with pytest.raises(InputError, match="panels of one shape in at least 1 column"):
        pictures.sheet(items, columns)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [(), (3,)])
def test_gif_shows_every_page_for_its_time(channels):
    pages = [
        [Panel("clip", f"frame {n}", frame)] * 2
        for n, frame in enumerate(random_frames(4, (20, 30, *channels)))
    ]
    play = pictures.playing([0, 0.04, 0.1, 0.12, 0.5], ".gif")
    picture = Image.open(io.BytesIO(pictures.gif(pictures.sheets(pages, 2), play)))
    assert (picture.format, picture.n_frames, picture.info["loop"]) == ("GIF", 4, 0)
    times, sizes = [], set()
    drawn = list(pictures.sheets(pages, 2))
    for index in range(4):
        picture.seek(index)
        times.append(picture.info["duration"])
        sizes.add(picture.size)
        shown = np.asarray(picture.convert("RGB")).astype(int)
        error = np.abs(shown - np.asarray(drawn[index].convert("RGB")))
        assert error.max() == 0 if not channels else error.mean() < 12  # 256 colours a frame
    assert times == [40, 60, 20, 380] and sizes == {drawn[0].size}


def test_pages_of_an_animation_have_one_size_whatever_their_labels():
    frames = random_frames(2, (20, 30))
    pages = [[Panel("clip", "frame 1", frames[0])], [Panel("clip", "frame 1" * 9, frames[1])]]
    assert len({page.size for page in pictures.sheets(pages, 1)}) == 1


def test_videos_last_a_day_at_most():
    pictures.playing([0.0, 80_000.0, 86_400.0], ".mp4")
    with pytest.raises(
        InputError, match=r"the \.mp4 would be shown for 200000 s, at most 86400 s are"
    ):
        pictures.playing([0.0, 100_000.0, 200_000.0], ".mp4")


@pytest.mark.parametrize("times", [[0, 0.04], [0, 0.001], [0, 0, 0], [0, 0.5, 0.501, 0.502, 0.51]])
@pytest.mark.parametrize("suffix", [".gif", *pictures.VIDEO_SUFFIXES])
def test_the_last_picture_is_always_shown(times, suffix):
    play = pictures.playing(times, suffix)
    assert max(play.ticks) == len(times) - 2 and min(play.ticks.values()) >= 1
    assert sum(play.ticks.values()) / play.rate == pytest.approx(times[-1], abs=0.06)
