"""The page of reports: what it is made of, whatever is put into it."""

import base64
import io

import numpy as np
import pytest
from pages import Parsed
from PIL import Image

from originet.drawing import figures, page


def small_figure():
    return figures.active_image_grid({"a": np.zeros((4, 4), np.uint8)}, "t")


def picture_of(attrs):
    kind, data = attrs["src"].split(",", 1)
    assert kind == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    return image


def test_everything_a_caller_gives_is_escaped():
    report = page.Page("<b>title")
    report.section("<b>section")
    report.text("<b>text & more")
    report.table(["<b>head"], [["<b>cell"]], "<b>caption")
    report.figure(small_figure(), "<b>caption", '"><b>alt')
    pixels = np.zeros((4, 4), np.uint8)
    report.gallery([page.Thumbnail(pixels, ["<b>line", "<b>other"], '"><b>thumb')])
    html = report.html()
    parsed = Parsed(html)
    assert "<b>" not in html and not parsed.all("b")
    assert parsed.rows == [["<b>head"], ["<b>cell"]]
    assert [picture["alt"] for picture in parsed.all("img")] == ['"><b>alt', '"><b>thumb']
    assert "<b>text & more" in parsed.text and "<b>line <b>other" in parsed.text


def test_table_aligns_columns_of_numbers_only_and_breaks_long_cells():
    report = page.Page("t")
    report.table(
        ["name", "value", "mixed", "hash", "share", "long"],
        [
            ["a", 1, "1", "12ab", "3 (7 %)", "ab" * 32],
            ["b", "81.0 ± 2.5 %", "x", "34", "0 (0 %)", "1"],
            ["c", 1e-7, "2", "5", "12 (100 %)", "2"],
            ["d", "75.5 to 80.0 %", "3", "6", "1 (1 %)", "3"],
            ["e", "-", "3", "6", "-", "4"],
            ["f", "−1.67e−06", "4", "7", "2 (9 %)", "5"],
        ],
    )
    parsed = Parsed(report.html())
    kinds = [attrs.get("class") for attrs in parsed.all("td")]
    assert kinds == ["number", None, None, "number", "long"] * 6
    assert [attrs.get("class") for attrs in parsed.all("th")[:6]] == [None, *kinds[:5]]


def test_table_heads_its_columns_and_rows_and_is_named_by_its_caption():
    report = page.Page("t")
    report.table(["a", "b"], [["x", 1], ["y", 2]], "first")
    report.table(["a"], [["x"]], "second")
    report.table(["a"], [["x"]])
    parsed = Parsed(report.html())
    assert [attrs["scope"] for attrs in parsed.all("th")[:4]] == ["col", "col", "row", "row"]
    captions = [attrs["id"] for attrs in parsed.all("figcaption")]
    assert len(set(captions)) == 2
    names = [attrs.get("aria-labelledby") for attrs in parsed.all("table")]
    assert names == [*captions, None]
    boxes = parsed.all("div")
    assert [box.get("aria-labelledby") for box in boxes] == names
    assert all(box["class"] == "scroll" and box["tabindex"] == "0" for box in boxes)


def test_table_refuses_rows_of_another_length_and_may_be_empty():
    report = page.Page("t")
    with pytest.raises(ValueError, match="2 cells, got 1: x"):
        report.table(["a", "b"], [["x"]])
    report.table(["a", "b"], [])
    assert Parsed(report.html()).rows == [["a", "b"]]


def test_short_tables_and_pictures_are_not_cut_in_print():
    report = page.Page("t")
    report.table(["a"], [["x"]] * 15)
    report.table(["a"], [["x"]] * 16)
    report.figure(small_figure(), "c", "a")
    figures = [attrs.get("class") for attrs in Parsed(report.html()).all("figure")]
    assert figures == ["whole", None, "whole"]


def test_figures_are_shown_in_their_size_and_drawn_finer():
    report = page.Page("t")
    figure = small_figure()
    report.figure(figure, "c", "a")
    (attrs,) = Parsed(report.html()).all("img")
    width, height = figure.get_size_inches()
    assert (int(attrs["width"]), int(attrs["height"])) == (round(96 * width), round(96 * height))
    assert picture_of(attrs).size[0] > 1.5 * int(attrs["width"])


def test_gallery_draws_images_as_they_are_but_for_large_ones():
    small = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8)
    report = page.Page("t")
    report.gallery(page.Thumbnail(i, [], "a") for i in (small, np.zeros((300, 600), np.uint8)))
    first, second = Parsed(report.html()).all("img")
    np.testing.assert_array_equal(np.asarray(picture_of(first)), small)
    assert (first["width"], first["height"]) == ("64", "48")
    assert picture_of(second).size == (128, 64)


def test_write_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "out" / "report.html"
    report = page.Page("first")
    report.write(path)
    before = path.read_text(encoding="utf-8")
    assert before == report.html()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    report.text("second")
    with pytest.raises(OSError, match="disk full"):
        report.write(path)
    with pytest.raises(OSError, match="disk full"):
        report.write(tmp_path / "new.html")
    assert path.read_text(encoding="utf-8") == before
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["out", "report.html"]
