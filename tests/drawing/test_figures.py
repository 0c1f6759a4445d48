import base64
import io
import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from originet.drawing import figures
from originet.system.errors import InputError
from originet_ext import METHODS


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_active_image_grid_labels_every_image_and_keeps_its_grey_values():
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (8, 6), dtype=np.uint8) for name in METHODS}
    images["frame"] = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    figure = figures.active_image_grid(images, "one clip")
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "one clip"
    assert [axes.get_title() for axes in figure.axes] == [*METHODS, "frame"]
    for axes, image in zip(figure.axes, images.values(), strict=True):
        (drawn,) = axes.images
        assert np.array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == (0, 255), "no stretching: pictures stay comparable"


@pytest.mark.parametrize(
    ("images", "match"),
    [
        ({}, "at least one"),
        ({"a": np.zeros((4, 4), np.float32)}, r"'a' .* \[4, 4\] float32"),
        ({"b": np.zeros((4, 4, 2), np.uint8)}, r"'b' .* \[4, 4, 2\] uint8"),
        ({"c": np.zeros(4, np.uint8)}, r"'c' .* \[4\] uint8"),
    ],
)
def test_active_image_grid_refuses_what_is_no_image(images, match):
    with pytest.raises(InputError, match=match):
        figures.active_image_grid(images, "")


def test_confusion_matrix_writes_counts_and_colours_by_share_of_the_true_class():
    confusion = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    figure = figures.confusion_matrix(confusion, ["a", "b", "c$d$"], "title")
    (axes,) = figure.axes
    assert texts(axes)[:3] == ["3\n75 %", "1\n25 %", "0\n0 %"]
    shares = [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]  # an absent class is no division by zero
    assert np.array_equal(axes.images[0].get_array(), shares)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c$d$"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c$d$"]
    assert axes.get_title() == "title" and axes.get_ylabel() == "true"


@pytest.mark.parametrize(
    ("names", "tilt"),
    [
        (["negative", "repression", "happiness", "surprise"], 0),
        (["negative", "repression", "happiness", "surprise", "fear", "anger"], 30),
        (["negative", "others", "positive arousal", "surprise and awe"], 30),
    ],
)
def test_confusion_matrix_keeps_the_names_of_its_columns_apart(names, tilt):
    figure = figures.confusion_matrix(np.eye(len(names), dtype=int), names, "")
    figure.canvas.draw()
    labels = figure.axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {tilt}
    boxes = [label.get_window_extent() for label in labels]
    if tilt == 0:
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_confusion_matrix_refuses_names_that_do_not_fit():
    with pytest.raises(InputError, match=r"must be \[3, 3\], got \[2, 2\]"):
        figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b", "c"], "")


def test_svg_is_an_element_in_the_colours_of_the_page_and_always_the_same():
    def draw():
        chart = figures.confusion_matrix(np.array([[9, 1], [5, 5]]), ["--><b>", "$x$"], "&lt;")
        return figures.svg(chart)

    drawn = draw()
    assert drawn == draw() and "var(--ink)" in drawn and "var(--line)" in drawn
    assert set(re.findall("#[0-9a-f]{6}", drawn)) == {"#ffffff"}, "but for text on a dark cell"
    tree = ElementTree.fromstring(drawn)
    tags = {element.tag for element in tree.iter()}
    assert tags == {"svg", "g", "path", "defs", "use", "image", "clipPath", "rect"}
    assert not re.search("<b>|<!--|style>|http|stroke: black", drawn)
    (picture,) = tree.iter("image")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.get("href")[22:]))))
    assert pixels.shape[2] == 4 and pixels[..., 3].min() < 40, "the page shows through"


def test_save_writes_the_format_of_the_ending(tmp_path):
    figure = figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b"], "t")
    figures.save(figure, tmp_path / "new" / "f.png")
    figures.save(figure, tmp_path / "new" / "f.SVG")
    first = (tmp_path / "new" / "f.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    again = figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b"], "t")
    figures.save(again, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == first
    assert b"<svg" in (tmp_path / "new" / "f.SVG").read_bytes()
    with pytest.raises(InputError, match=r"f\.txt: .* png"):
        figures.save(figure, tmp_path / "f.txt")


def test_save_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    figure = figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b"], "t")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, tmp_path / "f.png")
    assert list(tmp_path.iterdir()) == []
