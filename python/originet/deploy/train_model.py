"""Trains the final networks of a data set, on all of its clips.

Leave-one-subject-out says how well networks trained like this recognise somebody new. None of its
networks has seen all clips, though; these have. How long to train is either what that evaluation
found, the median of the epochs that its folds chose, or is found here, on whole subjects held out
for validation. Neither looks at how well a clip is recognised that the network was trained on.
"""

import dataclasses
import hashlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from originet.datasets.licences import licences_of
from originet.datasets.prepare import Settings
from originet.deploy.model import Model
from originet.deploy.model_files import FORMAT, GENERATOR, NAME, load_model
from originet.evaluation.compute import Compute
from originet.evaluation.identity import run_identity
from originet.evaluation.result import LosoResult
from originet.evaluation.run_files import claim, subjects_of
from originet.evaluation.splits import SortedClips
from originet.system.channels import GREY, is_one_image, sources_of
from originet.system.device import set_seed
from originet.system.environment import originet_version
from originet.system.errors import InputError
from originet.system.files import sha256, write_atomically, writing
from originet.system.json_files import differences, read_json, write_json
from originet.system.lock import Held
from originet.training.augment import augmented_views
from originet.training.config import OWN, Config
from originet.training.model import parameter_count
from originet.training.networks.table import network_of
from originet.training.protocol import Parts, all_copies
from originet.training.train import History, Training, fit_together
from originet.training.weights import to_safetensors


@dataclass(frozen=True)
class Evaluated:
    """What a leave-one-subject-out run says about networks that are trained like its folds."""

    result: LosoResult

    def check(self, clips: SortedClips, config: Config, facts: Mapping[str, str]) -> None:
        """Checks that the run was of these clips, with these settings and this network.

        Raises:
            InputError: If it was not; the message names what differs.
        """
        if self.result.clip_list_sha256 != clips.clip_list_sha256:
            raise InputError("the evaluated run has other clips, or other labels, than these")
        if self.result.images_sha256 != clips.images_sha256[config.method]:
            raise InputError("the evaluated run has other images of the clips than these")
        theirs = self.result.config.to_dict() | {"seeds": list(config.seeds)}
        if told := list(differences(theirs, config.to_dict())):
            raise InputError(f"the evaluated run has other settings: {'; '.join(told)}")
        if self.result.network != config.network:  # Python code made it
            name = self.result.network
            raise InputError(f"the evaluated run is of {name}; a model is made of {config.network}")
        known = {name: self.result.model.get(name) for name in facts}
        if told := list(differences(known, dict(facts))):
            raise InputError(f"the evaluated run is of another network: {'; '.join(told)}")

    @property
    def epochs(self) -> int:
        """The median of the epochs that the folds chose."""
        return round(statistics.median(fold["selected_epoch"] for fold in self.result.folds))

    def summary(self) -> dict[str, Any]:
        """The scores, as model.json holds them."""
        result = self.result
        return {
            "protocol": result.config.protocol_label,
            "seeds": list(result.seeds),
            "subjects": len({each for fold in result.folds for each in subjects_of(fold)}),
            "metrics": result.metrics,
            "intervals": {name: list(ends) for name, ends in result.intervals.items()},
            "majority_baseline": result.baseline,
        }


def train_model(
    clips: SortedClips,
    config: Config,
    out: Held,
    *,
    evaluated: LosoResult | None = None,
    device: torch.device,
    cuda_graph: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """Trains one network a seed and writes the model.

    An interrupted call goes on after the last finished network when it is made again.

    Args:
        clips: The clips, with images by the method of the settings.
        config: Settings of the training, as of an evaluation; each of its seeds makes a network.
        out: The model's folder.
        evaluated: The evaluation of these clips with these settings; it says how many epochs to
            train all clips. None holds out `config.validation_fraction` of the clips, by subjects,
            and keeps the best epoch; with `config.select` "last" it holds out none.
        device: Where to train.
        cuda_graph: On a GPU, launch steps as CUDA graphs.
        progress: Called as progress(done, total), counted in epochs over all networks.

    Returns:
        The model.

    Raises:
        InputError: If the clips were cropped in different ways, `evaluated` is of other clips or
            settings, no subject can be held out, `out`
            holds another training or cannot be written, or training fails (see
            `originet.training.train.fit`).
    """
    settings = _settings(clips, config)
    network = network_of(config)
    found = None if evaluated is None else Evaluated(evaluated)
    if found is not None:
        found.check(clips, config, network.facts)
    # On all clips, there is nothing to choose an epoch by.
    epochs, select = (config.epochs, config.select) if found is None else (found.epochs, "last")
    final = dataclasses.replace(config, epochs=epochs, select=select, protocol="strict")
    compute = Compute(device).identity
    make = network.factory(final.in_channels, final.image_size)
    with torch.random.fork_rng(devices=[]):  # its weights are of no use
        described = _described(final, make(len(clips.classes)), network.facts)
    facts = {"network": dict(network.facts)} if network.facts else {}
    identity = run_identity(final, clips, compute=compute, cut=_cut(settings, final), **facts)
    claim(out.folder, identity)
    views = torch.from_numpy(
        augmented_views(clips.images[final.method], final.rotations, final.equalize, final.channels)
    ).to(device)
    records = []
    for number, seed in enumerate(final.seeds):
        path = out.folder / f"seed{seed}.json"
        record = _read(path)
        if record is None:
            set_seed(seed)
            training = Training(
                make(len(clips.classes)),
                views,
                np.arange(len(clips.labels)),
                clips.labels,
                final,
                seed=seed,
                classes=len(clips.classes),
                cuda_graph=cuda_graph,
                parts=_parts(clips, final, seed),
            )
            (history,) = fit_together([training], _nth(progress, number, len(final.seeds)))
            if isinstance(history, InputError):
                raise InputError(f"seed {seed}: {history}") from history
            out.check()
            with writing(out.folder):
                weights = path.with_suffix(".safetensors")
                write_atomically(weights, to_safetensors(training.model))
                record = _record(seed, weights, history)
                write_json(path, {**record})
        elif progress is not None:
            progress((number + 1) * final.epochs, len(final.seeds) * final.epochs)
        records.append(record)
    out.check()
    with writing(out.folder):
        card = _card(clips, described, final, settings, compute, records, found)
        write_json(out.folder / NAME, card)
    return load_model(out.folder, network=final.network).to(device)


def subject_parts(
    labels: NDArray[np.int64], subjects: Sequence[str], config: Config, seed: int
) -> Parts:
    """Holds out whole subjects for validation.

    Subjects are drawn in random order. One is held out if that brings the share of clips no
    further beyond the share that was asked for than it was below it, and leaves every class a clip
    for training.

    Args:
        labels: Class indices [N].
        subjects: The subject of each clip [N].
        config: Settings, of which copies and validation_fraction are used.
        seed: Seed of the draw.

    Returns:
        The parts, unaugmented for validation.

    Raises:
        InputError: If no subject can be held out.
    """
    names = np.asarray(subjects)
    wanted = config.validation_fraction * len(labels)
    held = np.zeros(len(labels), dtype=bool)
    for subject in np.random.default_rng(seed).permutation(np.unique(names)):
        more = held | (names == subject)
        covered = len(np.unique(labels[~more])) == len(np.unique(labels))
        if covered and abs(more.sum() - wanted) < abs(held.sum() - wanted):
            held = more
    if not held.any():
        raise InputError(
            f"no subject can be held out for {config.validation_fraction:g} of the clips without "
            "leaving a class or too few clips: give --evaluated, or --select last"
        )
    validation = np.flatnonzero(held)
    clips, views = all_copies(np.flatnonzero(~held), config)
    return Parts(clips, views, validation, np.zeros_like(validation))


def _parts(clips: SortedClips, config: Config, seed: int) -> Parts:
    if config.select == "validation":
        return subject_parts(clips.labels, clips.subjects.tolist(), config, seed)
    nothing = np.zeros(0, dtype=np.int64)
    return Parts(*all_copies(np.arange(len(clips.labels)), config), nothing, nothing)


def _settings(clips: SortedClips, config: Config) -> Settings:
    """How all of the clips became images; raises InputError if they did so in different ways."""
    sources = sources_of(config.method)
    cuts = {dataclasses.replace(cut, methods=sources) for cut in clips.cuts_as(config)}
    if len(cuts) > 1:
        raise InputError("faces were cut out of the clips in different ways: a model follows one")
    return cuts.pop()


class _Network(TypedDict):
    """A trained network's record, seed<seed>.json."""

    seed: int
    file: str
    sha256: str
    epochs: int
    selected_epoch: int
    training_clips: int
    validation_clips: int


def _record(seed: int, weights: Path, history: History) -> _Network:
    return {
        "seed": seed,
        "file": weights.name,
        "sha256": sha256(weights),
        "epochs": len(history.epochs),
        "selected_epoch": history.selected_epoch,
        "training_clips": len(history.training),
        "validation_clips": len(history.validation),
    }


def _read(path: Path) -> _Network | None:
    """Reads the record of a finished network; None if there is none, or its weights are gone."""
    weights = path.with_suffix(".safetensors")
    if not path.exists() or not weights.exists():
        return None
    record = read_json(path, _Network)
    if sha256(weights) != record["sha256"]:
        raise InputError(f"{weights} is not the file that {path.name} describes")
    return record


def _cut(settings: Settings, config: Config) -> dict[str, Any]:
    values = dataclasses.asdict(settings)
    del values["methods"]
    return {"method": config.method, **values}


def _described(config: Config, network: nn.Module, facts: Mapping[str, str]) -> dict[str, Any]:
    """What model.json says about the kind of network."""
    variant = {"variant": config.variant} if config.network == OWN else {}
    return {
        "name": config.network,
        "class": type(network).__name__,
        **variant,
        "pretrained": config.pretrained,
        "parameters": parameter_count(network),
        "architecture_sha256": hashlib.sha256(repr(network).encode()).hexdigest(),
        **facts,
    }


def _card(
    clips: SortedClips,
    described: Mapping[str, Any],
    final: Config,
    settings: Settings,
    compute: Mapping[str, Any],
    records: Sequence[_Network],
    found: Evaluated | None,
) -> dict[str, Any]:
    return {
        "generator": GENERATOR,
        "format": FORMAT,
        "version": originet_version(),
        "dataset": clips.dataset,
        "licences": licences_of(clips.dataset),
        "classes": list(clips.classes),
        "clips": len(clips.labels),
        "clips_by_class": dict(zip(clips.classes, np.bincount(clips.labels).tolist(), strict=True)),
        "subjects": len(np.unique(clips.subjects)),
        "clip_list_sha256": clips.clip_list_sha256,
        "images_sha256": clips.images_sha256[final.method],
        "cut": _cut(settings, final),
        "color": False,
        "normalisation": _normalisation(final),
        "fps": _common_rate(clips),
        "network": dict(described),
        "config": final.to_dict(),
        "epochs_from": "evaluation" if found else "subjects" if final.select != "last" else "given",
        "evaluated": None if found is None else found.summary(),
        "compute": dict(compute),
        "weights": list(records),
    }


def _normalisation(config: Config) -> str:
    if is_one_image(config.method):
        return "each image by its own mean and deviation"
    if all(channel.kind == GREY for channel in config.channels):
        return "each channel of each image by its own mean and deviation"
    return (
        "grey channels of each image by their own mean and deviation; of a flow, u and v by one "
        "deviation from 0, the strain by its mean and deviation, all over the training clips"
    )


def _common_rate(clips: SortedClips) -> float | None:
    """The median frame rate of the clips; None if any clip's is unknown."""
    if "fps" not in clips.table:
        return None
    rates = clips.table["fps"].to_numpy(dtype=float)
    return float(np.median(rates)) if np.isfinite(rates).all() and (rates > 0).all() else None


def _nth(
    progress: Callable[[int, int], None] | None, number: int, count: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, count * total)
