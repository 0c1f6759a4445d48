"""`originet loso`: results, protocols, what goes wrong in one line, where folds are computed."""

import hashlib
import json
import re
import sys

import pytest
import torch
from clips import write_frames
from folds import HELP, OUT_OF_MEMORY, contents
from stores import make, write_tree

from originet.datasets import synth
from originet.evaluation.result import read_results
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


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=3, clips_per_class=1)


@pytest.mark.slow
def test_loso_writes_results_and_resumes(run, tmp_path, clips):
    arguments = ("loso", clips, "-o", tmp_path / "out", "--epochs", 1, "--image-size", 16)
    arguments += ("--rotation", 0, "--no-equalize", "--select", "last", "--seed", 3)
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "semi-synthetic: 12 clips" in out.replace("\n", " ").replace("  ", " ")
    assert "sha256" in out
    words = " ".join(out.split())
    for told in ("95 % interval", "majority baseline", "percentile bootstrap over subjects"):
        assert told in words
    first = json.loads((tmp_path / "out" / "results.json").read_text())
    assert first["config"]["rotations"] == [0] and first["config"]["seeds"] == [3]
    low, high = first["intervals"]["uf1"]
    assert re.search(rf"UF1\W+{first['metrics']['uf1']:.3f}\W+{low:.3f} to {high:.3f}\W", out)
    for name, row in first["per_class"].items():
        assert re.search(rf"{name}\W.*\W{row['recall']:.3f}\W.*\W{row['support']}\W", out)
    (tmp_path / "out" / "results.json").unlink()
    assert run(*arguments)[0] == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == first
    code, _, err = run(*arguments[:-1], 4)
    assert code == 2 and "holds results of another run: config.seeds" in err


@pytest.mark.slow
def test_loso_names_the_protocol_and_what_was_balanced(run, refuse, tmp_path, clips):
    quick = ("--epochs", 1, "--image-size", 16, "--rotation", 0, "--select", "last")
    code, out, err = run("loso", clips, "-o", tmp_path / "strict", *quick, "--sampling", "balanced")
    assert code == 0, err
    told = " ".join(out.split())
    assert "protocol strict, balanced sampling" in told and "eaky" not in told
    paper = ("--protocol", "paper", "--class-weights", "balanced")
    code, out, err = run("loso", clips, "-o", tmp_path / "paper", *quick, *paper)
    assert code == 0, err
    told = " ".join(out.split())
    assert "protocol paper (leaky), balanced class weights" in told
    assert "Leaky: copies of one clip are in both training and validation" in told
    record = json.loads((tmp_path / "paper" / "results.json").read_text())
    assert record["protocol"] == "paper" and record["leaky"]
    never = ("loso", clips, "-o", tmp_path / "never", *quick)
    refuse("protocol must be one of", *never, "--protocol", "published")
    refuse('with protocol="paper"', *never, "--protocol", "paper", "--no-equalize")
    refuse("sampling must be shuffled", *never, *paper, "--sampling", "balanced")
    assert not (tmp_path / "never").exists()


def test_loso_without_clips_or_with_too_few_subjects(refuse, tmp_path):
    (tmp_path / "empty").mkdir()
    refuse("empty", "loso", tmp_path / "empty", "-o", tmp_path / "out")
    refuse("none", "loso", tmp_path / "none", "-o", tmp_path / "out")
    for emotion, subject in (("happy", "a"), ("happy", "b"), ("sad", "b")):
        write_frames(tmp_path / "set" / emotion / subject / "clip")
    refuse("sad", "loso", tmp_path / "set", "-o", tmp_path / "out")  # a class with one subject
    refuse("epochs must be", "loso", tmp_path / "set", "-o", tmp_path / "out", "--epochs", 0)
    refuse("unknown data set 'casme9'", "loso", tmp_path / "set", "-o", "x", "--dataset", "casme9")


@pytest.mark.slow
def test_unknown_device(refuse, tmp_path, clips):
    refuse("device 'cuda:99'", "loso", clips, "-o", tmp_path / "out", "--device", "cuda:99")


@pytest.mark.slow
def test_a_flow_goes_from_clips_to_a_prediction(run, clips, tmp_path):
    store, results = tmp_path / "store", tmp_path / "results"
    prepare = ("prepare", "synthetic", clips, "-o", store, "--image-size", 32)
    code, out, err = run(*prepare, "--method", "rank,dis")
    assert code == 0, err
    assert "12 of 12 clips, rank, dis" in out
    assert "apex not annotated, estimated: 12 of 12 clips" in out
    code, _, err = run("loso", store, "-o", results, "--method", "rank,dis", *QUICKLY)
    assert code == 0, err
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "A flow is drawn as colours" in page
    again = ("report", results, store)
    assert run(*again)[0] == 0
    code, _, err = run("train", store, "-o", tmp_path / "model", "--evaluated", results)
    assert code == 0, err
    clip = next(clips.glob("surprise/*/*"))
    code, out, err = run("predict", tmp_path / "model", clip)
    assert code == 0 and len(out.splitlines()) == 2, err
    code, _, err = run("export", tmp_path / "model", "--to", "aoti", "-o", tmp_path / "exported")
    assert code == 2 and "export takes one grey image a clip" in err
    for method, told in (
        ("tvl1", "has no images by tvl1, only by rank, dis"),
        ("rank,flow", "each of method 'rank,flow' must be one of"),
        ("own:u,v", "names arrays of your own"),
    ):
        code, _, err = run("loso", store, "-o", tmp_path / "no", "--method", method, *QUICKLY)
        assert code == 2 and told in err and err.count("\n") == 1, err
    code, _, err = run("compare", store, "-o", tmp_path / "no", "--method", "dis", *QUICKLY)
    assert code == 2 and "compare takes one grey image a clip" in err
    code, _, err = run("ablation", store, "-o", tmp_path / "no", "--method", "dis", *QUICKLY)
    assert code == 2 and "the ablation takes one grey image a clip" in err


NETWORK = """
from torch import nn

def factory(in_channels, classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, classes))

def wide(in_channels, classes, image_size):
    return factory(in_channels, classes + 1, image_size)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Runs the test where mymodule.py is."""
    (tmp_path / "mymodule.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("mymodule", None)


@pytest.mark.slow
def test_own_network_is_evaluated_trained_and_answers(run, store, mine):
    named = ("--network", "mymodule:factory")
    code, printed, err = run("loso", store, "-o", "out", *QUICKLY, *named)
    assert code == 0, err
    assert "mymodule:factory, leave-one-subject-out on folder" in " ".join(printed.split())
    result = json.loads((mine / "out" / "results.json").read_text())
    digest = hashlib.sha256(NETWORK.encode()).hexdigest()
    assert result["config"]["network"] == "mymodule:factory"
    assert result["model"] == {
        "class": "Sequential",
        "parameters": 2 * (3 * 16**2 + 1),
        "architecture_sha256": result["model"]["architecture_sha256"],
        "source_sha256": digest,
    }
    assert read_results("out").model == result["model"]
    page = (mine / "out" / "report.html").read_text()
    assert "mymodule:factory on" in page and digest in page
    assert len(list((mine / "out" / "folds").glob("*.safetensors"))) == 4

    # Settings that come from a file alone run nobody's code.
    made = ("train", store, "-o", "model", "--evaluated", "out")
    code, _, err = run(*made)
    assert code == 2 and err.endswith("the package's: give --network mymodule:factory\n"), err
    code, _, err = run(*made, *named)
    assert code == 0, err
    card = json.loads((mine / "model" / "model.json").read_text())
    assert card["network"]["name"] == "mymodule:factory"
    assert card["network"]["source_sha256"] == digest
    clip = next((mine / "tree" / "sadness" / "s0").iterdir())
    code, _, err = run("predict", "model", clip)
    assert code == 2 and "give --network mymodule:factory" in err
    code, _, err = run("predict", "model", clip, "--network", "mymodule:wide")
    assert code == 2 and "give --network mymodule:factory" in err
    code, printed, err = run("predict", "model", clip, *named)
    assert code == 0 and printed.splitlines()[1].startswith(f"{clip},"), err

    # Another source is another network.
    (mine / "mymodule.py").write_text(NETWORK + "# changed\n")
    code, _, err = run("loso", store, "-o", "out", *QUICKLY, *named)
    assert code == 2 and "out holds results of another run: model.source_sha256 is" in err


def test_networks_of_the_table_are_found_in_any_case(run, store, tmp_path):
    def command(*more):
        return run("loso", store, "-o", tmp_path / "out", *QUICKLY, *more)

    code, _, err = command("--network", "rcn-a", "--no-weights")
    assert code == 0, err
    result = read_results(tmp_path / "out")
    assert result.network == result.config.network == "RCN-A" and result.model["class"] == "RCNA"
    code, _, err = command()
    assert code == 2 and "config.network is 'RCN-A' there, 'OrigiNet' here" in err


@pytest.mark.slow
def test_a_roots_images_are_made_in_the_size_of_the_network(run, store, tmp_path):
    tree, out = tmp_path / "tree", tmp_path / "out"
    code, _, err = run("loso", tree, "-o", out, *QUICKLY, "--network", "STSTNet")
    assert code == 0, err
    assert read_results(out).config.image_size == 28


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--network", "STSTNet"), "STSTNet takes images of 28 pixels a side, got image_size 16"),
        (("--network", "VGG"), "network must be one of AlexNet, VGG-16, "),
        (("--network", "mymodule:gone"), "has no gone"),
        (("--network", "nowhere:gone"), "nowhere:gone: cannot import nowhere in "),
        (("--network", "mymodule:wide"), "must return logits [2, 2] for 2 images, got [2, 3]"),
        (("--pretrained",), "network must be timm:NAME with pretrained weights, got 'OrigiNet'"),
    ],
)
def test_networks_that_will_not_do_are_refused_in_one_line(refuse, store, mine, options, message):
    refuse(message, "loso", store, "-o", mine / "out", *QUICKLY, *options)


def test_the_command_line_leaves_out_data_sets(run, store, tmp_path):
    other = write_tree(tmp_path / "other", subjects=4)
    make(other, tmp_path / "second", set_name="other")

    def command(*stores):
        return run("loso", *stores, "-o", tmp_path / "out", *QUICKLY, "--leave-out", "dataset")

    text = "leaving out data sets (leave_out) needs at least 2 of them, got 1 (folder)"
    assert command(store) == (2, "", f"error: {text}\n")
    code, printed, err = command(store, tmp_path / "second")
    assert code == 0, err
    assert "OrigiNet, leave-one-data-set-out on folder+other" in re.sub(r"\s+", " ", printed)
    folds = sorted(path.stem for path in (tmp_path / "out" / "folds").glob("*.json"))
    assert folds == ["seed0_000_folder", "seed0_001_other"]
