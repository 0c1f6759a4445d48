"""The networks of Tables III to V: sizes against known ones, forward passes, missing packages."""

import sys

import pytest
import torch
from cloudpickle import dumps, loads
from torch import nn

from originet.paper.baselines import NETWORKS, OTHERS, QUOTED, check_installed, depth
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import layer_count, parameter_count

BY_NAME = {network.name: network for network in NETWORKS}

# With the outputs that Table V counts: layers, depth, parameters (torchvision's and timm's own
# figures), MiB at 4 bytes a parameter, and what of Table V they are.
FIGURES = {
    "AlexNet": (8, 8, 61_100_840, 233.08, "layers", True, None),
    "VGG-16": (16, 16, 138_357_544, 527.79, "layers", True, None),
    "VGG-19": (19, 19, 143_667_240, 548.05, "layers", True, None),
    "GoogLeNet": (58, 22, 6_624_904, 25.27, "depth", True, None),
    "ResNet-50": (54, 50, 25_557_032, 97.49, "depth", True, 4),
    "MobileNet": (28, 28, 4_231_976, 16.14, None, True, 4),
    "MobileNetV2": (53, 53, 3_504_872, 13.37, "layers", True, 4),
    "OrigiNet": (11, 6, 1_872_548, 7.14, None, True, 8),
}


@pytest.mark.parametrize("name", FIGURES)
def test_sizes_are_table_vs_or_the_difference_is_told(name):
    network = BY_NAME[name]
    layers, deep, parameters, mib, *agree = FIGURES[name]
    before = torch.random.get_rng_state()
    size, agreed = network.published()
    assert torch.equal(torch.random.get_rng_state(), before)  # nothing is drawn
    assert size == (layers, deep, parameters)
    assert round(size.mib(4), 2) == mib and size.mib(8) == 2 * size.mib(4)
    assert list(agreed.values()) == agree


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.name)
def test_networks_that_the_paper_does_not_have_are_counted_too(other):
    size, agrees = other.published()
    assert size.parameters == other.network.published.parameters and size.layers > 1 < size.depth
    assert set(agrees.values()) == {None} and other.table_v is None and not other.accuracy


def test_table_v_is_complete():
    assert list(FIGURES) == list(BY_NAME)
    # Its columns, as one reads them off the paper.
    assert [network.table_v.layers for network in NETWORKS] == [8, 16, 19, 22, 50, 20, 53, 10]
    megabytes = [227, 515, 535, 27, 98, 16, 14, 14.3]
    assert [network.table_v.memory for network in NETWORKS] == megabytes


def test_margins_over_other_networks_are_those_of_the_papers_text():
    ours = BY_NAME["OrigiNet"].accuracy
    told = {
        "VGG-19": {"casme": 4.04, "casme2": 8.79, "cas_me2": 0.46, "samm": 4.80},
        "MobileNet": {"casme": 0.62, "casme2": 4.37, "cas_me2": 1.36, "samm": 3.05},
        "MobileNetV2": {"casme2": 1.33},
        "TICS": {"casme": 4.44, "casme2": 0.98},
        "FHOFO": {"casme": 0.31, "casme2": 6.23},
        "LBP-TOP-SVM": {"cas_me2": 13.61},
    }
    theirs = {row.name: row.accuracy for row in (*NETWORKS, *QUOTED)}
    for name, margins in told.items():
        for dataset, margin in margins.items():
            assert 100 * (ours[dataset] - theirs[name][dataset]) == pytest.approx(margin)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_network_has_an_output_a_class_at_any_size_from_its_smallest(name):
    network = BY_NAME[name]
    for size in (network.network.smallest, 128):
        with torch.device("meta"):
            model = network.model(Config(image_size=size))(5).train()
            logits = model(torch.zeros(2, 3, size, size))
        assert isinstance(logits, torch.Tensor) and logits.shape == (2, 5)
    larger = network.complexity(Config(), 6).parameters - network.complexity(Config(), 5).parameters
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    assert larger == head.in_features + 1 and head.out_features == 5


@pytest.mark.parametrize("name", ["AlexNet", "VGG-16", "VGG-19"])
def test_smaller_images_are_refused_and_would_indeed_not_do(name):
    network = BY_NAME[name]
    config = Config(image_size=network.network.smallest - 1)
    message = (
        f"{name} needs images of at least {network.network.smallest} pixels a side, got image_size"
    )
    with pytest.raises(InputError, match=message):
        network.model(config)(4)
    with torch.device("meta"), pytest.raises(RuntimeError, match="Output size is too small"):
        network.network.make(3, 4, config.image_size)(
            torch.zeros(2, 3, config.image_size, config.image_size)
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_factories_can_be_sent_to_other_processes(name):
    factory = loads(dumps(BY_NAME[name].model(Config())))
    with torch.device("meta"):
        assert parameter_count(factory(4)) == BY_NAME[name].complexity(Config(), 4).parameters


class Forked(nn.Module):
    """Two convolutions beside one, added, then a fully connected layer."""

    def __init__(self):
        super().__init__()
        self.long = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1))
        self.short, self.fc = nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, x):
        return self.fc((self.long(x) + self.short(x)).mean((2, 3)))


def test_depth_is_the_longest_way():
    with torch.device("meta"):
        assert depth(Forked(), 4) == 3 and layer_count(Forked()) == 4


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_missing_package_is_told_with_the_command_that_installs_it(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    message = rf"need both \(pip install 'originet\[baselines\]'\), but {package} cannot be imp"
    with pytest.raises(InputError, match=message):
        check_installed(NETWORKS)
    check_installed([BY_NAME["OrigiNet"]])


def test_googlenet_has_no_auxiliary_heads():
    with torch.device("meta"):
        model = BY_NAME["GoogLeNet"].model(Config())(4)
    assert model.aux1 is None and model.aux2 is None
    assert parameter_count(model) == 5_604_004
