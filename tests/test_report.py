import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from originet import metrics, plots, report, timing
from originet.config import Config
from originet.loso import LosoResult
from originet.protocol import LEAK


class Page(HTMLParser):
    """What a browser would see: tags with attributes, table cells, all text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.rows, self.words = [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        tag = self.tags[-1][0] if self.tags else ""
        if tag == "style":
            return
        self.words.append(data)
        if tag in ("td", "th") and data.strip():
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def small_figure():
    return plots.active_image_grid({"a": np.zeros((4, 4), np.uint8)}, "t")


def make_result(dataset="semi-synthetic", seeds=(0, 1), confusion=((3, 3), (1, 5))):
    subjects = ["s1", "s1", "s2", "s2", "s2", "s<b>3"]
    y_true = np.array([0, 1, 0, 1, 1, 0])
    y_pred = np.array([[0, 1, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1]])[: len(seeds)]
    folds = [
        {
            "seed": seed,
            "subject": subject,
            "true": y_true[of].tolist(),
            "predicted": y_pred[row][of].tolist(),
            "accuracy": metrics.accuracy(y_true[of], y_pred[row][of]),
        }
        for row, seed in enumerate(seeds)
        for subject in ("s1", "s2", "s<b>3")
        for of in [np.array(subjects) == subject]
    ]
    return LosoResult(
        dataset=dataset,
        classes=("negative", "others"),
        config=Config(seeds=seeds, epochs=7),
        model={"class": "OrigiNet", "parameters": 1872548},
        clips=[(subject, f"clip{i}") for i, subject in enumerate(subjects)],
        y_true=y_true,
        y_pred=y_pred,
        folds=folds,
        metrics={
            **{"pooled_accuracy": 0.75, "fold_accuracy": 0.61, "uf1": 0.53, "uar": 0.52},
            **{"pooled_accuracy_std": 0.02, "fold_accuracy_std": 0.03},
            **{"uf1_std": 0.04, "uar_std": 0.05},
        },
        intervals={
            **{"pooled_accuracy": (0.6123, 0.8), "fold_accuracy": (0.5, 0.7)},
            **{"uf1": (0.4, 0.6), "uar": (0.41, 1.0)},
        },
        baseline=metrics.majority_baseline(y_true, subjects),
        confusion=np.array(confusion),
        clip_list_sha256="ab12" * 16,
        images_sha256="cd34" * 16,
        seconds=12.34,
    )


def make_rows():
    facts = {
        **{"benchmark": "rrelu", "mode": "forward", "device": "cpu", "device_name": "a processor"},
        **{"dtype": "float32", "shape": "1024", "layout": "contiguous", "threads": 2},
        **{"bytes": 8192, "torch": "2.13.0", "cuda": "", "originet": "0.1.0"},
        **{"commit": "", "date": "2026-01-01"},
        **dict.fromkeys(("saved_bytes", "peak_bytes", "l2_bytes", "l3_bytes"), 0),
    }
    return [
        timing.Row(
            provider=provider,
            median_us=median,
            q20_us=median / 2,
            q80_us=median * 2,
            gbps=8.192 / median,
            copy_ratio=1 / median,
            **facts,
        )
        for provider, median in (("fused", 2.0), ("eager", 9.0), ("clone", 1.0))
    ]


@pytest.fixture(scope="module")
def full_page():
    page = report.Report("OrigiNet <demo>")
    page.section("Active images")
    page.figure(small_figure(), "A clip.", 'alt "quoted"')
    report.loso_section(page, make_result())
    report.bench_section(page, make_rows(), {"fused": 1.0, "eager": 3.0})
    report.environment_section(page, torch.device("cpu"))
    return page.html()


def test_page_needs_nothing_from_outside_and_no_script(full_page):
    page = Page(full_page)
    for _, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("href", "src", "srcset", "data", "action"):
            assert attrs.get(name, "data:").startswith("data:")
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "base"})
    assert not re.search(r"url\(|@import|https?:", full_page)


def test_every_picture_decodes(full_page):
    pictures = Page(full_page).all("img")
    assert len(pictures) == 3
    for picture in pictures:
        assert picture["alt"]
        kind, data = picture["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        image.load()
        assert min(image.size) > 50


def test_page_is_for_phones_and_names_itself(full_page):
    page = Page(full_page)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    assert full_page.startswith("<!DOCTYPE html>")
    assert len(page.all("table")) == len([d for d in page.all("div") if d == {"class": "scroll"}])
    assert page.all("html") == [{"lang": "en"}]


def test_everything_a_caller_gives_is_escaped():
    page = report.Report("<b>title")
    page.section("<b>section")
    page.text("<b>text & more")
    page.table(["<b>head"], [["<b>cell"]], "<b>caption")
    page.figure(small_figure(), "<b>caption", '"><b>alt')
    html = page.html()
    parsed = Page(html)
    assert "<b>" not in html and not parsed.all("b")
    assert parsed.rows == [["<b>head"], ["<b>cell"]]
    assert parsed.all("img")[0]["alt"] == '"><b>alt'
    assert "<b>text & more" in parsed.text


def test_table_aligns_columns_of_numbers_only():
    page = report.Report("t")
    page.table(
        ["name", "value", "mixed", "hash"],
        [
            ["a", 1, "1", "12ab"],
            ["b", "81.0 ± 2.5 %", "x", "34"],
            ["c", 1e-7, "2", "5"],
            ["d", "75.5 to 80.0 %", "3", "6"],
            ["e", "-", "3", "6"],
        ],
    )
    kinds = [attrs.get("class") for attrs in Page(page.html()).all("td")]
    assert kinds == [None, "number", None, None] * 5


def test_table_refuses_rows_of_another_length_and_may_be_empty():
    page = report.Report("t")
    with pytest.raises(ValueError, match=r"2 cells, got 1: \['x'\]"):
        page.table(["a", "b"], [["x"]])
    page.table(["a", "b"], [])
    assert Page(page.html()).rows == [["a", "b"]]


def test_loso_section_sets_each_result_beside_its_baseline():
    page = report.Report("t")
    result = make_result()
    report.loso_section(page, result)
    parsed = Page(page.html())
    # The baseline answers class 0, which has 3 of 6 clips: 1 of 2, 1 of 3 and 1 of 1 by subject.
    for row in (
        ["accuracy, all clips pooled", "75.0 ± 2.0 %", "61.2 to 80.0 %", "50.0 %"],
        ["accuracy, mean over subjects", "61.0 ± 3.0 %", "50.0 to 70.0 %", "61.1 %"],
        ["UF1 (unweighted F1)", "53.0 ± 4.0 %", "40.0 to 60.0 %", "33.3 %"],
        ["UAR (unweighted average recall)", "52.0 ± 5.0 %", "41.0 to 100.0 %", "50.0 %"],
    ):
        assert row in parsed.rows
    assert "95 % interval" in parsed.text
    assert "bootstrap over subjects, 10,000 resamples" in parsed.text
    assert ["s1", "2", "100.0 %"] in parsed.rows
    assert ["s2", "3", "66.7 %"] in parsed.rows
    assert ["s<b>3", "1", "0.0 %"] in parsed.rows
    assert ["clip list (SHA-256)", "ab12" * 16] in parsed.rows
    assert ["clips", "6"] in parsed.rows and ["epochs", "7"] in parsed.rows
    assert ["protocol", "strict"] in parsed.rows
    assert ["network: parameters", "1872548"] in parsed.rows


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_loso_section_says_when_the_protocol_leaks(protocol):
    page = report.Report("t")
    config = Config(protocol=protocol, class_weights="balanced", seeds=(0, 1))
    report.loso_section(page, dataclasses.replace(make_result(), config=config))
    parsed = Page(page.html())
    label = {"strict": "strict", "paper": "paper (leaky)"}[protocol]
    assert f", protocol {label}, balanced class weights" in parsed.text
    assert ["protocol", label] in parsed.rows and ["class_weights", "balanced"] in parsed.rows
    assert (LEAK in parsed.text) == (protocol == "paper")


@pytest.mark.parametrize("dataset", ["semi-synthetic", "casme2", "casme2+semi-synthetic"])
def test_loso_section_says_when_clips_are_semi_synthetic(dataset):
    page = report.Report("t")
    report.loso_section(page, make_result(dataset))
    heading = re.search(r"<h2>(.*?)</h2>", page.html()).group(1)
    assert heading == f"Leave-one-subject-out: {dataset}, protocol strict"
    assert ("generated" in Page(page.html()).text) == (dataset != "casme2")


def test_loso_section_shows_no_spread_for_one_seed():
    page = report.Report("t")
    report.loso_section(page, make_result(seeds=(0,)))
    assert "±" not in page.html()
    row = ["accuracy, all clips pooled", "75.0 %", "61.2 to 80.0 %", "50.0 %"]
    assert row in Page(page.html()).rows


def test_loso_section_tells_each_class_and_what_is_undefined():
    page = report.Report("t")
    report.loso_section(page, make_result())
    rows = Page(page.html()).rows
    assert ["negative", "75.0 %", "50.0 %", "60.0 %", "6"] in rows  # 3 of 4, 3 of 6, 6 of 10
    assert ["others", "62.5 %", "83.3 %", "71.4 %", "6"] in rows
    page = report.Report("t")
    report.loso_section(page, make_result(confusion=((6, 0), (6, 0))))
    html = page.html()
    assert ["others", "-", "0.0 %", "0.0 %", "6"] in Page(html).rows
    assert html.count('<th class="number">precision</th>') == 1  # a dash is no text among numbers


def test_bench_section_holds_every_row_and_the_memory(full_page):
    rows = Page(full_page).rows
    fused = ["forward", "1024", "float32", "fused", "2 µs", "1 µs", "4 µs", "4.1", "0.50"]
    assert fused in rows
    assert ["eager", "3.00"] in rows
    assert "a processor, 2 threads" in Page(full_page).text


def test_environment_section_names_the_versions(full_page):
    rows = Page(full_page).rows
    assert ["torch", torch.__version__] in rows
    assert any(row[0] == "python" for row in rows)
    assert any(row[0].startswith("extension: ") for row in rows)


def test_write_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "out" / "report.html"
    page = report.Report("first")
    page.write(path)
    before = path.read_text(encoding="utf-8")
    assert before == page.html()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    page.text("second")
    with pytest.raises(OSError, match="disk full"):
        page.write(path)
    with pytest.raises(OSError, match="disk full"):
        page.write(tmp_path / "new.html")
    assert path.read_text(encoding="utf-8") == before
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["out", "report.html"]
