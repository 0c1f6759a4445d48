"""replace_activations on small modules, and on networks of torchvision, timm and transformers."""

import copy
import functools
import pickle

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification
from transformers.activations import GELUActivation

from originet_ext import FusedRReLU, replace_activations


def test_counts_shares_and_keeps_the_mode():
    shared = nn.ReLU()
    model = nn.Sequential(
        nn.Linear(2, 2), shared, nn.Sequential(nn.GELU(), shared), nn.Sigmoid()
    ).eval()
    assert replace_activations(model) == 2
    assert isinstance(model[1], FusedRReLU) and model[1] is model[2][1]
    assert isinstance(model[2][0], FusedRReLU) and not model[1].training
    assert isinstance(model[3], nn.Sigmoid)
    assert replace_activations(model, old=FusedRReLU, new=nn.SiLU) == 2
    with pytest.raises(ValueError, match="the model itself is a ReLU"):
        replace_activations(nn.ReLU())


def tiny_bert() -> nn.Module:
    config = BertConfig(
        hidden_size=32,
        initializer_range=0.5,  # 0.02 would leave the activations where all are straight
        intermediate_size=48,
        num_attention_heads=2,
        num_hidden_layers=2,
        vocab_size=100,
    )
    return BertForSequenceClassification(config)


# How to make the network, narrow where possible; its types of activations; how many there are.
NETWORKS = {
    # the stem and 8 blocks, whose module serves twice
    "torchvision-resnet18": (torchvision.models.resnet18, nn.ReLU, 9),
    # ReLU6: the stem, 1 in the first and 2 in each of 16 other blocks, the head
    "torchvision-mobilenet_v2": (
        lambda: torchvision.models.mobilenet_v2(width_mult=0.25),
        nn.ReLU6,
        35,
    ),
    # the deep stem's 3 and 2 in each of 4 blocks, as modules of their own
    "timm-resnet10t": (lambda: timm.create_model("resnet10t"), nn.ReLU, 11),
    # 19 Hardswish and 5 ReLU in the blocks, 9 ReLU in squeeze-and-excitation
    "timm-mobilenetv3": (
        lambda: timm.create_model("mobilenetv3_small_050"),
        (nn.Hardswish, nn.ReLU),
        33,
    ),
    # one in each of 2 + 2 + 6 + 2 blocks; a class of timm's own
    "timm-convnext_atto": (
        lambda: timm.create_model("convnext_atto", dims=(8, 16, 24, 32), ls_init_value=1.0),
        timm.layers.activations.GELU,
        12,
    ),
    # one a layer; a class of transformers' own
    "transformers-bert": (tiny_bert, GELUActivation, 2),
}


def outputs_and_gradients(model: nn.Module) -> list[torch.Tensor]:
    """The output of a training step and the gradients of all parameters."""
    torch.manual_seed(1)  # for the input and for dropout
    if hasattr(model, "config"):  # of transformers
        y = model(torch.randint(0, 100, (4, 16))).logits
    else:
        y = model(torch.randn(4, 3, 32, 32, dtype=torch.float64))
    return [y.detach(), *torch.autograd.grad(y.square().sum(), list(model.parameters()))]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_other_packages(activation, name):
    make, old, count = NETWORKS[name]
    model = make().double()  # in float32, rounding would take some inputs to psi's kink across it
    original, exact = copy.deepcopy(model), copy.deepcopy(model)
    exact_modules = [module for module in exact.modules() if isinstance(module, old)]
    for module in exact_modules:
        module.forward = activation.exact

    assert replace_activations(model, new=activation.module) == count
    new = type(activation.module())
    assert count == len(exact_modules) == sum(isinstance(m, new) for m in model.modules())
    assert list(model.state_dict()) == list(original.state_dict())
    original.load_state_dict(model.state_dict())

    results = [outputs_and_gradients(network) for network in (model, exact, original)]
    largest = max(want.abs().max() for want in results[1])
    for got, want, before in zip(*results, strict=True):
        # Gradients that cancel, such as of a bias before a normalisation, are rounding noise.
        torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-9 * largest.item())
        if got.abs().max() > 1e-6 * largest:
            assert not torch.allclose(got, before, rtol=0.01, atol=1e-9 * largest)


# Whatever a package calls them, and wherever a module keeps them.


def timm_network(name: str, **arguments) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("convnext_tiny", 18),  # timm's GELU
        ("maxvit_tiny_rw_224", 56),  # 34 of nn.SiLU, 22 of timm's GELU
        ("maxvit_tiny_tf_224", 56),  # 11 of nn.SiLU, 45 of timm's GELUTanh
        ("dm_nfnet_f0", 64),  # 12 of nn.ReLU; 52 functions, called with inplace
        ("inception_v3", 94),
    ],
)
def test_finds_all_of_timm(name, count):
    replaced = replace_activations(timm_network(name))
    assert (replaced, replaced.left) == (count, {})


def test_functions_called_with_inplace(activation):
    model = nn.Sequential(timm.models.nfnet.GammaAct("gelu", gamma=1.7, inplace=True))
    replaced = replace_activations(model, new=activation.module)
    assert (replaced, replaced.left) == (1, {})
    x = torch.randn(9)
    torch.testing.assert_close(model(x), 1.7 * activation.module()(x))


class Kept(nn.Module):
    """An activation kept as an attribute."""

    def __init__(self, kept: object) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kept(x)


class SiLU(nn.Module):
    """Somebody's own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class quick_gelu(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


KEPT = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "F.gelu": F.gelu,
    "F.silu": F.silu,
    "F.hardswish": F.hardswish,
    "partial": functools.partial(F.leaky_relu, negative_slope=0.3),
    "timm": timm.layers.activations.hard_swish,
    "own class": SiLU(),
    "own spelling": quick_gelu(),
    "derived": type("Mine", (nn.ELU,), {})(),
    "transformers": GELUActivation(),
}


@pytest.mark.parametrize("name", KEPT)
def test_replaces_what_is_kept_in_an_attribute(activation, name):
    model = Kept(KEPT[name])
    replaced = replace_activations(model, new=activation.module)
    assert replaced == 1 and replaced.left == {}
    x = torch.randn(9)
    torch.testing.assert_close(model(x), activation.module()(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    "kept",
    [
        torch.tanh,
        F.softplus,
        nn.PReLU(),
        nn.SELU(),
        nn.RReLU(),
        FusedRReLU(),
        None,
        "relu?",
        nn.ReLU,
    ],
    ids=str,
)
def test_leaves_what_is_another_function(kept):
    model = Kept(kept)
    assert replace_activations(model) == 0 and model.kept is kept
    assert replace_activations(model).left == {}


# Transformers, which compute ReLU or GELU in one kernel in evaluation, by a flag.


@pytest.mark.slow
@pytest.mark.parametrize("act", ["relu", "gelu", F.relu, F.gelu, nn.ReLU(), nn.GELU(), nn.SiLU()])
@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_layers(activation, act, norm_first):
    arguments = {"batch_first": True, "dropout": 0.0, "norm_first": norm_first}
    x, padded = torch.randn(3, 5, 8), torch.arange(5) >= torch.tensor([[5], [3], [1]])
    for kind in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer):
        torch.manual_seed(0)
        model = kind(8, 2, 16, activation=act, **arguments)
        want = kind(8, 2, 16, activation=activation.module(), **arguments)
        want.load_state_dict(model.state_dict())
        if kind is nn.TransformerEncoderLayer:
            model = nn.TransformerEncoder(model, 2, enable_nested_tensor=not norm_first)
            want = nn.TransformerEncoder(want, 2, enable_nested_tensor=False)
            inputs, mask = (x,), {"src_key_padding_mask": padded}
        else:
            inputs, mask = (x, x), {"tgt_key_padding_mask": padded}
        assert replace_activations(model, new=activation.module) == (2 if len(inputs) == 1 else 1)
        for network in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            for mode in (True, False):
                network.train(mode)
                want.train(mode)
                for masks in ({}, mask):
                    with torch.inference_mode(not mode):
                        torch.testing.assert_close(
                            network(*inputs, **masks), want(*inputs, **masks)
                        )


# What stays is named.


class Calls(nn.Module):
    """Calls activations in every way that the name of a submodule may be taken for."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.inner = nn.ReLU(), nn.ModuleDict({"gelu": nn.GELU()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner["gelu"](self.relu(x)).sum()


class CallsF(Calls):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.silu(x))


class CallsMethod(Calls):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._second(self.relu(x)).relu_()

    def _second(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.leaky_relu(x)


class CallsHelper(Calls):
    static = staticmethod(F.elu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import mish

        return self.static(mish(helper(x)))


def helper(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x)


class Lists(Calls):
    def __init__(self) -> None:
        super().__init__()
        self.several = [F.relu, nn.Tanh(), nn.SiLU()]
        self.wrapped = lambda x: F.hardswish(x)


class Flag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kind, self.note = "leaky_relu", "relu"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(F, self.kind)(x)


class Swish(nn.Module):
    """With a parameter, which a replacement would take out of the state_dict."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.beta * x)


LEFT = {
    "nothing": (Calls, 2, None),
    "function": (CallsF, 2, "CallsF calls silu"),
    "methods": (CallsMethod, 2, "CallsMethod calls leaky_relu, relu_"),
    "helpers": (CallsHelper, 2, "CallsHelper calls elu, gelu, mish"),
    "lists": (Lists, 2, "several holds relu, SiLU; wrapped calls hardswish"),
    "flag": (Flag, 0, "kind = 'leaky_relu'"),
    "RNN": (lambda: nn.RNN(2, 2, nonlinearity="relu"), 0, "nonlinearity = 'relu'"),
    "RNNCell": (lambda: nn.RNNCell(2, 2, nonlinearity="relu"), 0, "nonlinearity = 'relu'"),
    "tanh": (lambda: nn.RNN(2, 2), 0, None),
    "graph": (lambda: torch.fx.symbolic_trace(CallsF()), 2, "CallsF calls silu"),
    "exported": (
        lambda: torch.export.export(nn.Sequential(nn.ReLU()), (torch.ones(2),)).module(),
        0,
        "GraphModule calls relu",
    ),
    "DenseNet": (
        lambda: torchvision.models.DenseNet(8, (1, 1), 8),
        6,
        "DenseNet calls relu",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_names_what_is_left(name):
    make, count, reason = LEFT[name]
    replaced = replace_activations(nn.Sequential(make()))
    assert replaced == count
    assert replaced.left == ({} if reason is None else {"0": reason})


def test_names_modules_that_cannot_be_swapped():
    model = nn.ModuleDict(
        {"own": Swish(), "script": torch.jit.script(nn.ReLU()), "in": nn.Sequential(SiLU())}
    )
    replaced = replace_activations(model)
    assert replaced == 1 and list(replaced.left) == ["own", "script"]
    assert f"Swish of {__name__}, which has parameters" in replaced.left["own"]
    assert replaced.left["script"] == "ReLU in TorchScript"
    # Asked for one type, the class of another package with this name stays.
    model = nn.Sequential(nn.SiLU(), SiLU(), Kept(F.silu), Kept(F.relu))
    replaced = replace_activations(model, old=nn.SiLU)
    assert replaced == 2 and replaced.left == {"1": f"SiLU of {__name__}"}
    assert model[3].kept is F.relu


def test_code_without_a_source_is_judged_by_its_names():
    scope = {"nn": nn, "F": F}
    exec("class Typed(nn.Module):\n  def forward(self, x): return F.relu(x)", scope)
    assert replace_activations(scope["Typed"]()).left == {"": "Typed calls relu"}


def test_the_number_is_an_int():
    replaced = replace_activations(nn.Sequential(nn.ReLU()))
    assert isinstance(replaced, int) and replaced + 1 == 2 and repr(replaced) == "1"
    replaced = replace_activations(CallsF())
    assert repr(replaced) == "2 (left: {'': 'CallsF calls silu'})" and f"{replaced:d}" == "2"
    copied = pickle.loads(pickle.dumps(replaced))
    assert copied == replaced and copied.left == replaced.left
