"""Table VI: rows, their figures, one run a row, resuming, rows that fail."""

import csv
import dataclasses
import hashlib
import itertools
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from folds import sorted_clips
from torch import nn

from originet.evaluation import fold
from originet.evaluation.compute import Compute
from originet.evaluation.loso import run_loso
from originet.paper import ablation
from originet.paper.ablation import DYNAMIC, ROWS, Paper, Row, methods_of, rows_named, run_ablation
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 16
QUICK = Config(
    epochs=1, batch_size=4, rotations=(0,), equalize=False, select="last", image_size=SIZE
)
NAMES = ["Sig", "LR", "LFC", "KS-1", "KS-2", "WDy", "OrigiNet"]


@pytest.fixture
def clips():
    """A table of 3 subjects with 4 clips in 2 classes, and noise for images by two methods."""
    rows = [
        {"dataset": "folder", "subject": f"s{n // 4}", "clip": f"c{n:02d}", "label": "ab"[n % 2]}
        for n in range(12)
    ]
    shape = (2, len(rows), SIZE, SIZE)
    active, dynamic = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return pd.DataFrame(rows), {"cumulative": active, DYNAMIC: dynamic}


def without_time(result) -> list[dict]:
    return [{k: v for k, v in each.items() if k != "seconds"} for each in result.folds]


def ablate(clips, config=QUICK, *, progress=None, **arguments):
    compute = Compute("cpu", progress=progress)
    return run_ablation(sorted_clips(*clips), config, compute, **arguments)


def row(name):
    return rows_named([name])[0]


# What 4 classes at 128 pixels give, and whether that is what the paper prints: parameters (which it
# cuts off) and memory.
FIGURES = {
    "Sig": (1_872_548, 14.286, True, True),
    "LR": (1_872_548, 14.286, True, True),
    "LFC": (1_085_476, 8.282, False, False),
    "KS-1": (1_662_500, 12.684, True, False),
    "KS-2": (2_222_628, 16.957, True, False),
    "WDy": (1_872_548, 14.286, True, True),
    "OrigiNet": (1_872_548, 14.286, True, True),
}


@pytest.mark.parametrize("name", NAMES)
def test_complexity_is_the_papers_or_the_difference_is_told(name):
    size = row(name).complexity(Config())
    parameters, memory, *agree = FIGURES[name]
    assert size.parameters == parameters and round(size.memory_mib, 3) == memory
    assert list(size.agrees(row(name).paper).values()) == agree


def test_one_fc_layer_has_the_papers_parameters_in_the_authors_wiring():
    lfc = row("LFC")
    size = lfc.complexity(Config(variant="authors"))
    assert size.parameters == 931_588
    assert size.agrees(lfc.paper) == {"parameters": True, "memory": False}
    # Where its memory is not 8 bytes a parameter in MiB, it is nearly that in 10^6 bytes.
    for name, variant in (("LFC", "authors"), ("KS-1", "paper"), ("KS-2", "paper")):
        size = row(name).complexity(Config(variant=variant))
        assert 0 < row(name).paper.memory - 8e-6 * size.parameters < 0.2


def test_layers_are_those_of_table_v_but_for_one():
    assert row("OrigiNet").complexity(Config()).layers == ablation.LAYERS + 1
    assert row("LFC").complexity(Config()).layers == ablation.LAYERS
    assert row("LFC").complexity(Config(variant="authors")).layers == ablation.LAYERS - 1


def test_computing_complexity_draws_from_no_generator():
    before = torch.get_rng_state()
    row("OrigiNet").complexity(QUICK)
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_are_found_by_name_in_the_papers_order():
    assert [r.name for r in ROWS] == [r.name for r in rows_named(None)] == NAMES
    assert [r.name for r in rows_named(["wdy", "LR", "lr"])] == ["LR", "WDy"]
    with pytest.raises(InputError, match=r"row must be one of Sig, .*, got 'KS-3'"):
        rows_named(["LR", "KS-3"])


def test_rows_need_active_or_dynamic_images():
    assert methods_of(ROWS, Config(method="authors")) == ["authors", "rank"]
    assert methods_of(rows_named(["WDy"]), Config()) == ["rank"]
    assert methods_of(rows_named(["LR", "KS-1"]), Config()) == ["cumulative"]
    with pytest.raises(InputError, match="method 'rank' is what row WDy"):
        methods_of(ROWS, Config(method="rank"))


@pytest.mark.slow
def test_each_row_exchanges_its_part_and_no_other(clips):
    result = ablate(clips)
    assert list(result.results) == NAMES and result.failed == {}
    hashes = {name: hashlib.sha256(i.tobytes()).hexdigest() for name, i in clips[1].items()}
    for name, each in result.results.items():
        assert each.images_sha256 == hashes[DYNAMIC if name == "WDy" else "cumulative"]
        assert each.config == dataclasses.replace(QUICK, method=row(name).method or "cumulative")
        assert each.clip_list_sha256 == result.any_result.clip_list_sha256
    networks = {name: each.model["architecture_sha256"] for name, each in result.results.items()}
    for one, other in itertools.combinations(NAMES, 2):
        assert (networks[one] == networks[other]) == ({one, other} == {"WDy", "OrigiNet"})
    modules = {name: list(row(name).model(QUICK)(2).modules()) for name in NAMES}
    assert sum(isinstance(m, nn.Sigmoid) for m in modules["Sig"]) == 4
    slopes = [m.negative_slope for m in modules["LR"] if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.1] * 4
    for name, want in (("KS-1", {1, 3}), ("KS-2", {5, 7}), ("OrigiNet", {3, 5})):
        assert {m.kernel_size[0] for m in modules[name] if isinstance(m, nn.Conv2d)} == want


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_row_originet_is_loso_itself(clips, variant):
    table, images = clips
    config = dataclasses.replace(QUICK, variant=variant)
    result = ablate(clips, config, rows=rows_named(["OrigiNet"]))
    plain = run_loso(table, config=config, images=images["cumulative"], device="cpu")
    assert without_time(result.results["OrigiNet"]) == without_time(plain)
    assert result.results["OrigiNet"].metrics == plain.metrics


def test_files_hold_the_table(clips, tmp_path):
    rows = rows_named(["LFC", "WDy"])
    config = dataclasses.replace(QUICK, seeds=(0, 1))
    result = ablate(clips, config, rows=rows, out=tmp_path / "out")
    told = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert told == json.loads(json.dumps(result.to_json()))
    assert told["clips"] == 12 and told["majority_accuracy"] == 0.5
    assert told["semi_synthetic"] is False and told["classes"] == ["a", "b"]
    assert Config.from_dict(told["config"]) == config
    forms = told["lfc_by_variant"]
    assert forms["paper"]["parameters"] > forms["authors"]["parameters"]
    assert forms["paper"]["parameters"] == told["rows"][0]["parameters"]
    with (tmp_path / "out" / "ablation.csv").open() as file:
        lines = list(csv.DictReader(file))
    for line, record in zip(lines, told["rows"], strict=True):
        assert line == {k: "" if v is None else str(v) for k, v in record.items()}
        metrics = json.loads((tmp_path / "out" / line["row"] / "results.json").read_text())[
            "metrics"
        ]
        for name in ablation.MEASURES:
            assert record[name] == metrics[name] and record[f"{name}_std"] == metrics[f"{name}_std"]
        assert record["clip_list_sha256"] == told["clip_list_sha256"] and record["seeds"] == 2
    assert [line["method"] for line in lines] == ["cumulative", "rank"]
    assert [line["paper_accuracy"] for line in lines] == ["0.5292", "0.4619"]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(clips, tmp_path, monkeypatch):
    rows = rows_named(["Sig", "LR"])
    plain = ablate(clips, rows=rows, out=tmp_path / "plain")

    def interrupt(name, done, total):
        assert total == 3
        if (name, done) == ("LR", 2):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    again = partial(ablate, clips, rows=rows, out=out)
    with pytest.raises(KeyboardInterrupt):
        again(progress=interrupt)
    assert not (out / "ablation.json").exists()
    trained = []
    monkeypatch.setattr(
        fold,
        "run_folds",
        lambda jobs, *a, original=fold.run_folds, **k: (
            trained.extend(jobs) or original(jobs, *a, **k)
        ),
    )
    result = again()
    assert len(trained) == 2  # of LR, whose second fold was not finished
    for name in ("Sig", "LR"):
        assert without_time(result.results[name]) == without_time(plain.results[name])


def test_another_study_in_the_same_directory_is_refused(clips, tmp_path):
    rows = rows_named(["Sig"])
    ablate(clips, rows=rows, out=tmp_path)
    before = (tmp_path / "ablation.json").read_bytes()
    config = dataclasses.replace(QUICK, epochs=2)
    with pytest.raises(InputError, match=r"another run: config\.epochs is 1 there, 2 here"):
        ablate(clips, config, out=tmp_path)
    table, images = clips
    fewer = {method: pixels[:11] for method, pixels in images.items()}
    with pytest.raises(InputError, match="another run: clip_list_sha256"):
        ablate((table[:11], fewer), out=tmp_path)
    assert (tmp_path / "ablation.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="out: cannot write to"):
        ablate(clips, out=tmp_path / "file" / "below")


class Broken(nn.Module):
    """An activation that fails as a full device does, in two lines."""

    def forward(self, x):
        raise RuntimeError("out of memory\nmore of it")


def test_a_row_that_fails_does_not_lose_the_others(clips, tmp_path):
    nothing = Paper(0.5, 1.8, 14.3)
    broken = Row("Broken", "fails", nothing, {"activation": Broken})
    rows = [broken, row("LR")]
    result = ablate(clips, rows=rows, out=tmp_path)
    reason = "seed 0, subject s0: out of memory"
    reason += "; a smaller batch_size or fewer folds at a time may help"
    assert result.failed == {"Broken": reason} and list(result.results) == ["LR"]
    first, second = result.records()
    assert first["failed"] == reason and first["uf1"] is None and first["seconds"] is None
    assert second["failed"] is None and second["uf1"] == result.results["LR"].metrics["uf1"]
    before = (tmp_path / "ablation.json").read_bytes()
    message = "none of 1 row could be evaluated, as Broken: seed 0, subject s0: out of memory"
    with pytest.raises(InputError, match=message):
        ablate(clips, rows=[broken], out=tmp_path)
    assert (tmp_path / "ablation.json").read_bytes() == before


def test_errors_in_a_row_that_are_ours_are_not_hidden(clips):
    def model(*_, **__):
        raise TypeError("a mistake")

    wrong = Row("Wrong", "fails", Paper(0.5, 1.8, 14.3), {"activation": model})
    with pytest.raises(TypeError, match="a mistake"):
        ablate(clips, rows=[wrong, row("LR")])


def test_bad_input_is_refused(clips, tmp_path):
    table, images = clips
    with pytest.raises(InputError, match="images by 'rank' are needed, got cumulative"):
        ablate((table, images["cumulative"]), out=tmp_path / "out")
    for rows in ([], [row("LR")] * 2):
        with pytest.raises(InputError, match="rows must be one or more, each once"):
            ablate(clips, rows=rows)
    with pytest.raises(InputError, match="method 'rank' is what row WDy takes"):
        ablate(clips, dataclasses.replace(QUICK, method="rank"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_departures_from_casme_ii_are_told(clips):
    def told(**values):
        table = clips[0].assign(**values)
        result = ablate((table, clips[1]), rows=rows_named(["KS-1"]))
        big = dataclasses.replace(result, config=dataclasses.replace(QUICK, image_size=128))
        assert result.departures[-2] == "the images have 16 pixels a side, not 128"
        assert result.departures[-1] == big.departures[-1] == "the protocol is strict"
        assert result.departures[:-2] == big.departures[:-1]
        published = dataclasses.replace(big.config, protocol="paper", equalize=True)
        assert big.departures[:-1] == dataclasses.replace(big, config=published).departures
        return big.departures[:-1]

    assert told() == ["the clips are folder"]
    assert told(dataset="casme2") == ["the classes are a, b"]
    merged = ["negative", "others", "positive", "surprise"] * 3
    assert told(dataset="casme2", label=merged) == []
    assert told(dataset="semi-synthetic", label=merged) == ["the clips are semi-synthetic"]
