"""Several networks at once: results, failures, resuming, what a directory is for."""

import dataclasses
import json
import os
import signal
import time

import numpy as np
import pytest
from folds import QUICK, contents, run, small_set, tiny, with_dropout, without_time, worker_model
from torch import nn

from originet.evaluation.compute import Compute
from originet.evaluation.executors import Processes, Serial
from originet.evaluation.run import Variant
from originet.evaluation.splits import sort_clips
from originet.evaluation.study import run_study
from originet.system.errors import InputError

ONE = Serial(threads=1)
ALONE = Compute("cpu", ONE)


@pytest.fixture
def clips():
    table, images = small_set(subjects=3)
    return sort_clips(table, {"cumulative": images, "rank": 255 - images}, QUICK.image_size)


def loso(clips, method="cumulative", **options):
    """Evaluates one network on the clips, in the order of their table."""
    images = np.empty_like(clips.images[method])
    images[clips.order] = clips.images[method]
    return run(clips.table, images, **options)


def variants(**models):
    return [Variant(name, model, QUICK) for name, model in models.items()]


def failing(call):
    """A factory whose network fails from a call on; the first two are looked at only."""
    calls = []

    def model(num_classes):
        calls.append(num_classes)
        if len(calls) > 2 + call:
            raise RuntimeError("no more\nof them")
        return tiny(num_classes)

    return model, calls


@pytest.mark.slow
@pytest.mark.parametrize("executor", [ONE, Processes(workers=2, threads=1)])
def test_each_variant_gives_what_its_own_run_gives(clips, tmp_path, executor):
    dynamic = dataclasses.replace(QUICK, method="rank", seeds=(1, 2))
    rows = [*variants(small=tiny), Variant("dynamic", with_dropout, dynamic)]
    calls = []
    compute = Compute("cpu", executor, progress=lambda *call: calls.append(call))
    study = run_study(clips, rows, compute, out=tmp_path / "study")
    assert list(study.results) == ["small", "dynamic"] and study.failed == {}
    for row in rows:
        own = tmp_path / "own" / row.name
        alone = loso(
            clips,
            row.config.method,
            model=row.model,
            config=row.config,
            out=own,
            executor=ONE,
        )
        assert without_time(study.results[row.name]) == without_time(alone)
        assert contents(tmp_path / "study" / row.name) == contents(own)
        total = 3 * QUICK.epochs * len(row.config.seeds)
        assert [call for call in calls if call[0] == row.name][-1] == (row.name, total, total)


def test_a_variant_that_fails_stops_and_the_others_go_on(clips, tmp_path):
    model, calls = failing(call=1)
    never, _ = failing(call=-2)
    rows = variants(first=model, second=tiny, third=never)
    study = run_study(clips, rows, ALONE, out=tmp_path)
    assert study.failed == {"first": "seed 0, subject s01: no more", "third": "no more"}
    assert list(study.results) == ["second"]
    assert len(calls) == 4  # two looks, a fold, a fold that failed; its third did not start
    folds = sorted(path.name for path in (tmp_path / "first" / "folds").glob("*.json"))
    assert folds == ["seed0_000_s00.json"]
    assert not (tmp_path / "first" / "results.json").exists()
    # Mended, it goes on, and the one that is complete is read.
    both = variants(first=tiny, second=tiny)
    mended = run_study(clips, both, ALONE, out=tmp_path)
    assert without_time(mended.results["first"]) == without_time(study.results["second"])


@pytest.mark.slow
def test_a_killed_worker_ends_the_variants_that_ran_and_no_other(clips, tmp_path):
    def harm(call):
        if call == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(5)  # so that no fold of the next variant starts before that is noticed

    rows = variants(first=worker_model(tmp_path / "calls", harm), second=tiny)
    two = Processes(workers=2, threads=1)
    study = run_study(clips, rows, Compute("cpu", two))
    assert list(study.failed) == ["first"]
    assert study.failed["first"].startswith(
        "a worker process was killed, often because memory ran out"
    )
    assert "seed 0, subject s00; seed 0, subject s01;" in study.failed["first"]
    alone = loso(clips, executor=ONE)
    assert without_time(study.results["second"]) == without_time(alone)


def test_all_failing_is_an_error_that_tells_the_first(clips):
    model, _ = failing(call=0)
    text = r"^none of 1 row .*, as a: seed 0, subject s00: no more$"
    with pytest.raises(InputError, match=text):
        run_study(clips, variants(a=model), ALONE)


def test_what_else_identifies_a_row_is_in_its_directory(clips, tmp_path):
    def study(**row):
        variant = Variant("net", tiny, QUICK, row)
        return run_study(clips, [variant], ALONE, out=tmp_path)

    study(pretrained=False)
    identity = json.loads((tmp_path / "net" / "config.json").read_text())
    assert identity["row"] == {"pretrained": False}
    with pytest.raises(InputError, match=r"row\.pretrained is False there, True here"):
        study(pretrained=True)


def test_a_directory_of_another_study_is_refused(clips, tmp_path):
    def study(clips=clips, config=QUICK, executor=ONE):
        rows = [Variant("net", tiny, config)]
        return run_study(clips, rows, Compute("cpu", executor), out=tmp_path)

    study()
    before = contents(tmp_path)
    other = dataclasses.replace(clips, clip_list_sha256="0" * 64)
    for text, change in (
        (r"config\.epochs is 5 there, 6 here", {"config": dataclasses.replace(QUICK, epochs=6)}),
        (r"compute\.threads is 1 there, 2 here", {"executor": Serial(threads=2)}),
        ("clip_list_sha256 is", {"clips": other}),
    ):
        with pytest.raises(InputError, match=text):
            study(**change)
    assert contents(tmp_path) == before


def test_bad_input_is_refused(clips, tmp_path):
    for rows, text in (
        ([], "rows must be one or more, each once, got none"),
        (variants(a=tiny) * 2, "rows must be one or more, each once"),
        (variants(**{"a/b": tiny, "a_b": tiny}), "with a file name of its own, got a/b, a_b"),
        (
            [Variant("a", tiny, dataclasses.replace(QUICK, method="learnet"))],
            "images by 'learnet' are needed, got cumulative, rank",
        ),
        (
            [Variant("a", tiny, dataclasses.replace(QUICK, image_size=48))],
            f"images of 48 pixels a side are needed, got {QUICK.image_size}",
        ),
    ):
        with pytest.raises(InputError, match=text):
            run_study(clips, rows, ALONE, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_networks_are_compared_by_subjects_alone(clips, tmp_path):
    row = Variant("small", tiny, dataclasses.replace(QUICK, leave_out="dataset"))
    with pytest.raises(InputError, match="compared with leave_out='subject' only"):
        run_study(clips, [row], ALONE, out=tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()


def test_weights_that_are_no_tensors_cannot_be_kept(clips, tmp_path):
    rows = [Variant("extra", Extra, QUICK)]
    with pytest.raises(InputError, match="weights cannot be kept: '_extra_state' of the model"):
        run_study(clips, rows, ALONE, out=tmp_path)
    study = run_study(clips, rows, Compute("cpu", ONE, keep_weights=False), out=tmp_path)
    assert study.results["extra"].metrics["uar"] > 0.5


class Extra(nn.Sequential):
    """A network whose state holds more than tensors."""

    def __init__(self, num_classes):
        super().__init__(*tiny(num_classes))

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass
