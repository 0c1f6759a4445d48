"""The comparison: one run a network, LBP-TOP beside them, resuming, rows that fail, the paper's."""

import csv
import dataclasses
import json
import sys
import time

import numpy as np
import pytest
import torch
from folds import composite_set, sorted_clips
from stores import write_tree
from torch import nn

from originet.datasets import load_dataset
from originet.datasets.prepare import Settings, images_by_method
from originet.evaluation.compute import Compute
from originet.evaluation.loso import run_loso
from originet.evaluation.study import NothingEvaluated
from originet.paper import comparison, lbp_top
from originet.paper.baselines import NETWORKS, QUOTED, Compared
from originet.paper.comparison import LBP_TOP, ROWS, inference_times, rows_named, run_comparison
from originet.paper.comparison_report import write_comparison_report
from originet.system.errors import InputError
from originet.system.timings import Row
from originet.training.config import Config
from originet.training.networks.entry import Network

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 32
QUICK = Config(
    epochs=1, batch_size=4, rotations=(0,), equalize=False, select="last", image_size=SIZE
)


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch):
    monkeypatch.setattr(inference_times, "__kwdefaults__", {"budget": 0.0})


@pytest.fixture
def clips(tmp_path):
    """A table of 3 subjects with 2 clips each, and their active images."""
    table = load_dataset("folder", write_tree(tmp_path / "tree", subjects=3))
    return table, images_by_method(table, Settings(image_size=SIZE))["cumulative"]


def compare(clips, config=QUICK, *, progress=None, cuts=None, **arguments):
    compute = Compute("cpu", keep_weights=False, progress=progress)
    return run_comparison(sorted_clips(*clips, cuts=cuts), config, compute, **arguments)


def without_time(result):
    return [{k: v for k, v in fold.items() if k != "seconds"} for fold in result.folds]


def test_rows_are_found_by_name():
    assert ROWS == (*(network.name for network in NETWORKS), "LBP-TOP")
    assert rows_named(None) == rows_named([]) == ROWS
    assert rows_named(["lbp-top", "vgg-16", "VGG-16"]) == ("VGG-16", "LBP-TOP")
    with pytest.raises(InputError, match=r"network must be one of AlexNet, .*, got 'VGG'"):
        rows_named(["VGG"])


@pytest.mark.slow
def test_rows_are_runs_of_their_own_and_one_that_fails_does_not_lose_the_others(clips, tmp_path):
    table, images = clips
    rows = ["AlexNet", "MobileNetV2", "OrigiNet", LBP_TOP]
    out = tmp_path / "out"
    result = compare(clips, rows=rows, out=out)
    assert list(result.results) == [LBP_TOP, "MobileNetV2", "OrigiNet"]
    too_small = "AlexNet needs images of at least 63 pixels a side, got image_size 32"
    assert result.failed == {"AlexNet": too_small}
    plain = run_loso(table, config=QUICK, images=images, device="cpu")
    assert without_time(result.results["OrigiNet"]) == without_time(plain)
    assert result.results["MobileNetV2"].model["class"] == "MobileNetV2"

    told = json.loads((out / "compare.json").read_text())
    assert told == json.loads(json.dumps(result.to_json()))
    assert [quoted["name"] for quoted in told["quoted"]] == [row.name for row in QUOTED]
    records = {record["row"]: record for record in told["rows"]}
    assert list(records) == rows  # nothing is quoted for clips of one's own
    with (out / "compare.csv").open() as file:
        lines = list(csv.DictReader(file))
    for line, record in zip(lines, told["rows"], strict=True):
        assert line == {k: "" if v is None else str(v) for k, v in record.items()}
    for name in rows[1:]:
        stored = json.loads((out / name / "results.json").read_text())
        for measure in comparison.MEASURES:
            assert records[name][measure] == stored["metrics"][measure]
        assert (records[name]["milliseconds"] is None) == (name == LBP_TOP)
        assert records[name]["kind"] == ("handcrafted" if name == LBP_TOP else "network")
    assert records["AlexNet"]["failed"] == too_small and records["AlexNet"]["uf1"] is None
    assert records["AlexNet"]["parameters"] is None and records["AlexNet"]["milliseconds"] is None
    assert records["AlexNet"]["published_parameters"] == 61_100_840
    two = records["MobileNetV2"]["published_parameters"] - 998 * 1281  # outputs
    assert records["MobileNetV2"]["parameters"] == two
    assert records["MobileNetV2"]["mib_8_bytes"] == two * 8 / 2**20
    assert records["OrigiNet"]["memory_agrees_at_bytes"] == 8
    assert told["majority_accuracy"] == 0.5 and told["leaky"] is False


@pytest.mark.slow
def test_what_is_finished_is_not_computed_again(clips, tmp_path, monkeypatch):
    rows = ["OrigiNet", LBP_TOP]
    seen = []

    def interrupt(name, done, total):
        seen.append((name, done, total))
        if (name, done) == ("OrigiNet", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(clips, rows=rows, out=tmp_path / "out", progress=interrupt)
    assert seen == [*((LBP_TOP, n, 6) for n in range(1, 7)), *(("OrigiNet", n, 3) for n in (1, 2))]
    assert not (tmp_path / "out" / "compare.json").exists()
    folds = tmp_path / "out" / "OrigiNet" / "folds"
    before = {path: path.read_bytes() for path in folds.glob("*.json")}
    assert len(before) == 1
    monkeypatch.setattr(lbp_top, "features_of", lambda *_, **__: pytest.fail("again"))
    result = compare(clips, rows=rows, out=tmp_path / "out")
    assert list(result.results) == [LBP_TOP, "OrigiNet"] and len(list(folds.glob("*.json"))) == 3
    for path, written in before.items():  # to the time that it took
        assert path.read_bytes() == written
    other = dataclasses.replace(QUICK, epochs=2)
    with pytest.raises(InputError, match=r"another run: config\.epochs is 1 there, 2 here"):
        compare(clips, other, rows=rows, out=tmp_path / "out")


def test_without_frames_the_other_rows_are_evaluated(clips, tmp_path):
    table, images = clips
    gone = table.assign(frames=[(str(tmp_path / "gone.png"),)] * len(table)), images
    result = compare(gone, rows=["OrigiNet", LBP_TOP])
    reason = f"the clips' frames are needed, but {tmp_path / 'gone.png'} does not exist"
    assert result.failed == {LBP_TOP: reason}
    assert [record["failed"] for record in result.records()] == [None, reason]
    message = "none of 1 row could be evaluated, as LBP-TOP: the clips' frames are needed"
    with pytest.raises(NothingEvaluated, match=message):
        compare(gone, rows=[LBP_TOP])
    with pytest.raises(NothingEvaluated, match="none of 2 rows") as raised:
        compare(gone, rows=["AlexNet", LBP_TOP])
    assert list(raised.value.failed) == [LBP_TOP, "AlexNet"]


def test_lbp_top_is_told_where_every_network_fails(clips, tmp_path):
    rows, out = ["AlexNet", LBP_TOP], tmp_path / "out"
    result = compare(clips, rows=rows, out=out)
    assert list(result.results) == [LBP_TOP]
    assert list(result.failed) == ["AlexNet"]
    told = json.loads((out / "compare.json").read_text())
    assert [record["failed"] is None for record in told["rows"]] == [False, True]


def test_lbp_top_alone_takes_the_cuts_that_it_is_given(clips, monkeypatch):
    table, _ = clips
    given = []
    original = lbp_top.features_of
    monkeypatch.setattr(
        lbp_top, "features_of", lambda t, cuts, **k: given.append(cuts) or original(t, cuts)
    )
    result = compare(clips, rows=[LBP_TOP])
    assert given == [[Settings(image_size=SIZE)] * 6] and result.milliseconds == {}
    cuts = [Settings(image_size=20 + number) for number in range(6)]
    compare(clips, rows=[LBP_TOP], cuts=cuts)
    by_clip = dict(zip(table["clip"], cuts, strict=True))
    # In the order of subjects and clips.
    order = np.lexsort((table["clip"], table["subject"]))
    assert given[1] == [by_clip[name] for name in table["clip"].iloc[order]]


def test_lbp_top_is_scored_by_set_too(monkeypatch):
    table, images = composite_set(6)
    monkeypatch.setattr(
        "originet.paper.lbp_top.features_of",
        lambda clips, cuts, **options: np.eye(len(clips))[: len(clips)],
    )
    found = compare((table, images), dataclasses.replace(QUICK, image_size=16), rows=[LBP_TOP])
    records = found.to_json()["by_dataset"]
    assert [(each["row"], each["dataset"]) for each in records] == [
        *(("LBP-TOP", name) for name in ("full", "casme2", "samm")),
    ]
    result = found.results["LBP-TOP"]
    right = result.y_pred[0] == (table["label"] == "right").to_numpy()
    for each in records[1:]:
        of = (table["dataset"] == each["dataset"]).to_numpy()
        assert each["pooled_accuracy"] == right[of].mean() and each["clips"] == 12
    assert records[0]["clips"] == 24 and records[0]["uf1"] == result.metrics["uf1"]


@pytest.mark.slow
def test_the_papers_figures_are_those_of_the_data_set(clips):
    result = compare(clips, rows=["OrigiNet"])
    every = dataclasses.replace(result, rows=ROWS)

    def accuracies(dataset):
        records = dataclasses.replace(every, dataset=dataset).records()
        assert all(set(record) == set(records[0]) for record in records)
        for record in records:
            measured = record["uf1"] is not None
            assert measured == (record["row"] == "OrigiNet")
            if record["kind"] == "quoted":
                assert record["parameters"] is None and record["clips"] is None
        shown = {r["row"]: (r["paper_accuracy"], r["paper_task"]) for r in records}
        return {k: v for k, v in shown.items() if k not in ("AlexNet", "VGG-16", "GoogLeNet")}

    four, five = "(P, N, S, O)", "(H, S, D, R, O)"
    assert accuracies("casme2") == {
        "VGG-19": (0.5330, None),
        "ResNet-50": (None, None),
        "MobileNet": (0.5772, None),
        "MobileNetV2": (0.6076, None),
        "OrigiNet": (0.6209, None),
        LBP_TOP: (None, None),
        "STLBP-IP": (0.5991, five),
        "TICS": (0.6111, four),
        "FHOFO": (0.5586, four),
        "CNN-LSTM": (None, five),
        "3D-Flow": (0.5911, "(H, S, D, R, T)"),
    }
    assert accuracies("samm")["OrigiNet"][0] == 0.3489
    assert accuracies("samm")["LBP-TOP-SVM"] == (None, "")
    assert accuracies("cas_me2")["LBP-TOP-SVM"] == (0.4095, "")
    assert set(accuracies("folder").values()) == {(None, None)}


def test_departures_from_the_paper_are_told(clips):
    result = compare(clips, rows=["OrigiNet"])
    small, strict = "the images have 32 pixels a side, not 128", "the protocol is strict"
    assert result.departures == ["the clips are folder", small, strict]
    samm = dataclasses.replace(result, dataset="samm")
    assert samm.departures == ["the classes are happiness, sadness", small, strict]
    four = ("negative", "others", "positive", "surprise")
    published = dataclasses.replace(QUICK, protocol="paper", equalize=True, image_size=128)
    for dataset in ("casme", "casme2"):
        as_the_paper = dataclasses.replace(result, dataset=dataset, classes=four, config=published)
        assert as_the_paper.departures == []


class Sleeper(nn.Module):
    """Takes a known time for an image."""

    def __init__(self, seconds):
        super().__init__()
        self.fc, self.seconds = nn.Linear(3, 2), seconds

    def forward(self, x):
        assert x.shape == (1, 3, SIZE, SIZE) and not self.training
        assert x.stride(1) == 0 and not torch.is_grad_enabled()  # as `to_input` gives it
        time.sleep(self.seconds)
        return self.fc(x.mean((2, 3)))


def test_times_are_of_one_image_and_draw_no_random_numbers():
    slow, quick = (
        Compared(Network(name, lambda seconds=seconds, **_: Sleeper(seconds)))
        for name, seconds in (("slow", 0.1), ("quick", 0.01))
    )
    before = torch.random.get_rng_state()
    times = inference_times([slow, quick], 2, QUICK, device=torch.device("cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert times.reliable.keys() == {"slow", "quick"}
    assert list(times) == ["slow", "quick"] and times["slow"] >= 100 > times["quick"] >= 10


def test_times_that_a_busy_machine_gave_are_told_to_be_unreliable(clips, monkeypatch):
    def busy(case, *, budget):
        fields = dict.fromkeys((field.name for field in dataclasses.fields(Row)), "")
        rows = {name: fields | {"provider": name, "median_us": 4e3} for name in case.calls}
        return [Row(**row | {"q20_us": 1e3, "q80_us": 4.1e3}) for row in rows.values()]

    monkeypatch.setattr("originet.paper.comparison.time_case", busy)
    found = compare(clips, rows=["OrigiNet"])
    assert found.milliseconds == {"OrigiNet": 4.0}
    (record,) = found.records()
    assert record["milliseconds"] == 4.0 and record["milliseconds_reliable"] is False


def test_bad_input_is_refused(clips, tmp_path):
    for change, message in (
        ({"method": "rank"}, "images by 'rank' are needed, got cumulative"),
        ({"image_size": 48}, "images of 48 pixels a side are needed, got 32"),
    ):
        config = dataclasses.replace(QUICK, **change)
        for rows in (["OrigiNet"], [LBP_TOP]):
            with pytest.raises(InputError, match=message):
                compare(clips, config, rows=rows, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="out: cannot write to"):
        compare(clips, rows=[LBP_TOP], out=tmp_path / "file" / "below")


OWN_CODE = """
from torch import nn

def network(in_channels, classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, classes))
"""


def test_other_networks_are_found_by_name():
    named = rows_named(["timm:resnet18", "ststnet", "LBP-TOP", "originet", "mine:network", "rcn-a"])
    others = ("STSTNet", "RCN-A", "timm:resnet18", "mine:network")
    assert named == ("OrigiNet", "LBP-TOP", *others)
    assert not {*ROWS} & {*others}  # none of them by default
    message = "network must be one of AlexNet, .*, LBP-TOP, got 'STSTNet'"
    for name in ("STSTNet", "mine:network"):
        with pytest.raises(InputError, match=message.replace("STSTNet", name)):
            rows_named([name], papers_only=True)


@pytest.mark.slow
def test_networks_that_the_paper_does_not_have_are_compared(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    table = load_dataset("folder", write_tree(tmp_path / "tree", subjects=3))
    images = images_by_method(table, Settings(image_size=28))["cumulative"]
    config = dataclasses.replace(QUICK, image_size=28)
    rows = rows_named(["OrigiNet", "STSTNet", "OFF-ApexNet", "RCN-A", "mine:network"])
    out = tmp_path / "out"
    found = compare((table, images), config, rows=rows, out=out)
    assert list(found.results) == list(rows) and not found.failed
    for name, result in found.results.items():
        assert result.network == name and result.config.network == name
    records = {record["row"]: record for record in found.records()}
    assert (
        records["STSTNet"]["parameters"] == 1_683 - 401 and records["STSTNet"]["kind"] == "network"
    )
    assert records["STSTNet"]["published_parameters"] == 1_683
    assert records["STSTNet"]["paper_layers"] is None
    own = records["mine:network"]
    assert own["parameters"] == 2 * (3 * 28**2 + 1) and own["mib_4_bytes"] > 0
    assert own["layers"] is own["published_parameters"] is None and own["milliseconds"] > 0
    assert set(found.differences()) == {*rows} - {"OrigiNet"}
    assert (out / "mine_network" / "results.json").is_file()

    # Reading runs no code that a file names.
    (tmp_path / "mine.py").write_text("raise SystemExit")
    del sys.modules["mine"]
    again = comparison.read_comparison(out)
    assert json.dumps(again.to_json()) == json.dumps(found.to_json())
    assert "mine" not in sys.modules
    page = tmp_path / "report.html"
    write_comparison_report(page, again, {})
    assert "1,683" in page.read_text() and "mine:network" in page.read_text()


def test_rows_of_earlier_versions_did_not_name_their_network(clips, tmp_path):
    out = tmp_path / "out"
    compare(clips, rows=["LEARNet"], out=out)
    for path in (
        out / "config.json",
        out / "LEARNet" / "config.json",
        out / "LEARNet" / "results.json",
    ):
        values = json.loads(path.read_text())
        del values["config"]["network"], values["config"]["pretrained"]
        path.write_text(json.dumps(values))
    found = comparison.read_comparison(out)
    assert found.results["LEARNet"].model["class"] == found.results["LEARNet"].network == "LEARNet"
    again = compare(clips, rows=["LEARNet"], out=out)  # its folds are taken over
    assert again.results["LEARNet"].network == "LEARNet"
