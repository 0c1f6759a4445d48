"""Networks of timm by their names, without or with timm's pretrained weights."""

import contextlib
import hashlib
import importlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from originet.system.errors import InputError, one_line
from originet.training.networks.entry import Network
from originet.training.networks.packages import timm_package


def timm_network(name: str, pretrained: bool = False) -> Network:
    """Returns the entry of a network of timm.

    Args:
        name: As `timm:NAME`, of `timm.list_models()`, with or without the tag of its weights.
        pretrained: Start from timm's weights, which must be on this machine already: nothing is
            downloaded. The classifier starts from random weights all the same.

    Returns:
        The entry; with `pretrained`, known by the weights' name and hash.

    Raises:
        InputError: If timm is missing, knows no such network, or has no weights for it here.
    """
    timm, word = timm_package(), name.partition(":")[2]
    if not timm.is_model(word):
        raise InputError(f"{name}: timm {timm.__version__} has no network {word!r}")
    config = timm.get_pretrained_cfg(word)
    fixed = config is not None and config.fixed_input_size

    def make(in_channels: int, classes: int, image_size: int) -> nn.Module:
        sizes = {"img_size": image_size} if fixed else {}
        wanted = {"num_classes": classes, "in_chans": in_channels, **sizes}
        with _offline() if pretrained else contextlib.nullcontext():
            network: nn.Module = timm.create_model(word, pretrained=pretrained, **wanted)
        return network

    facts: dict[str, str] = {}
    if pretrained:
        if config is None or not config.hf_hub_id:
            raise InputError(f"{name}: timm has no pretrained weights that can be kept here")
        try:
            with torch.random.fork_rng(devices=[]), _offline():
                whole = timm.create_model(word, pretrained=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{name}: timm's weights {config.hf_hub_id} are not on this machine: "
                f"{type(error).__name__}: {one_line(error)}"
            ) from error
        facts = {"weights": config.hf_hub_id, "weights_sha256": _sha256(whole)}
    return Network(name, make, f"timm {timm.__version__}", foreign=True, facts=facts)


def _sha256(network: nn.Module) -> str:
    """The hash of all that a network has learned."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keeps the Hugging Face hub, from which timm reads weights, to what is in its cache."""
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
