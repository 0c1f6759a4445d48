"""A leave-one-subject-out run as folds: those on disk, those to compute, and their result."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy

from originet.datasets.prepare import estimated_apexes
from originet.evaluation import metrics
from originet.evaluation.by_dataset import dataset_scores
from originet.evaluation.compute import Compute
from originet.evaluation.executors import Executor
from originet.evaluation.fold import FoldFailure, FoldJob, FoldOutcome, ModelFactory, Task
from originet.evaluation.identity import run_identity
from originet.evaluation.result import LosoResult
from originet.evaluation.run_files import (
    check_there,
    fold_path,
    open_directory,
    predictions,
    read_fold,
    write_csv,
    write_fold,
)
from originet.evaluation.splits import SortedClips, check_table
from originet.system.channels import MADE_BY_APEX, OWN, sources_of
from originet.system.errors import InputError
from originet.system.files import writing
from originet.system.json_files import write_json
from originet.system.lock import Held
from originet.training.augment import augmented_views
from originet.training.config import Config
from originet.training.model import parameter_count
from originet.training.weights import check_state


@dataclass(frozen=True)
class Variant:
    """A network to evaluate."""

    name: str
    """Names the network in tables and its directory in a study's."""
    model: ModelFactory
    """Makes the network."""
    config: Config
    """Settings; the method says which images the network takes."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """What else identifies the run, as JSON types; its config.json holds it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else identifies the network, see `originet.training.networks.entry.Network.facts`."""


class LosoRun:
    """One run: what it is, which of its folds are there, and in the end its result.

    Folds are numbered by seed, then by the subject (or data set) that is left out. The fold's seed
    comes from the run's seed and that name, so neither the order in which folds end nor the other
    folds change a fold's result.

    Args:
        clips: The clips.
        variant: The network.
        compute: How folds are computed.
        out: Directory of the run, held as long as it is written to; None writes nothing.

    Raises:
        InputError: If the network cannot be used, the clips cannot be split as the settings say, or
            `out` is another run's, damaged or cannot be written.
    """

    def __init__(
        self, clips: SortedClips, variant: Variant, compute: Compute, out: Held | None
    ) -> None:
        self.clips, self.config = clips, variant.config
        check_table(clips.table, self.config.leave_out)
        self._model, self._device = variant.model, compute.device
        self._keep_weights = compute.keep_weights and out is not None
        self._progress = compute.progress_of(variant.name)
        self._compute = compute.identity
        specimen = _specimen(variant.model, len(clips.classes))
        if self._keep_weights:
            check_state(specimen)
        self._network: dict[str, Any] = {
            "class": type(specimen).__name__,
            "parameters": parameter_count(specimen),
            "architecture_sha256": hashlib.sha256(repr(specimen).encode()).hexdigest(),
            **variant.facts,
        }
        self._out = out
        if out is not None:
            open_directory(
                out.folder,
                run_identity(
                    self.config,
                    clips,
                    leaky=self.config.leaky,
                    model=self._network,
                    compute=self._compute,
                    **({"row": dict(variant.row)} if variant.row else {}),
                ),
            )

        splits = list(clips.splits(self.config.leave_out))
        self._folds = [
            (self._start(seed, index, test), train, test)
            for seed in self.config.seeds
            for index, (train, test) in enumerate(splits)
        ]
        self._records: dict[int, dict[str, Any]] = {}
        self._shown = 0
        for number in range(len(self._folds)):
            record = self._read(number)
            if record is not None:
                self._records[number] = record
                self.advance(0)

    def _start(self, seed: int, index: int, test: np.ndarray) -> dict[str, Any]:
        """The part of a fold's record that is known before it is computed."""
        clips = self.clips
        of_a_set = self.config.leave_out == "dataset"
        return {
            "seed": seed,
            "index": index,
            "subject": str((clips.datasets if of_a_set else clips.subjects)[test[0]]),
            **({"subjects": clips.subjects[test].tolist()} if of_a_set else {}),
            "clips": clips.names[test].tolist(),
            "true": clips.labels[test].tolist(),
        }

    def _read(self, number: int) -> dict[str, Any] | None:
        if self._out is None:
            return None
        start = self._folds[number][0]
        return read_fold(
            fold_path(self._out.folder, start),
            start,
            classes=len(self.clips.classes),
            epochs=self.config.epochs,
            with_weights=self._keep_weights,
        )

    def missing(self) -> list[int]:
        """Returns the numbers of the folds that are not finished."""
        return [number for number in range(len(self._folds)) if number not in self._records]

    def job(self, number: int) -> FoldJob:
        """Returns a fold as something to compute."""
        start, train, test = self._folds[number]
        what = "data set" if self.config.leave_out == "dataset" else "subject"
        return FoldJob(
            self._model,
            self.clips.classes,
            self.clips.labels,
            train,
            test,
            self.config,
            _fold_seed(start["seed"], start["subject"]),
            self._device,
            name=f"seed {start['seed']}, {what} {start['subject']}",
            keep_weights=self._keep_weights,
        )

    def add(self, number: int, outcome: FoldOutcome) -> None:
        """Takes the outcome of a fold, and writes it.

        Args:
            number: The fold's.
            outcome: What it came to.

        Raises:
            InputError: If the directory cannot be written, or is no longer there.
        """
        record = self._folds[number][0] | outcome.record | {"weights_sha256": None}
        if self._out is not None:
            check_there(self._out, self._records.values(), with_weights=self._keep_weights)
            with writing(self._out.folder):
                path = fold_path(self._out.folder, record)
                record = write_fold(path, record, outcome.weights)
        self._records[number] = record

    def advance(self, epochs: int) -> None:
        """Reports the progress: the finished folds and so many epochs of others."""
        done = len(self._records) * self.config.epochs + epochs
        if self._progress is not None and done != self._shown:
            self._shown = done
            self._progress(done, len(self._folds) * self.config.epochs)

    def result(self) -> LosoResult:
        """Returns the result of all folds, and writes it.

        Raises:
            InputError: If the directory cannot be written, or is no longer there.
        """
        clips, seeds = self.clips, self.config.seeds
        records = [self._records[number] for number in range(len(self._folds))]
        out_of_fold = np.full((len(seeds), len(clips.labels)), -1, dtype=np.int64)
        for record, (_, _, test) in zip(records, self._folds, strict=True):
            row = seeds.index(record["seed"])
            assert (out_of_fold[row, test] == -1).all(), "a clip was predicted twice"
            out_of_fold[row, test] = record["predicted"]
        assert (out_of_fold >= 0).all(), "a clip was never predicted"
        y_true, y_pred = np.empty_like(clips.labels), np.empty_like(out_of_fold)
        y_true[clips.order], y_pred[:, clips.order] = clips.labels, out_of_fold
        table = clips.table
        result = LosoResult(
            dataset=clips.dataset,
            classes=clips.classes,
            config=self.config,
            model=self._network,
            clips=list(zip(table["subject"].astype(str), table["clip"].astype(str), strict=True)),
            y_true=y_true,
            y_pred=y_pred,
            folds=records,
            metrics=metrics.scores_over_seeds(clips.labels, out_of_fold, clips.subjects),
            intervals=metrics.bootstrap_intervals(clips.labels, out_of_fold, clips.subjects),
            baseline=metrics.majority_baseline(clips.labels, clips.subjects),
            confusion=metrics.confusion_matrix(
                np.tile(clips.labels, len(seeds)), out_of_fold.ravel(), len(clips.classes)
            ),
            clip_list_sha256=clips.clip_list_sha256,
            images_sha256=clips.images_sha256[self.config.method],
            estimated_apexes=_estimated_apexes(clips, self.config),
            compute=self._compute,
            seconds=float(sum(record["seconds"] for record in records)),
            by_dataset=dataset_scores(
                clips.labels, out_of_fold, clips.subjects, clips.datasets, clips.classes
            ),
        )
        if self._out is not None:
            check_there(self._out, records, with_weights=self._keep_weights)
            folder = self._out.folder
            with writing(folder):
                write_json(folder / "results.json", result.to_json())
                path = folder / "predictions.csv"
                write_csv(path, *predictions(clips.classes, self.config.protocol_label, records))
        return result


def execute(
    runs: Mapping[str, LosoRun], executor: Executor
) -> Iterator[tuple[str, LosoResult | InputError]]:
    """Computes what is missing of several runs, all folds together.

    The first fold of a run that fails ends the run; its folds that have not started do not start.
    What is finished has been written by then.

    Args:
        runs: The runs by name.
        executor: Computes the folds.

    Yields:
        The name of a run that ended, and its result or why there is none; in the order in which
        they end, those that were complete before first.
    """
    folds = [(name, number) for name, run in runs.items() for number in run.missing()]
    failed: set[str] = set()
    underway: dict[int, int] = {}  # epochs done of the folds that are being computed
    views: dict[tuple[object, ...], NDArray[Any]] = {}  # shared by runs of the same images

    def views_of(run: LosoRun) -> NDArray[Any]:
        how = run.config.rotations, run.config.equalize, run.config.channels
        method = run.config.method
        key = (run.clips.images_sha256[method], *how)
        if key not in views:
            views[key] = augmented_views(run.clips.images[method], *how)
        return views[key]

    def tasks() -> Iterator[Task]:
        for key, (name, number) in enumerate(folds):
            if name not in failed:
                yield Task(key, runs[name].job(number), views_of(runs[name]))

    def show(name: str) -> None:
        runs[name].advance(sum(done for key, done in underway.items() if folds[key][0] == name))

    def advance(key: int, done: int, _: int) -> None:
        underway[key] = done
        show(folds[key][0])

    def end(name: str) -> LosoResult | InputError:
        try:
            return runs[name].result()
        except InputError as error:
            return error

    for name in [name for name, run in runs.items() if not run.missing()]:
        yield name, end(name)
    with closing(executor.run(tasks(), len(folds), advance)) as outcomes:
        for key, outcome in outcomes:
            name, number = folds[key]
            underway.pop(key, None)
            try:
                if isinstance(outcome, FoldFailure):
                    raise outcome.error()
                runs[name].add(number, outcome)
                show(name)
            except InputError as error:
                if name not in failed:
                    failed.add(name)
                    yield name, error
            else:
                if not runs[name].missing():
                    yield name, end(name)


def _estimated_apexes(clips: SortedClips, config: Config) -> int | None:
    """Counts the clips whose apex is estimated; None if that is unknown or does not matter."""
    own = config.method.startswith(OWN)
    if own or not set(MADE_BY_APEX).intersection(sources_of(config.method)):
        return None
    if not {"frames", "apex"}.issubset(clips.table.columns):  # of images that a caller brought
        return None
    return len(estimated_apexes(clips.table))


def _specimen(model: ModelFactory, classes: int) -> nn.Module:
    """Makes a network to look at.

    Raises:
        InputError: If `model` is not what makes a new network at every call, or the network's
            parameters cannot be counted yet.
    """
    if isinstance(model, nn.Module):
        raise InputError("model must make networks, as a class or a function does, got one network")
    specimen = model(classes)
    if not isinstance(specimen, nn.Module):
        kind = type(specimen).__name__
        raise InputError(f"model must return a torch.nn.Module, got {kind}")
    if model(classes) is specimen:
        raise InputError("model must return a new network at every call, got the same one twice")
    if any(map(is_lazy, (*specimen.parameters(), *specimen.buffers()))):
        raise InputError(
            "model must know the sizes of its layers, got one with lazy modules: give their "
            "in_features or in_channels"
        )
    return specimen


def _fold_seed(seed: int, left_out: str) -> int:
    """A seed of 32 bits that depends on the run's seed and on who is left out alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{left_out}".encode()).digest()[:4], "big")
