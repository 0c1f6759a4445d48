"""Networks by name: timm's with and without weights, the user's own, and what is refused."""

import dataclasses
import hashlib
import importlib
import shutil
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from cloudpickle import dumps, loads

from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.networks import packages
from originet.training.networks.packages import timm_package
from originet.training.networks.table import factory_of, network_named, network_of

SOURCE = """
from torch import nn

class Blocks:
    @staticmethod
    def network(in_channels, classes, image_size):
        return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, classes))

network = Blocks.network

def one_more(in_channels, classes, image_size):
    return Blocks.network(in_channels, classes + 1, image_size)

def a_tuple(in_channels, classes, image_size):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, classes)
        def forward(self, x):
            return x, x
    return Pair()

def nothing_to_train(in_channels, classes, image_size):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

def other_size(in_channels, classes, image_size):
    return Blocks.network(in_channels, classes, image_size + 1)

def no_network(in_channels, classes, image_size):
    return classes

def other_arguments(classes):
    return Blocks.network(3, classes, 16)

number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with mymodule.py, in which the test runs."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mymodule.py").write_text(SOURCE)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    sys.modules.pop("mymodule", None)


def refused(name: str) -> str:
    with pytest.raises(InputError) as caught:
        network_named(name).factory(3, 16)(2)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_own_code_is_found_in_the_current_directory(mine):
    before = torch.random.get_rng_state()
    found = network_named("mymodule:network")
    factory = found.factory(3, 16)
    factory(2)
    torch.random.set_rng_state(before)
    fresh = factory(2)
    torch.random.set_rng_state(before)
    again = network_named("mymodule:Blocks.network").factory(3, 16)(2)
    # The trial of what is not the package's own draws nothing from the generator of the run.
    assert torch.equal(fresh[1].weight, again[1].weight)
    assert found.facts == {"source_sha256": hashlib.sha256(SOURCE.encode()).hexdigest()}
    assert sys.path[-1] == str(mine)


def test_own_code_travels_by_its_name(mine):
    sent = dumps(factory_of(Config(network="mymodule:network", image_size=16)))
    del sys.modules["mymodule"]
    sys.path.remove(str(mine))
    assert loads(sent)(2)[1].out_features == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone:network", "ModuleNotFoundError: No module named 'gone'"),
        ("mymodule:gone", "mymodule:gone: mymodule (/"),
        ("mymodule:number", "mymodule:number must be a function or a class, got int"),
        ("mymodule:no_network", "mymodule:no_network must return a torch.nn.Module, got int"),
        ("mymodule:nothing_to_train", "mymodule:nothing_to_train has no parameters to train"),
        ("mymodule:one_more", "must return logits [2, 2] for 2 images, got [2, 3]"),
        ("mymodule:a_tuple", "must return logits [2, 2] for 2 images, got tuple"),
        ("mymodule:other_size", "cannot take images [2, 3, 16, 16]: RuntimeError: mat1 and mat2"),
        (
            "mymodule:other_arguments",
            "mymodule:other_arguments(in_channels=3, classes=2, image_size=16) raised TypeError: ",
        ),
        ("sys:exit", "sys:exit: the module has no source file"),
    ],
)
def test_own_code_that_will_not_do_is_refused_in_one_line(mine, name, message):
    assert message in refused(name)


def test_own_code_that_raises_is_told_with_its_error(mine):
    (mine / "ends.py").write_text("raise SystemExit(3)\n")
    assert refused("ends:network").endswith(f"cannot import ends in {mine}: SystemExit: 3")
    (mine / "broken.py").write_text("def network(:\n")
    assert f"broken:network: cannot import broken in {mine}: SyntaxError: " in refused(
        "broken:network"
    )


@pytest.mark.parametrize("name", ["resnet50", "originet", "", "a b:c", "a:b:c", "../a:b", 7])
def test_what_cannot_be_a_name_is_refused_by_the_settings(name):
    with pytest.raises(
        InputError, match=r"network must be one of AlexNet, .*, timm:NAME, module:f"
    ):
        Config(network=name)


def test_settings_name_no_weights_that_nobody_has():
    for name in ("OrigiNet", "MobileNet", "mymodule:network"):
        with pytest.raises(InputError, match="network must be timm:NAME with pretrained weights"):
            Config(network=name, pretrained=True)
    assert (
        Config(network="timm:resnet18", pretrained=True).describe().endswith(", pretrained weights")
    )


def test_a_name_of_a_file_that_is_not_in_the_table_is_refused():
    with pytest.raises(InputError, match=r"network must be one of AlexNet, .*, got 'mymodule'"):
        network_named("mymodule")


@pytest.mark.slow
def test_timms_networks_take_any_size_and_channels():
    network = network_named("timm:test_resnet")
    assert network.facts == {} and network.source.startswith("timm ")
    assert network.factory(2, 40)(3).eval()(torch.zeros(1, 2, 40, 40)).shape == (1, 3)
    vit = network_named("timm:test_vit").factory(1, 64)(3)  # told its size when it is made
    assert vit.eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 3)


@pytest.mark.slow
def test_timm_knows_what_it_has():
    assert "timm:no_such: timm " in refused("timm:no_such")
    assert "has no network 'hub.x'" in refused("timm:hub.x")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the Hugging Face hub with made-up weights for timm's test_resnet."""
    constants = pytest.importorskip("huggingface_hub.constants")
    root = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    torch.manual_seed(7)
    weights = timm_package().create_model("test_resnet").state_dict()
    folder = root / "models--timm--test_resnet.r160_in1k"
    place = folder / "snapshots" / ("0" * 40)
    place.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    safetensors.torch.save_file(weights, place / "model.safetensors")
    return root, weights


@pytest.mark.slow
def test_weights_that_are_here_are_used_and_named(cache):
    root, weights = cache
    config = Config(network="timm:test_resnet", pretrained=True, image_size=32)
    network = network_of(config)
    made = network.factory(3, 32)(4)
    for name, value in made.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(value, weights[name]), name
    assert made.fc.out_features == 4
    assert network.facts["weights"] == "timm/test_resnet.r160_in1k"
    again = network_of(config).facts["weights_sha256"]
    assert network.facts["weights_sha256"] == again and len(again) == 64
    (file,) = root.rglob("model.safetensors")
    weights["fc.bias"] += 1
    safetensors.torch.save_file(weights, file)
    assert network_of(config).facts["weights_sha256"] != again
    plain = network_of(dataclasses.replace(config, pretrained=False))
    assert plain.facts == {}
    assert not torch.equal(
        plain.factory(3, 32)(4).state_dict()["conv1.0.weight"], weights["conv1.0.weight"]
    )


@pytest.mark.slow
def test_weights_that_are_not_here_are_not_fetched(cache, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    shutil.rmtree(cache[0])
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(InputError) as caught:
        network_named("timm:test_resnet", pretrained=True)
    text = "timm:test_resnet: timm's weights timm/test_resnet.r160_in1k are not on this machine: "
    assert str(caught.value).startswith(f"{text}LocalEntryNotFoundError: ")
    assert constants.HF_HUB_OFFLINE is before
    with pytest.raises(InputError, match="timm has no pretrained weights that can be kept here"):
        network_named("timm:gcvit_tiny", pretrained=True)


@pytest.mark.slow
def test_torchvision_is_imported_where_its_ops_cannot_be_loaded():
    # A process of its own, for the tests of this one have mended the import already.
    code = """
import torch
from originet.training.networks.packages import timm_package, torchvision_models
models = torchvision_models()
assert models is torchvision_models() and timm_package().__name__ == "timm"
print(sum(p.numel() for p in models.squeezenet1_1().parameters()))
import torchvision
boxes, scores = torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1)
try:
    print(torchvision.ops.nms(boxes, scores, 0.5).tolist())
except RuntimeError as error:
    print("Couldn't load custom C++ ops" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # Detection works, or torchvision says itself that it does not.
    assert done.stdout.splitlines() in (["1235496", "[0]"], ["1235496", "True"])


def test_a_broken_package_is_told_in_one_line_and_nothing_is_defined(monkeypatch):
    def broken(name):
        raise RuntimeError("compiled with different CUDA major versions\nmore")

    monkeypatch.setattr(packages, "_detection_ops", lambda: pytest.fail("defined"))
    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(InputError) as caught:
        packages.timm_package()
    assert str(caught.value).endswith("imported: compiled with different CUDA major versions")
