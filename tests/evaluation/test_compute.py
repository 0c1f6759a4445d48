"""How folds are computed: the device, what results depend on, and who hears of the progress."""

import dataclasses

import pytest
import torch
from folds import QUICK, small_set, sorted_clips, tiny

from originet.evaluation.compute import Compute
from originet.evaluation.executors import Processes, Serial
from originet.evaluation.ray_executor import Ray
from originet.evaluation.run import Variant
from originet.evaluation.study import evaluate
from originet.system.device import pick_device
from originet.system.errors import InputError


def test_nothing_given_is_the_usual_device_in_this_process():
    usual = Compute()
    assert usual == Compute(pick_device(), Serial(), True, None)
    assert usual.here == usual.device == pick_device()
    assert usual.progress_of("net") is None


def test_what_results_depend_on():
    told = {"device": "cpu", "torch": torch.__version__, "threads": 3}
    assert Compute("cpu", Serial(threads=3)).identity == told
    assert Compute("cpu", Processes(2, threads=3), keep_weights=False).identity == told
    del told["threads"]
    on_a_node = Compute("cuda:1", Ray(gpus_per_task=1))
    assert on_a_node.identity == told | {"device": "cuda"}


def test_a_device_of_the_nodes_is_not_one_of_this_machine():
    on_a_node = Compute("cuda:7", Ray(gpus_per_task=1))
    assert on_a_node.device == torch.device("cuda:7") and on_a_node.here == pick_device()
    with pytest.raises(InputError, match="device 'nowhere'"):
        Compute("nowhere")


def test_progress_is_told_by_the_networks_name():
    calls = []
    compute = Compute("cpu", Serial(threads=1), progress=lambda *call: calls.append(call))
    config = dataclasses.replace(QUICK, epochs=2)
    evaluate(sorted_clips(*small_set(3)), Variant("net", tiny, config), compute)
    assert calls == [("net", done, 6) for done in range(1, 7)]


def test_what_is_not_said_again_stays():
    compute = Compute("cpu", Serial(threads=2), False, print)
    quiet = dataclasses.replace(compute, progress=None)
    assert quiet == Compute("cpu", Serial(threads=2), False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        compute.keep_weights = True
