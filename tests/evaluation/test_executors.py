"""Folds in other processes: the same numbers, threads, workers that die, what is refused."""

import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from folds import QUICK, contents, run, small_set, tiny, with_dropout, without_time, worker_model
from torch import nn

from originet.evaluation.executors import EXECUTORS, Processes, Serial
from originet.evaluation.ray_executor import Ray
from originet.system.errors import InputError
from originet.training.config import Config

SEEDS = Config.from_dict(QUICK.to_dict() | {"seeds": [3, 4]})
TWO = Processes(workers=2, threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("executor", [TWO, Processes(workers=3, threads=1)])
def test_processes_give_what_one_thread_gives_bit_for_bit(tmp_path, executor):
    table, images = small_set()
    calls: list[tuple[int, int]] = []
    results = {}
    for name, each in (("serial", Serial(threads=1)), ("processes", executor)):
        results[name] = run(
            *(table, images),
            model=lambda classes: with_dropout(classes),
            config=SEEDS,
            executor=each,
            out=tmp_path / name,
            progress=lambda *call: calls.append(call),
        )
    assert without_time(results["serial"]) == without_time(results["processes"])
    assert contents(tmp_path / "serial") == contents(tmp_path / "processes")
    assert len(list((tmp_path / "processes" / "folds").glob("*.safetensors"))) == 8
    steps = [*range(1, 41), *range(5, 41, 5)]  # epoch by epoch, then fold by fold
    assert calls == [(done, 40) for done in steps]


def test_threads_of_a_fold(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    assert [Processes(n).fold_threads() for n in (None, 3, 8, 20)] == [1, 2, 1, 1]
    assert Processes(2, threads=3).fold_threads() == 3
    assert Serial().fold_threads() == torch.get_num_threads()
    assert Ray(cpus_per_task=5).fold_threads() == 5


def test_a_fold_computes_with_its_threads_and_gives_them_back():
    seen: list[int] = []

    def spy(num_classes: int) -> nn.Module:
        seen.append(torch.get_num_threads())
        return tiny(num_classes)

    before = torch.get_num_threads()
    run(*small_set(subjects=2), model=spy, executor=Serial(threads=before + 1))
    assert seen == [before, before, before + 1, before + 1]  # the first two are only looked at
    assert torch.get_num_threads() == before


def test_other_threads_are_refused_but_not_another_executor(tmp_path):
    table, images = small_set(subjects=3)
    first = run(table, images, out=tmp_path, executor=Serial(threads=1))
    again = run(table, images, out=tmp_path, executor=TWO)
    assert again.to_json() == first.to_json()
    with pytest.raises(InputError, match=r"another run: compute\.threads is 1 there, 2 here$"):
        run(table, images, out=tmp_path, executor=Serial(threads=2))


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [3, 8])
def test_folds_at_once_change_nothing_but_the_time(at_once):
    table, images = small_set(subjects=4)
    config = Config.from_dict(QUICK.to_dict() | {"seeds": [0, 1]})
    shown: list[tuple[int, int]] = []
    together = run(
        *(table, images),
        config=config,
        executor=Serial(threads=1, folds_at_once=at_once),
        progress=lambda *call: shown.append(call),
    )
    alone = run(table, images, config=config, executor=Serial(threads=1))
    assert without_time(together) == without_time(alone)
    assert shown == sorted(set(shown)) and shown[-1] == (40, 40)


def test_of_folds_at_once_those_that_succeed_stay(tmp_path):
    table, images = small_set(subjects=4)

    made: list[nn.Module] = []

    def model(num_classes: int) -> nn.Module:
        made.append(tiny(num_classes))
        if len(made) == 5:  # the third fold's, after two that are only looked at
            nn.init.constant_(made[-1][-1].weight, float("inf"))
        return made[-1]

    with pytest.raises(InputError, match=r"^seed 0, subject s02: the training loss became nan"):
        run(table, images, model=model, out=tmp_path, executor=Serial(folds_at_once=4))
    assert sorted(path.stem[-3:] for path in (tmp_path / "folds").glob("*.json")) == [
        *("s00", "s01", "s03")
    ]


@pytest.mark.slow
def test_images_are_shared_and_not_sent(tmp_path, capfd):
    table, images = small_set(subjects=2, clips=300)
    images = np.ascontiguousarray(images.repeat(4, axis=1).repeat(4, axis=2))  # 2.5 MB
    config = Config.from_dict(QUICK.to_dict() | {"image_size": 64, "epochs": 1})

    def model(num_classes: int) -> nn.Module:
        mapped = "joblib_memmapping_folder" in Path("/proc/self/maps").read_text()
        (tmp_path / str(os.getpid())).write_text(str(mapped))
        return nn.Sequential(nn.AvgPool2d(4), tiny(num_classes))

    run(table, images, model=model, config=config, executor=TWO)
    told = {int(path.name): path.read_text() for path in tmp_path.iterdir()}
    assert told.pop(os.getpid()) == "False" and set(told.values()) == {"True"}
    assert "Warning" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_killed_worker_is_told_and_what_was_finished_stays(tmp_path):
    table, images = small_set(subjects=6)
    undisturbed = run(table, images, out=tmp_path / "whole", executor=Serial(threads=1))

    def harm(call: int) -> None:
        if call == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    model, out = worker_model(tmp_path / "calls", harm), tmp_path / "out"
    with pytest.raises(InputError, match=r"^a worker process was killed.*seed 0, subj") as told:
        run(table, images, model=model, out=out, executor=TWO)
    assert "\n" not in str(told.value) and "fewer workers" in str(told.value)
    finished = {path.stem for path in (out / "folds").glob("*.json")}
    assert 2 <= len(finished) < 6
    named = [subject for subject in sorted(set(table["subject"])) if subject in str(told.value)]
    assert named and not any(name.endswith(subject) for name in finished for subject in named)
    resumed = run(table, images, model=model, out=out, executor=TWO)
    assert without_time(resumed) == without_time(undisturbed)


@pytest.mark.slow
def test_mistakes_in_a_model_keep_their_type(tmp_path):
    def harm(call: int) -> None:
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        run(*small_set(), model=worker_model(tmp_path / "calls", harm), executor=TWO)


def test_values_out_of_range_are_refused():
    for make, text in (
        (lambda: Serial(threads=0), "threads must be at least 1, got 0"),
        (lambda: Serial(threads=10**5), "threads must be at most 1024, got 100000"),
        (lambda: Processes(workers=-1), "workers must be at least 1, got -1"),
        (lambda: Processes(threads=0), "threads must be at least 1, got 0"),
        (lambda: Ray(cpus_per_task=0), "cpus_per_task must be at least 1, got 0"),
        (lambda: Ray(gpus_per_task=-1), "gpus_per_task must be at least 0, got -1"),
        (lambda: Ray(retries=-1), "retries must be at least 0, got -1"),
        (lambda: Ray().pick_device("cuda"), "device 'cuda' needs gpus_per_task above 0"),
        (lambda: Ray().pick_device("gpu"), "no device 'gpu': Expected"),
    ):
        with pytest.raises(InputError, match=text):
            make()
    assert set(EXECUTORS) == {"serial", "processes", "ray"}


def test_rays_devices_are_those_of_its_tasks():
    assert Ray().pick_device(None) == Ray().pick_device("cpu") == torch.device("cpu")
    assert Ray(gpus_per_task=0.5).pick_device(None) == torch.device("cuda")
    assert Ray(gpus_per_task=1).pick_device("cuda:0") == torch.device("cuda:0")
