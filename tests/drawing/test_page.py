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
    assert [chart["aria-label"] for chart in parsed.all("svg")] == ['"><b>alt']
    assert [picture["alt"] for picture in parsed.all("img")] == ['"><b>thumb']
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
    kinds = [attrs.get("class") for attrs in Parsed(report.html()).all("figure")]
    assert kinds == ["whole", None, "whole chart"]


def test_figures_are_drawn_into_the_page_each_with_ids_of_its_own():
    report = page.Page("t")
    chart = figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b"], "t")
    report.figure(chart, "first", "a")
    report.figure(chart, "second", "b")
    report.section("Figure 1")
    parsed = Parsed(report.html())
    first, second = parsed.all("svg")
    assert first["role"] == "img" and first["viewbox"] == second["viewbox"]
    assert [attrs["aria-label"] for attrs in (first, second)] == ["a", "b"]
    ids = [attrs["id"] for _, attrs in parsed.tags + parsed.drawn if "id" in attrs]
    assert len(ids) == len(set(ids)) > 10
    targets = {
        each["href"].removeprefix("#")
        for tag, each in parsed.tags + parsed.drawn
        if tag in ("use", "a")
    }
    assert targets and targets <= set(ids)
    clips = {
        attrs["clip-path"][len("url(#") : -1] for _, attrs in parsed.drawn if "clip-path" in attrs
    }
    assert clips and clips <= set(ids)


def test_the_headline_and_links_to_the_sections_come_first():
    report = page.Page("t")
    report.text("before")
    report.section("Scores, 1 %")
    report.headline("75.0 %", "60 to 80 %", "what <it> is", "and of what")
    report.section("scores (1 %)")
    report.section("≠")
    html = report.html()
    parsed = Parsed(html)
    text = parsed.text.removeprefix("t ")
    assert text.startswith("t 75.0 % 60 to 80 % what <it> is and of what Scores, 1 % scores (1 %)")
    assert [attrs["id"] for attrs in parsed.all("h2")] == ["scores-1", "scores-1-2", "section"]
    assert [a["href"] for a in parsed.all("a")] == ["#scores-1", "#scores-1-2", "#section"]
    assert html.index("<h1>") < html.index("headline", html.index("<body>")) < html.index("<nav")
    assert html.index("</nav>") < html.index("before")
    single = page.Page("t")
    single.section("one")
    assert not Parsed(single.html()).all("nav")


def test_folded_tables_show_their_caption_alone():
    report = page.Page("t")
    report.table(["a"], [["x"]], "Numbers.", folded=True)
    report.table(["a"], [["x"]], "Shown.")
    parsed = Parsed(report.html())
    assert len(parsed.all("details")) == 1 and len(parsed.all("table")) == 2
    (summary,), (caption,) = parsed.all("summary"), parsed.all("figcaption")
    names = [table["aria-labelledby"] for table in parsed.all("table")]
    assert names == [summary["id"], caption["id"]]


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
