"""Runs that cannot go on: one line that says why, and what was finished stays."""

import json
from collections.abc import Callable

import pytest
import torch
from folds import QUICK, contents, raising, run, small_set, tiny
from stores import make, write_tree
from torch import nn

from originet.evaluation.executors import Processes
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import OrigiNet

pytestmark = pytest.mark.usefixtures("one_thread")

HELP = "; a smaller batch_size or fewer folds at a time may help"
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nAnd more.")
ENDS = (
    (OUT_OF_MEMORY, f"CUDA out of memory. Tried to allocate 2 GiB.{HELP}"),
    (MemoryError(), f"out of memory{HELP}"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), f"can't allocate memory{HELP}"),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "shapes cannot be multiplied"),
    (OSError("weights cannot be fetched"), "weights cannot be fetched"),
)


def failing_fold(act: Callable[[nn.Module], None], fold: int = 3) -> Callable[[int], nn.Module]:
    """A factory that does something to the network of a fold; the first two are only looked at."""
    calls = 0

    def model(num_classes: int) -> nn.Module:
        nonlocal calls
        calls += 1
        network = tiny(num_classes)
        if calls == 2 + fold:
            act(network)
        return network

    return model


def to_nan(network: nn.Module) -> None:
    nn.init.constant_(network[0].weight, torch.nan)


@pytest.mark.parametrize(("error", "text"), ENDS)
def test_a_fold_that_fails_is_named_and_the_others_stay(tmp_path, error, text):
    table, images = small_set(4)
    run(table, images, out=tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.raises(InputError) as told:
        run(table, images, model=failing_fold(raising(error)), out=out)
    assert str(told.value).startswith("seed 0, subject s02: ") and str(told.value).endswith(text)
    assert "\n" not in str(told.value)
    assert "in end" in str(told.value.__cause__)  # the traceback, for who wrote the network
    finished = sorted(path.name for path in (out / "folds").glob("*.json"))
    assert finished == ["seed0_000_s00.json", "seed0_001_s01.json"]
    run(table, images, out=out)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_loss_that_is_no_number_is_told_with_its_fold(tmp_path):
    with pytest.raises(InputError, match=r"^seed 0, subject s01: the training loss became nan in"):
        run(*small_set(), model=failing_fold(to_nan, fold=2), out=tmp_path)
    assert len(list((tmp_path / "folds").glob("*.json"))) == 1


def test_outputs_that_are_no_numbers_are_told_though_the_loss_was(tmp_path):
    class Late(nn.Module):  # in evaluation alone, where nothing is validated
        def forward(self, x):
            return x if self.training else x * torch.nan

    config = Config.from_dict(
        QUICK.to_dict() | {"select": "last", "validation_fraction": 0.0, "epochs": 1}
    )
    with pytest.raises(InputError, match=r"^seed 0, subject s00: the trained network's outputs"):
        run(*small_set(), model=lambda n: nn.Sequential(tiny(n), Late()), config=config)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda n: tiny(n + 1), r"\[7, 3\]"),  # its answers might even be classes
        (lambda n: tiny(n - 1), r"\[7, 1\]"),
        (lambda n: nn.Sequential(tiny(1), nn.Flatten(0)), r"\[7\]"),
        (lambda n: nn.Conv2d(3, n, 16, padding=1), r"\[7, 2, 3, 3\]"),
    ],
)
def test_a_network_of_other_outputs_is_told_at_its_first_step(tmp_path, model, shape):
    message = rf"^seed 0, subject s00: the network must return logits \[7, 2\] here, got {shape}$"
    with pytest.raises(InputError, match=message):
        run(*small_set(), model=model, out=tmp_path)
    assert not list((tmp_path / "folds").iterdir())


def test_a_class_that_the_papers_split_leaves_without_images_is_told(tmp_path):
    # With either subject left out, one clip shows the class: two copies, both drawn nearly surely.
    table, images = small_set(subjects=2, clips=6)
    table["label"] = ["right", *["left"] * 5] * 2
    values = {"protocol": "paper", "equalize": True, "validation_fraction": 0.75}
    config = Config.from_dict(QUICK.to_dict() | values)
    with pytest.raises(InputError, match=r"^seed 0, subject s0\d: class index 1 has no training"):
        run(table, images, config=config, out=tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("epochs", 6, "config.epochs is 5 there, 6 here"),
        ("batch_size", 4, "config.batch_size is 8 there, 4 here"),
        ("learning_rate", 0.1, "config.learning_rate is 0.01 there, 0.1 here"),
        ("weight_decay", 0.0, "config.weight_decay is 0.0001 there, 0.0 here"),
        ("rotations", (0, 5), "config.rotations is 0 there, 0 and 5 here"),
        ("equalize", True, "config.equalize is False there, True here"),
        ("validation_fraction", 0.3, "config.validation_fraction is 0.2 there, 0.3 here"),
        ("select", "last", "config.select is 'validation' there, 'last' here"),
        ("seeds", (0, 1), "config.seeds is 0 there, 0 and 1 here"),
        ("precision", "bfloat16", "config.precision is 'float32' there, 'bfloat16' here"),
        ("method", "rank", "config.method is 'cumulative' there, 'rank' here"),
        ("class_weights", "balanced", "config.class_weights is 'none' there, 'balanced' here"),
        ("sampling", "balanced", "config.sampling is 'shuffled' there, 'balanced' here"),
    ],
)
def test_another_setting_in_the_same_directory_is_refused(tmp_path, name, value, told):
    table, images = small_set(2)
    run(table, images, out=tmp_path)
    before = contents(tmp_path)
    config = Config.from_dict(QUICK.to_dict() | {name: value})
    with pytest.raises(InputError) as error:
        run(table, images, config=config, out=tmp_path)
    assert str(error.value) == f"{tmp_path} holds results of another run: {told}"
    assert contents(tmp_path) == before


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


@pytest.mark.slow
def test_a_failing_fold_in_another_process_is_told_alike(tmp_path):
    def model(num_classes: int) -> nn.Module:
        network = tiny(num_classes)
        raising(OUT_OF_MEMORY)(network)
        return network

    with pytest.raises(InputError, match=r"^seed 0, subject s0\d: CUDA out of memory") as told:
        run(*small_set(), model=model, executor=Processes(workers=2, threads=1))
    assert "\n" not in str(told.value) and "in end" in str(told.value.__cause__)


@pytest.mark.parametrize("column", ["subject", "clip", "label"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "n" * 10**6,
            r"^{column} 'nnnnnnnnnnnnnnnnnnnn'\.\.\. has 1,000,000 characters; at most 1,000",
        ),
        ("caf\udce9", r"^{column} 'caf\\udce9' is not UTF-8"),
    ],
)
def test_names_that_could_not_be_read_again_are_refused_at_once(tmp_path, column, name, message):
    table, images = small_set(2)
    table.loc[table["clip"] == "c1", column] = name
    with pytest.raises(InputError, match=message.format(column=column)):
        run(table, images, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
