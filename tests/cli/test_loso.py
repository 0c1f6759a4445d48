"""`originet loso`: what goes wrong in one line, and where folds are computed."""

import json

import pytest
import torch
from folds import HELP, OUT_OF_MEMORY, contents
from stores import make, write_tree

from originet.training.model import OrigiNet

pytestmark = pytest.mark.usefixtures("one_thread")


QUICKLY = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")


@pytest.fixture
def store(tmp_path):
    make(write_tree(tmp_path / "tree", subjects=4), tmp_path / "store")
    return tmp_path / "store"


@pytest.mark.slow
def test_the_command_line_tells_in_one_line_and_goes_on(run, store, tmp_path, monkeypatch):
    def command(out):
        return run("loso", store, "-o", tmp_path / out, *QUICKLY)

    assert command("whole")[0] == 0
    folds = 0

    def forward(network, x, original=OrigiNet.forward):
        nonlocal folds
        if network.training:  # one step a fold, as there are so few clips
            folds += 1
            if folds == 3:
                raise OUT_OF_MEMORY
        return original(network, x)

    with monkeypatch.context() as full:
        full.setattr(OrigiNet, "forward", forward)
        code, printed, err = command("out")
    assert code == 2 and printed == ""
    text = f"seed 0, subject s2: CUDA out of memory. Tried to allocate 2 GiB.{HELP}"
    assert err == f"error: {text}\n"
    assert len(list((tmp_path / "out" / "folds").glob("*.json"))) == 2
    code, _, err = command("out")
    assert code == 0, err
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_the_command_line_takes_executors(run, store, tmp_path):
    def command(*more):
        return run("loso", store, "-o", tmp_path / "out", *QUICKLY, *more)

    for more, text in (
        (("--executor", "dask"), "--executor must be one of serial, processes, ray, got 'dask'"),
        (("--workers", 2), "--workers 2 is for --executor processes, not serial"),
        (
            ("--executor", "ray", "--threads", 2),
            "--threads 2 is for --executor serial or processes, not ray",
        ),
        (
            ("--executor", "processes", "--gpus-per-task", 0.5),
            "--gpus-per-task 0.5 is for --executor ray, not processes",
        ),
        (("--executor", "processes", "--workers", 0), "workers must be at least 1, got 0"),
        (("--threads", 10**5), "threads must be at most 1024, got 100000"),
        (("--epochs", 10**12), "epochs must be at most 1,000,000, got 1000000000000"),
        (("--image-size", 10**6), "image_size must be at most 4,096, got 1000000"),
        (
            ("--executor", "ray", "--device", "cuda"),
            "device 'cuda' needs gpus_per_task above 0",
        ),
    ):
        assert command(*more) == (2, "", f"error: {text}\n")
    assert not (tmp_path / "out").exists()
    code, _, err = command("--executor", "processes", "--workers", 2, "--threads", 1)
    assert code == 0, err
    identity = json.loads((tmp_path / "out" / "config.json").read_text())
    assert identity["compute"] == {"device": "cpu", "threads": 1, "torch": torch.__version__}
    assert len(list((tmp_path / "out" / "folds").glob("*.safetensors"))) == 4
    assert command("--threads", 1, "--no-weights")[0] == 0  # the same numbers
    code, _, err = command("--threads", 2)
    assert code == 2 and err.endswith("another run: compute.threads is 1 there, 2 here\n")
