"""The weights of folds: what the files hold, files that are missing or damaged, no pickle."""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from folds import QUICK, contents, run, small_set, tiny, with_dropout, without_time
from torch import nn

import originet
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import OrigiNet
from originet.training.predict import predict
from originet.training.weights import load_fold_weights, to_safetensors

pytestmark = pytest.mark.usefixtures("one_thread")


def trained(out: Path, **arguments: object):
    return run(*small_set(3), model=with_dropout, out=out, **arguments)


@pytest.mark.parametrize("select", ["validation", "last"])
def test_loaded_weights_predict_what_the_fold_predicted(tmp_path, select):
    config = Config.from_dict(QUICK.to_dict() | {"select": select})
    table, images = small_set(3)
    result = run(table, images, model=with_dropout, config=config, out=tmp_path)
    for fold in result.folds:
        path = tmp_path / "folds" / f"seed0_{fold['index']:03d}_{fold['subject']}.safetensors"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == fold["weights_sha256"]
        network = with_dropout(2)
        load_fold_weights(path, network)
        test = images[(table["subject"] == fold["subject"]).to_numpy()]
        assert predict(network, test, device="cpu").tolist() == fold["probabilities"]


def test_originets_weights_come_back_to_the_bit(tmp_path):
    network = OrigiNet(3, image_size=16).to(memory_format=torch.channels_last)
    (tmp_path / "a.safetensors").write_bytes(to_safetensors(network))
    other = OrigiNet(3, image_size=16)
    load_fold_weights(tmp_path / "a.safetensors", other)
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_tied_weights_can_be_kept(tmp_path):
    def tied(num_classes: int) -> nn.Module:
        first, second = nn.Linear(4, 4), nn.Linear(4, 4)
        second.weight = first.weight
        return nn.Sequential(first, second)

    (tmp_path / "a.safetensors").write_bytes(to_safetensors(network := tied(2)))
    load_fold_weights(tmp_path / "a.safetensors", other := tied(2))
    assert torch.equal(other[1].weight, network[0].weight)


def test_files_that_are_no_weights_of_the_network_are_refused(tmp_path):
    trained(tmp_path)
    path = next((tmp_path / "folds").glob("*.safetensors"))
    with pytest.raises(
        InputError, match=r"safetensors does not fit the model: .* is absent there, 'torch.*' here"
    ):
        load_fold_weights(path, tiny(2))
    with pytest.raises(
        InputError, match=r"does not fit .*\[2\]' there, 'torch.float32 \[3\]' here"
    ):
        load_fold_weights(path, with_dropout(3))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"is damaged or not a safetensors file: ") as told:
        load_fold_weights(path, with_dropout(2))
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match=r"no such file: .*none\.safetensors"):
        load_fold_weights(tmp_path / "none.safetensors", with_dropout(2))


def test_lying_weights_are_named_and_leave_the_network_as_it_was(tmp_path):
    network = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    path = tmp_path / "a.safetensors"

    def refused(data: bytes, reason: str) -> None:
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"^{re.escape(str(path))} {reason}") as told:
            load_fold_weights(path, network)
        assert "\n" not in str(told.value) and len(str(told.value)) < 2000
        assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())

    def saved(**values: torch.Tensor) -> bytes:
        return safetensors.torch.save({"weight": torch.ones(2, 2), "bias": torch.ones(2)} | values)

    refused(saved(bias=torch.ones(2, dtype=torch.bfloat16)), "does not fit the model: bias is .*16")
    refused(saved(bias=torch.ones(2).to(torch.float8_e4m3fn)), "does not fit the model: bias is .*")
    refused(saved(bias=torch.ones(2, dtype=torch.int64)), "does not fit the model: bias is .*int64")
    refused(
        saved(**{f"x\n{i}": torch.ones(1) for i in range(999)}),
        r"does not fit .*x \d+ .* absent here",
    )
    refused(b"\xff" * 8 + saved(), "is damaged or not a safetensors file: its header is too large")
    header = b'{"bias":{"dtype":"F32","shape":[9223372036854775808,0],"data_offsets":[0,0]}}'
    content = len(header).to_bytes(8, "little") + header
    refused(content, "is damaged or not a safetensors file: resh")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"a\.safetensors is a pipe, not a file"):
        load_fold_weights(path, network)


def test_a_fold_without_its_weights_is_computed_again(tmp_path):
    first = trained(tmp_path)
    before = contents(tmp_path)
    path = sorted((tmp_path / "folds").glob("*.safetensors"))[1]
    path.unlink()
    calls: list[tuple[int, int]] = []
    again = trained(tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [(5, 15), (10, 15), *((done, 15) for done in range(11, 16))]
    assert without_time(again) == without_time(first) and contents(tmp_path) == before


def test_damaged_weights_are_named(tmp_path):
    trained(tmp_path)
    path = sorted((tmp_path / "folds").glob("*.safetensors"))[1]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))} is damaged: its SHA-256"):
        trained(tmp_path)
    trained(tmp_path, keep_weights=False)  # does not look at them


def test_weights_need_not_be_kept(tmp_path):
    first = trained(tmp_path, keep_weights=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert {fold["weights_sha256"] for fold in first.folds} == {None}
    again = trained(tmp_path)  # what was finished without weights is finished
    assert again.to_json() == first.to_json()
    (tmp_path / "folds" / "seed0_001_s01.json").unlink()
    trained(tmp_path)
    assert [p.name for p in tmp_path.rglob("*.safetensors")] == ["seed0_001_s01.safetensors"]


def test_records_of_runs_that_kept_no_weights_yet_are_read(tmp_path):
    first = trained(tmp_path, keep_weights=False)
    for path in (tmp_path / "folds").iterdir():
        fold = json.loads(path.read_text())
        del fold["weights_sha256"]
        path.write_text(json.dumps(fold))
    np.testing.assert_array_equal(trained(tmp_path).y_pred, first.y_pred)


def test_nothing_in_the_package_loads_a_pickle():
    loads = re.compile(
        r"\b(torch|pickle|joblib|dill)\.loads?\b|read_pickle|Unpickler|allow_pickle=True"
        r"|from (torch|pickle|joblib|dill) import .*\bload"
    )
    sources = list(Path(originet.__file__).parent.rglob("*.py"))
    assert len(sources) > 50
    assert [str(path) for path in sources if loads.search(path.read_text())] == []
    assert loads.search("weights = torch.load(path)") and loads.search(
        "from pickle import dump, loads"
    )
