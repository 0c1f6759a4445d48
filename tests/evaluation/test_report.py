import base64
import dataclasses
import functools
import io
import re

import numpy as np
import pytest
import torch
from loso_results import make_images, make_result
from pages import Parsed
from PIL import Image

from originet.bench.section import bench_section
from originet.drawing import figures
from originet.drawing.page import Page
from originet.evaluation import metrics, report
from originet.evaluation.readings import READINGS
from originet.system import timings
from originet.training.config import Config
from originet.training.protocol import LEAK


def small_figure():
    return figures.active_image_grid({"a": np.zeros((4, 4), np.uint8)}, "t")


def make_rows():
    facts = {
        **{"benchmark": "rrelu", "mode": "forward", "device": "cpu", "device_name": "a processor"},
        **{"dtype": "float32", "shape": "1024", "layout": "contiguous", "threads": 2},
        **{"bytes": 8192, "torch": "2.13.0", "cuda": "", "originet": "0.1.0"},
        **{"commit": "", "date": "2026-01-01"},
        **dict.fromkeys(("saved_bytes", "peak_bytes", "l2_bytes", "l3_bytes"), 0),
    }
    return [
        timings.Row(
            provider=provider,
            median_us=median,
            q20_us=median * 0.9,
            q80_us=median * 1.1,
            gbps=8.192 / median,
            copy_ratio=1 / median,
            **facts,
        )
        for provider, median in (("fused", 2.0), ("eager", 9.0), ("clone", 1.0))
    ]


@functools.cache  # its figures take a while
def plain_page():
    page = Page("t")
    report.loso_section(page, make_result())
    return page


@pytest.fixture(scope="module")
def full_page():
    page = Page("OrigiNet <demo>")
    page.section("Active images")
    page.figure(small_figure(), "A clip.", 'alt "quoted"')
    report.loso_section(page, make_result(), make_images())
    bench_section(page, make_rows(), {"fused": 1.0, "eager": 3.0})
    report.made_with_section(page, report.made_with(torch.device("cpu")))
    return page.html()


@pytest.mark.slow
def test_page_needs_nothing_from_outside_and_no_script(full_page):
    page = Parsed(full_page)
    for _, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs)
    for _, attrs in page.tags + page.drawn:
        for name in ("href", "src", "srcset", "data", "action"):
            assert attrs.get(name, "data:").startswith(("data:", "#"))
    assert {tag for tag, _ in page.tags + page.drawn}.isdisjoint(
        {"script", "link", "iframe", "object", "base"}
    )
    assert not re.search(r"url\((?!#)|@import|https?:", full_page)
    assert len(page.all("style")) == 1


def test_every_picture_decodes(full_page):
    pictures = Parsed(full_page).all("img")
    assert len(pictures) == 3 + 2  # mistakes and the best of each class
    # A clip, confusion, subjects, curves, epochs, reliability and kernels.
    assert len(Parsed(full_page).all("svg")) == 7
    for picture in pictures:
        assert picture["alt"]
        kind, data = picture["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        image.load()
        assert min(image.size) >= 8
    assert all(chart["aria-label"] for chart in Parsed(full_page).all("svg"))


def test_page_is_for_phones_and_names_itself(full_page):
    page = Parsed(full_page)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    assert full_page.startswith("<!DOCTYPE html>")
    boxes = [attrs for attrs in page.all("div") if attrs["class"] == "scroll"]
    assert len(page.all("table")) + len(page.all("svg")) == len(boxes) > 5
    assert page.all("html") == [{"lang": "en"}]


@pytest.mark.slow
def test_loso_section_sets_each_result_beside_its_baseline():
    page = plain_page()
    parsed = Parsed(page.html())
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


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_loso_section_says_when_the_protocol_leaks(protocol):
    page = Page("t")
    config = Config(protocol=protocol, class_weights="balanced", seeds=(0, 1))
    report.loso_section(page, dataclasses.replace(make_result(), config=config))
    parsed = Parsed(page.html())
    label = {"strict": "strict", "paper": "paper (leaky)"}[protocol]
    assert f", protocol {label}, balanced class weights" in parsed.text
    assert ["protocol", label] in parsed.rows and ["class_weights", "balanced"] in parsed.rows
    assert (LEAK in parsed.text) == (protocol == "paper")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["semi-synthetic", "casme2", "casme2+semi-synthetic"])
def test_loso_section_says_when_clips_are_semi_synthetic(dataset):
    page = Page("t")
    report.loso_section(page, make_result(dataset))
    told = Parsed(page.html()).text.partition("Scores")[0]
    assert ("clips are generated" in told) == (dataset != "casme2")


@pytest.mark.slow
def test_loso_section_shows_no_spread_for_one_seed():
    page = Page("t")
    report.loso_section(page, make_result(seeds=(0,)))
    assert "±" not in page.html()
    row = ["accuracy, all clips pooled", "75.0 %", "61.2 to 80.0 %", "50.0 %"]
    assert row in Parsed(page.html()).rows


@pytest.mark.slow
def test_loso_section_tells_each_class_and_what_is_undefined():
    page = plain_page()
    rows = Parsed(page.html()).rows
    assert ["negative", "75.0 %", "50.0 %", "60.0 %", "6"] in rows  # 3 of 4, 3 of 6, 6 of 10
    assert ["others", "62.5 %", "83.3 %", "71.4 %", "6"] in rows
    page = Page("t")
    report.loso_section(page, make_result(confusion=((6, 0), (6, 0))))
    html = page.html()
    assert ["others", "-", "0.0 %", "0.0 %", "6"] in Parsed(html).rows
    assert (
        html.count('<th scope="col" class="number">precision</th>') == 1
    )  # a dash is no text among numbers


@pytest.mark.parametrize(
    ("value", "interval", "said"),
    [
        (0.6, (0.51, 0.7), "above the baseline, and the 95 % interval (51.0 to 70.0 %) excludes"),
        (0.6, (0.5, 0.7), "above the baseline, but the 95 % interval (50.0 to 70.0 %) includes"),
        (0.5, (0.4, 0.7), "not above the baseline, but the 95 % interval (40.0 to 70.0 %) incl"),
        (0.3, (0.2, 0.49), "below the baseline, and the 95 % interval (20.0 to 49.0 %) excludes"),
    ],
)
def test_verdict_says_whether_a_result_is_more_than_its_baseline(value, interval, said):
    sentence = report.verdict("UAR", value, interval, 0.5)
    assert sentence.startswith(f"UAR is {100 * value:.1f} %, the majority baseline's 50.0 %: ")
    assert said in sentence


def test_networks_that_always_answer_one_class_are_not_above_the_baseline():
    labels, subjects = np.tile(np.arange(5), 4), np.repeat(np.arange(4), 5)
    predicted = np.zeros((3, 20), np.int64)  # by three seeds, whose mean is 0.2 and a little more
    scores = metrics.scores_over_seeds(labels, predicted, subjects)
    intervals = metrics.bootstrap_intervals(labels, predicted, subjects)
    baseline = metrics.majority_baseline(labels, subjects)
    for name in ("pooled_accuracy", "uar"):
        assert scores[name] != baseline[name]
        sentence = report.verdict(name, scores[name], intervals[name], baseline[name])
        assert "20.0 %: not above the baseline" in sentence and "includes it" in sentence


@pytest.mark.slow
def test_loso_section_begins_with_the_verdicts():
    page = plain_page()
    text = Parsed(page.html()).text
    accuracy = report.verdict("Accuracy over all clips", 0.75, (0.6123, 0.8), 0.5)
    uar = report.verdict("UAR", 0.52, (0.41, 1.0), 0.5)
    assert 0 < text.index(accuracy) < text.index(uar) < text.index("Confusion matrix")
    assert "excludes" in accuracy and "includes" in uar
    assert "the commonest class, negative" in text  # of two, the first


def test_confusion_is_a_table_too():
    page = plain_page()
    rows = Parsed(page.html()).rows
    assert ["true class", "as negative", "as others"] in rows
    assert ["negative", "3 (50 %)", "3 (50 %)"] in rows
    assert ["others", "1 (17 %)", "5 (83 %)"] in rows


def test_predictions_are_listed_the_most_confident_first():
    told = report.predictions(make_result())
    assert len(told) == 12
    assert [each.probability for each in told] == sorted(
        (each.probability for each in told), reverse=True
    )
    wrong = [(each.clip, each.seed, each.true, each.predicted) for each in told if not each.right]
    assert wrong == [
        ("clip5", 1, "negative", "others"),
        ("clip5", 0, "negative", "others"),
        ("clip3", 0, "others", "negative"),
        ("clip2", 1, "negative", "others"),
    ]
    assert told[0].probability == pytest.approx(0.87)
    assert told[0].true_probability == pytest.approx(0.13)


@pytest.mark.slow
def test_worst_mistakes_are_shown_each_clip_once_with_its_own_image():
    page = Page("t")
    images = make_images()
    report.loso_section(page, make_result(), images)
    html = page.html()
    text = Parsed(html).text.replace("\N{NO-BREAK SPACE}", " ")
    lines = [
        "true negative, 13 % predicted others, 87 % s<b>3 clip5 seed 1",
        "true others, 25 % predicted negative, 75 % s2 clip3 seed 0",
        "true negative, 28 % predicted others, 72 % s2 clip2 seed 1",
        "predicted negative, 70 % s2 clip2 seed 0",  # the best of each class
        "predicted others, 82 % s2 clip4 seed 1",
    ]
    places = [text.index(line) for line in lines]
    assert places == sorted(places)
    assert text.count("true negative") == 2
    shown = [attrs["src"] for attrs in Parsed(html).all("img") if attrs["alt"].startswith("Active")]
    for source, clip in zip(shown, (5, 3, 2, 2, 4), strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))
        assert np.asarray(image).tolist() == [[40 * clip] * 8] * 8
    assert "8 right and 4 wrong. " in text


@pytest.mark.slow
def test_at_most_twelve_mistakes_are_shown(monkeypatch):
    monkeypatch.setattr(report, "MISTAKES", 2)
    page = Page("t")
    report.loso_section(page, make_result(), make_images())
    active = [a for a in Parsed(page.html()).all("img") if a["alt"].startswith("Active")]
    assert len(active) == 2 + 2


@pytest.mark.slow
def test_pictures_are_missed_and_a_faultless_run_is_told_so():
    page = plain_page()
    assert "No pictures are shown" in Parsed(page.html()).text
    assert not [a for a in Parsed(page.html()).all("img") if a["alt"].startswith("Active")]
    result = make_result(seeds=(0,))
    for fold in result.folds:
        fold["true"] = fold["predicted"]
    page = Page("t")
    report.loso_section(page, result, make_images())
    text = Parsed(page.html()).text
    assert "Every prediction was right." in text and "most confident wrong" not in text
    assert "6 right and 0 wrong" in text and "were right in 100.0 %." in text


@pytest.mark.slow
def test_epochs_that_were_kept_are_told():
    page, result = plain_page(), make_result()
    assert "median 3.5, from 2 to 5" in Parsed(page.html()).text
    page = Page("t")
    last = dataclasses.replace(result, config=dataclasses.replace(result.config, select="last"))
    report.loso_section(page, last)
    assert "Every fold kept the weights of its last epoch, 7." in Parsed(page.html()).text


@pytest.mark.slow
def test_many_subjects_are_shared_among_charts(monkeypatch):
    monkeypatch.setattr(report, "SUBJECTS", 2)
    page = Page("t")
    report.loso_section(page, make_result())
    alts = [attrs["aria-label"] for attrs in Parsed(page.html()).all("svg")]
    assert [alt[:30] for alt in alts if "accuracy of" in alt] == [
        "Bars: the accuracy of 2 subjec",
        "Bars: the accuracy of 1 subjec",
    ]


def test_the_accuracy_and_its_interval_come_first_beside_the_baseline():
    parsed = Parsed(plain_page().html())
    assert parsed.text.startswith(
        "t t 75.0 % 95 % interval: 61.2 to 80.0 % OrigiNet: accuracy over all clips. Majority "
        "baseline: 50.0 %. 6 clips of 3 subjects in 2 classes, semi-synthetic clips, protocol "
        "strict. Each clip was predicted by a network that had never seen its subject, once for "
        "each of 2 seeds. Semi-synthetic clips are generated"
    )


def test_what_a_figure_shows_is_folded_in_its_table():
    html = plain_page().html()
    folded = re.findall(r"<details><summary[^>]*>(.*?)</summary>", html)
    assert [text.partition(":")[0] for text in folded] == [
        "Numbers of the confusion matrix",
        "Numbers of the chart",
    ]


def test_calibration_is_told_and_drawn():
    text = Parsed(plain_page().html()).text
    found = predictions_calibration()
    assert f"The expected calibration error is {100 * found.error:.1f} %." in text
    assert "averaged over 10 bins" in text and "and were right in 66.7 %." in text


def predictions_calibration():
    told = report.predictions(make_result())
    return metrics.calibration([p.probability for p in told], [p.right for p in told])


def test_the_reading_of_the_pictures_is_defined_under_them(full_page):
    text = Parsed(full_page).text
    assert READINGS["cumulative"] in text[text.index("most confident right") :]
    assert READINGS["cumulative"] not in Parsed(plain_page().html()).text, "no pictures"


@pytest.mark.slow
def test_titles_have_the_names_of_data_sets(tmp_path):
    report.write_loso_report(tmp_path / "r.html", make_result("casme2+cas_me2"), {})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<title>OrigiNet on CASME II + CAS(ME)², protocol strict</title>" in page


def test_bench_section_holds_every_row_and_the_memory(full_page):
    rows = Parsed(full_page).rows
    fused = ["forward", "1024", "float32", "fused", "2 µs", "1.8 µs", "2.2 µs", "4.1", "0.50"]
    assert fused in rows
    assert ["eager", "3.00"] in rows
    assert "a processor, 2 threads" in Parsed(full_page).text


@pytest.mark.slow
def test_made_with_section_names_the_versions(full_page):
    rows = Parsed(full_page).rows
    assert ["torch", torch.__version__] in rows
    assert any(row[0] == "python" for row in rows)
    assert any(row[0].startswith("extension: ") for row in rows)


def test_channels_are_drawn_and_explained_and_estimates_told():
    result = dataclasses.replace(
        make_result(), config=Config(seeds=(0, 1), method="rank,dis"), estimated_apexes=4
    )
    flow = np.zeros((8, 8, 4), np.float32)
    flow[..., 1] = 1  # all goes to the right
    page = Page("t")
    report.loso_section(page, result, dict.fromkeys(make_images(), flow))
    told = Parsed(page.html()).text
    assert f"row by row: rank: {READINGS['rank']} dis: {READINGS['dis']}" in told
    assert "A flow is drawn as colours beside its strain" in told
    assert "The apex of 4 of 6 clips is an estimate" in told
    assert "is an estimate" not in Parsed(plain_page().html()).text
    encoded = re.findall(r'<img alt="Active[^>]*src="data:image/png;base64,([^"]+)"', page.html())
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in encoded]
    assert pictures and {picture.shape for picture in pictures} == {(16, 16, 3)}
    assert (pictures[0][:8, 8:] == (255, 0, 0)).all()
    own = dataclasses.replace(result, config=Config(method="own:a,b"), estimated_apexes=None)
    page = Page("t")
    report.loso_section(page, own, dict.fromkeys(make_images(), flow[..., :2]))
    assert "the channels a, b of the images" in Parsed(page.html()).text
