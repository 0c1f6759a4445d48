"""replace_activations on small modules, and on networks of torchvision, timm and transformers."""

import copy

import pytest
import timm
import torch
import torchvision
from torch import nn
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


# How to make the network, narrow where that is possible; the types to replace; how many there are.
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


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_other_packages(activation, name):
    make, old, count = NETWORKS[name]
    model = make().double()  # in float32, rounding would take some inputs to psi's kink across it
    original, exact = copy.deepcopy(model), copy.deepcopy(model)
    exact_modules = [module for module in exact.modules() if isinstance(module, old)]
    for module in exact_modules:
        module.forward = activation.exact

    default = "torch.nn" in str(old)
    arguments = {} if default else {"old": old}
    assert replace_activations(model, new=activation.module, **arguments) == count
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
