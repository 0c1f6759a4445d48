"""Names come from strangers: in no report, figure, table or message does one act.

Every page is made twice, with hostile names and with letters in their place, and must come to the
same elements and attributes.
"""

import dataclasses
import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from folds import QUICK
from loso_results import make_result
from pages import Parsed

from originet.bench.figures import bandwidth, kernel_speedup, times
from originet.cli import ablation as cli_ablation
from originet.cli import compare as cli_compare
from originet.cli import demo as cli_demo
from originet.cli import loso as cli_loso
from originet.cli.demonstration import methods_section
from originet.clips import pictures
from originet.drawing.figures import active_image_grid, confusion_matrix, save, svg
from originet.drawing.page import Page
from originet.evaluation import report
from originet.evaluation.by_dataset import dataset_scores
from originet.evaluation.figures import subject_accuracy
from originet.paper import ablation, comparison
from originet.paper.ablation_report import write_ablation_report
from originet.paper.comparison_report import write_comparison_report
from originet.paper.reproduce import figures
from originet.paper.reproduce.book import Book
from originet.system.timings import Row, read_csv, write_csv
from originet.system.words import printable

HOSTILE = (
    "=<script>x</script>\"onload='y' </title></style>&amp;<!--\n\x1b[31m\x00\x9b0m\r\udc80\u202e"
    "[/b] $\\frac{$ :smile:"
)
HARMLESS = "n" * len(HOSTILE)
DRAWN = {"g", "path", "defs", "use", "image", "clippath", "rect"}  # all that charts are made of
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def result_of(name):
    """A result of two sets whose names of clips, subjects and classes all end in a name."""
    made = make_result(f"a{name}+b{name}", confusion=((3, 1), (0, 2)))
    subjects = {s: f"{'ab'[place % 2]}{name}/{s}{name}" for place, (s, _) in enumerate(made.clips)}
    folds = [
        fold | {"subject": subjects[fold["subject"]], "clips": [c + name for c in fold["clips"]]}
        for fold in made.folds
    ]
    classes = tuple(each + name for each in made.classes)
    people = np.array([subjects[subject] for subject, _ in made.clips])
    sets = np.array([each[0] + name for each in people])
    return dataclasses.replace(
        made,
        classes=classes,
        clips=[(subjects[subject], clip + name) for subject, clip in made.clips],
        folds=folds,
        by_dataset=dataset_scores(made.y_true, made.y_pred, people, sets, classes),
    )


def loso_page(path, name):
    result = result_of(name)
    shown = {clip: np.full((8, 8), 40, np.uint8) for clip in result.clips}
    report.write_loso_report(path, result, {"command": f"originet loso {name}"}, shown)
    cli_loso.print_loso(result)


def ablation_page(path, name):
    rows = tuple(ablation.rows_named(["Sig", "LR"]))
    result = ablation.Ablation(rows, QUICK, {"LR": result_of(name)}, {"Sig": name})
    write_ablation_report(path, result, {"data": name})
    cli_ablation._print_ablation(result)


def comparison_page(path, name):
    made = result_of(name)
    facts = (made.dataset, made.classes, len(made.clips), 0.5, made.clip_list_sha256)
    times = comparison.InferenceTimes({"OrigiNet": 1.0})
    result = comparison.Comparison(
        *(("AlexNet", "OrigiNet"), QUICK, *facts, {"OrigiNet": made}, {"AlexNet": name}),
        *(times, name),
    )
    write_comparison_report(path, result, {"data": name})
    records = result.records()
    cli_compare._print_scores(result, records)
    cli_compare._print_sizes(result, records)


def demo_page(path, name):
    page = Page(f"title {name}")
    grid = active_image_grid({name: np.zeros((4, 4), np.uint8)}, name)
    methods_section(page, {name: make_result(f"set {name}")}, grid)
    page.write(path)
    cli_demo._print_methods({name: make_result(f"set {name}")})


def reproduction_page(path, name):
    book = Book(name, path.parent)
    picture = figures.Picture(np.zeros((4, 4), np.uint8), name)
    book.pictures("pictures", {name: [picture, None]}, [name, name], name, name)
    book.table("t", [{name: name, "value": -0.5}], [name, "value"], [[name, -0.5]], name)
    book.judge(data=name, agrees=name, unsaid=name)
    book.report.write(path)


PAGES = {
    "loso": loso_page,
    "ablation": ablation_page,
    "compare": comparison_page,
    "demo": demo_page,
    "reproduce": reproduction_page,
}


def structure(page: Parsed):
    """Elements with attributes, but for words, what is named after them, and pictures."""
    free = {
        "alt",
        "src",
        "id",
        "href",
        "aria-label",
        "aria-labelledby",
        "viewbox",
        "height",
        "width",
    }
    return [
        (tag, {key: "" if key in free else value for key, value in attrs.items()})
        for tag, attrs in page.tags
    ]


@pytest.mark.slow
@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_no_name_is_more_than_text(make, tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind, name in (("hostile", HOSTILE), ("harmless", HARMLESS)):
            (tmp_path / kind).mkdir()
            make(tmp_path / kind / "report.html", name)
            printed = "".join(capfd.readouterr())
            assert not OBEYED.search(printed) and "\n\\x1b" not in printed
    hostile, harmless = (
        (tmp_path / kind / "report.html").read_bytes().decode() for kind in ("hostile", "harmless")
    )
    assert not OBEYED.search(hostile)
    page = Parsed(hostile)
    assert structure(page) == structure(Parsed(harmless))
    assert {tag for tag, _ in page.drawn} <= DRAWN
    for tag, attrs in page.tags + page.drawn:
        assert not any(name.startswith("on") for name in attrs), tag
        assert re.fullmatch(r"[a-z0-9-]*|box_[a-zA-Z0-9_.-]+", attrs.get("id", ""))
    assert printable(HOSTILE) in Parsed(hostile).text


def test_names_are_no_formulas_in_the_tables_of_the_reproduction(tmp_path):
    reproduction_page(tmp_path / "report.html", HOSTILE.replace("\r", ""))
    (line,) = pd.read_csv(tmp_path / "tables" / "t.csv", lineterminator="\n").to_dict("records")
    assert [key[:2] for key in line] == ["'=", "va"]
    assert [str(value)[:2] for value in line.values()] == ["'=", "-0"]


def test_names_are_no_formulas_in_the_tables_of_benches(tmp_path):
    row = bench_row("=1", "@x")
    write_csv(tmp_path / "rows.csv", [row])
    write_csv(tmp_path / "rows.csv", [row])  # the same row, not one more
    assert ",'=1," in (tmp_path / "rows.csv").read_text()
    assert read_csv(tmp_path / "rows.csv") == [row]


def drawn(name):
    """Every figure that names are drawn in."""
    pixels = np.zeros((8, 8), np.uint8)
    yield active_image_grid({name: pixels}, name)
    yield confusion_matrix(np.eye(2, dtype=int), ["a", name], name)
    yield subject_accuracy({name: [0.5]}, 0.5, 0.5)
    yield figures.picture_sheet({name: [figures.Picture(pixels, name)]}, [name])
    rows = [bench_row(provider, name) for provider in ("fused", "eager", name)]
    yield kernel_speedup(rows)
    yield bandwidth(rows, name)
    yield times({name: [(1024, row) for row in rows]}, name, "x")


def bench_row(provider, name):
    texts = {field.name: name for field in dataclasses.fields(Row) if field.type is str}
    numbers = {field.name: 1 for field in dataclasses.fields(Row) if field.type is not str}
    return Row(**texts | numbers | {"provider": provider})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["$\\frac{$ \x00\x1b\udc80", "$x$ a\nb ]]>--&<"])
def test_names_are_drawn_as_they_are_and_are_no_markup_of_svg(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in drawn(name):
            save(figure, tmp_path / "figure.svg")
            root = ElementTree.parse(tmp_path / "figure.svg").getroot()
            assert root.tag.endswith("svg")
            ElementTree.fromstring(svg(figure))


@pytest.mark.parametrize("name", ["a\nb", "\x1b\x00", "\udc80", "\u202e"])
def test_panels_take_any_title(name):
    panel = pictures.Panel(name, name, np.zeros((8, 8), np.uint8))
    told = pictures.Panel(printable(name), printable(name), panel.pixels)
    assert pictures.sheet([panel], 1).tobytes() == pictures.sheet([told], 1).tobytes()
