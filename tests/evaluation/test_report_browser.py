"""A report in headless Chromium: nothing broken, nothing said, on a phone, in the dark, on paper.

The checks are first shown to fail on pages that are broken.
"""

import base64
import io
import re

import numpy as np
import pytest
from browser import EXECUTABLE, Browser
from PIL import Image
from stores import make, write_tree

from originet.drawing.page import Page, Thumbnail

pytestmark = [
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed"),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def look(browser, tmp_path):
    """Opens the text of a page."""

    def call(page, **options):
        (tmp_path / "page.html").write_text(page)
        return browser.look((tmp_path / "page.html").as_uri(), **options)

    return call


@pytest.fixture
def report(run, tmp_path):
    """The report of a run, with as much in it as there can be."""
    make(write_tree(tmp_path / "tree", subjects=3), tmp_path / "store")
    out = tmp_path / "out"
    options = ("--epochs", 2, "--rotation", 0, "--seed", 0, "--seed", 1, "--protocol", "paper")
    code, _, err = run("loso", tmp_path / "store", "-o", out, *options)
    assert code == 0, err
    return (out / "report.html").as_uri()


def test_report_is_whole_on_a_phone_and_on_a_desk_by_day_and_by_night(report, browser):
    for width, dark in ((320, False), (375, True), (768, True), (1280, False)):
        seen, console = browser.look(report, width, dark)
        assert console == []
        assert seen["title"] == "OrigiNet on a folder of clips, protocol paper (leaky)"
        assert len(seen["pictures"]) > 2 and all(seen["pictures"])
        assert len(seen["charts"]) == 5 and all(chart["title"] for chart in seen["charts"])
        for chart in seen["charts"]:
            assert chart["width"] == max(chart["column"], 26 * 16)
            assert chart["ink"] == ("rgb(232, 232, 234)" if dark else "rgb(29, 29, 31)")
        assert min(seen["shown"]) >= 16  # as the clips of this test are
        assert seen["tables"] == 6 and seen["rows"] > 40
        assert seen["content"] <= seen["width"] == width
        assert max(seen["shown"]) <= width
        assert seen["background"] == ("rgb(23, 24, 26)" if dark else "rgb(255, 255, 255)")
        assert (seen["scrolling"] > 0) == (width < 768)


def test_report_is_printed_on_a4(report, browser):
    pdf = browser.print_pdf(report)
    assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(sizes) > 2
    assert all((round(float(w)), round(float(h))) == (595, 842) for w, h in sizes)


def png(size=64):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def img(data):
    return f'<img alt="a" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def broken_page(body):
    return f"<!DOCTYPE html><html><head><title>t</title></head><body>{body}</body></html>"


def test_pictures_that_do_not_decode_are_seen(look):
    pictures = img(png()), img(b"\x89PNG no"), '<img src="missing.png">', img(b"")
    seen, console = look(broken_page("".join(pictures)))
    assert seen["pictures"] == [True, False, False, False]
    assert any("ERR_FILE_NOT_FOUND" in message for message in console)


def test_messages_of_the_console_are_seen(look):
    body = "<script>console.error('told'); console.warn('warned'); undefinedFunction()</script>"
    _, console = look(broken_page(body))
    assert console[:2] == ["error: told", "warning: warned"]
    assert "undefinedFunction is not defined" in console[2]


def test_content_that_is_too_wide_is_seen_but_a_table_in_its_box_is_not(look):
    meta = '<meta name="viewport" content="width=device-width">'
    seen, _ = look(meta + broken_page('<div style="width:400px">x</div>'))
    assert seen["content"] > 375
    report = Page("Wide")
    report.table([f"column{i}" for i in range(12)], [["1234567"] * 12], "Wide. " * 40)
    report.table(["name", "hash"], [["a long name of a thing", "0123456789abcdef" * 8]], "Long")
    report.gallery([Thumbnail(np.zeros((128, 128), np.uint8), ["x" * 80], "a")] * 3)
    seen, _ = look(report.html())
    assert seen["content"] == seen["width"] == 375
    assert seen["scrolling"] == 1


def test_long_names_of_columns_of_numbers_do_not_widen_a_table(look):
    report = Page("Long names")
    report.table([f"as a class of a long name {i}" for i in range(9)], [["0 (0 %)"] * 9])
    seen, _ = look(report.html(), width=1280)
    assert seen["scrolling"] == 0
