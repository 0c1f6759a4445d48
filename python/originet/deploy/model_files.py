"""The folder of a trained model: JSON and safetensors, nothing that executes.

    config.json                  what determines the training; written first
    seed<seed>.json              a trained network: epochs, selected epoch, hash of its weights
    seed<seed>.safetensors       its weights, written before that
    model.json                   what the model is; written when all networks are there

Reading takes model.json and the weights that it names.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import torch
from msgspec import Meta
from torch import nn

from originet.datasets.prepare import Settings
from originet.deploy.model import Model
from originet.system.channels import sources_of
from originet.system.errors import InputError
from originet.system.files import inside, sha256
from originet.system.json_files import read_json
from originet.training.config import Config, is_own_code
from originet.training.networks.table import factory_of
from originet.training.weights import load_fold_weights

NAME = "model.json"
GENERATOR = "originet.model"
FORMAT = 1

Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Weights(TypedDict):
    """One network of the ensemble."""

    seed: Annotated[int, Meta(ge=0)]
    file: Annotated[str, Meta(min_length=1, max_length=200)]
    sha256: Hash


class _Cut(TypedDict):
    method: str
    image_size: int
    crop_face: bool
    align_eyes: bool
    margin: float


class Cut(_Cut, total=False):
    """How frames were cropped and resized, see `originet.datasets.prepare.Settings`."""

    face_by: str  # not in cards of early versions


class Card(TypedDict):
    """The fields of model.json that are read."""

    generator: str
    format: int
    classes: Annotated[
        list[Annotated[str, Meta(min_length=1)]], Meta(min_length=2, max_length=1000)
    ]
    cut: Cut
    fps: Annotated[float, Meta(gt=0)] | None
    network: dict[str, Any]
    config: dict[str, Any]
    weights: Annotated[list[Weights], Meta(min_length=1, max_length=1000)]


def load_model(folder: str | Path, *, network: str | None = None) -> Model:
    """Reads a model that `originet train` wrote; none of its files is trusted.

    Args:
        folder: The model's folder.
        network: The `module:function` with which the model was trained, if its network is not the
            package's or timm's. A file alone must not name code to run.

    Returns:
        The model, on the CPU.

    Raises:
        InputError: If there is no model, it is unfinished, of a newer format or damaged, its
            weights are not those that it names, or its network is another than `network`.

    Example:
        >>> model = originet.load_model("model")
        >>> model.predict("clip.mp4").label
        'surprise'
    """
    folder = Path(folder)
    path = folder / NAME
    if not path.is_file():
        if (folder / "config.json").is_file():
            raise InputError(f"{folder} has no {NAME}: it is unfinished, or not a model")
        raise InputError(f"{folder} is not a model: it has no {NAME}")
    everything = read_json(path, dict[str, Any])
    if everything.get("generator") != GENERATOR:
        raise InputError(f"{path} was not written by `originet train`")
    if everything.get("format") != FORMAT:
        got = everything.get("format")
        raise InputError(f"{path} has format {got!r}; this version reads format {FORMAT}")
    try:
        card = msgspec.convert(everything, Card)
        cut: dict[str, Any] = {**card["cut"]}
        settings = Settings(methods=sources_of(cut.pop("method")), **cut)
        config = Config.from_dict(card["config"])
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if config.image_size != settings.image_size:
        raise InputError(f"{path} is damaged: it names two image sizes")
    if config.method != ",".join(settings.methods):
        raise InputError(f"{path} is damaged: it names two methods")
    if is_own_code(config.network) and network != config.network:
        raise InputError(
            f"{folder} needs code that is not the package's: give --network {config.network}, in "
            f"Python network={config.network!r}"
        )
    if network not in (None, config.network):
        raise InputError(f"{folder} is a model of {config.network}, not of {network}")
    networks = [_network(folder, each, len(card["classes"]), config) for each in card["weights"]]
    model = Model(tuple(card["classes"]), settings, card["fps"], tuple(networks), everything)
    return model.to("cpu")


def _network(folder: Path, weights: Weights, classes: int, config: Config) -> nn.Module:
    path = inside(folder, weights["file"])
    with torch.random.fork_rng(devices=[]):  # weights are drawn, and replaced below
        network = factory_of(dataclasses.replace(config, pretrained=False))(classes)
    if sha256(path) != weights["sha256"]:
        raise InputError(f"{path} is not the file that {NAME} describes")
    load_fold_weights(path, network)
    return network.eval()
