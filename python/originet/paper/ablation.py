"""The ablations of Table VI: OrigiNet with one part exchanged, under the same protocol.

Every row is a leave-one-subject-out run of its own, with the same clips, settings and seeds, so
that nothing but the exchanged part differs. The paper's figures stand beside ours; they were
measured on CASME II with four classes.

Reference: Verma et al., arXiv:2005.07991, Tables V and VI.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict

import torch
from msgspec import Meta
from torch import nn

from originet.datasets.tasks import paper_counts
from originet.evaluation import result_shapes
from originet.evaluation.by_dataset import records as dataset_records
from originet.evaluation.compute import Compute
from originet.evaluation.fold import ModelFactory
from originet.evaluation.result import LosoResult, check_clips, read_results
from originet.evaluation.result_shapes import Name, Reason
from originet.evaluation.run import Variant
from originet.evaluation.splits import SortedClips
from originet.evaluation.study import NothingEvaluated, open_study
from originet.system.channels import check_one_image
from originet.system.errors import InputError
from originet.system.json_files import read_json
from originet.training.config import Config
from originet.training.model import VARIANTS, OrigiNet, layer_count, memory_mib, parameter_count

DYNAMIC = "rank"
"""The active-image method that is the dynamic image of row WDy."""
LAYERS = 10
"""OrigiNet's layers in Table V."""
MEASURES = ("pooled_accuracy", "fold_accuracy", "uf1", "uar")


class Paper(NamedTuple):
    """What the paper prints in a row of Table VI.

    Attributes:
        accuracy: 0..1.
        parameters: In millions, to one decimal.
        memory: In what it calls MB, to one decimal.
    """

    accuracy: float
    parameters: float
    memory: float


class Complexity(NamedTuple):
    """The columns of Table V of one network.

    Attributes:
        layers: Convolutions and fully connected layers.
        parameters: Learnable scalars.
        memory_mib: 8 bytes a parameter, in MiB.
    """

    layers: int
    parameters: int
    memory_mib: float

    def agrees(self, paper: Paper) -> dict[str, bool]:
        """Tells which figures are the paper's.

        Its parameters are rounded or cut off (1,872,548 is "1.8M"), so a figure agrees if it is
        less than a unit of the last decimal away.

        Args:
            paper: The row's figures.

        Returns:
            Whether they agree: parameters and memory.
        """
        return {
            "parameters": abs(self.parameters / 1e6 - paper.parameters) < 0.1,
            "memory": abs(self.memory_mib - paper.memory) < 0.1,
        }


@dataclass(frozen=True)
class Row:
    """A row of Table VI."""

    name: str
    """As in the table, without "OrigiNet"."""
    change: str
    """What differs from OrigiNet."""
    paper: Paper
    """The paper's figures."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What `OrigiNet` is called with."""
    method: str | None = None
    """The active-image method; None means the one of the settings."""

    def configure(self, config: Config) -> Config:
        """Returns the settings of this row: those of the study, with the row's method."""
        return config if self.method is None else replace(config, method=self.method)

    def model(self, config: Config) -> ModelFactory:
        """Returns the factory of the row's network, of the settings' variant and image size."""
        return lambda classes: OrigiNet(
            classes, image_size=config.image_size, variant=config.variant, **self.arguments
        )

    def variant(self, config: Config) -> Variant:
        """Returns the row as a network to evaluate, under the settings of a study."""
        settings = self.configure(config)
        return Variant(self.name, self.model(settings), settings)

    def complexity(self, config: Config, classes: int = 4) -> Complexity:
        """Computes the columns of Table V.

        Args:
            config: Gives variant and image size.
            classes: Number of classes.

        Returns:
            The columns.
        """
        with torch.device("meta"):  # without memory for weights, which nobody uses
            model = self.model(config)(classes)
        return Complexity(layer_count(model), parameter_count(model), memory_mib(model))


ROWS = (
    Row("Sig", "sigmoid for psi", Paper(0.5413, 1.8, 14.3), {"activation": nn.Sigmoid}),
    # The paper tells no slope: psi's own alpha, so that nothing but the sigmoid is taken away.
    Row(
        "LR",
        "leaky ReLU (slope 0.1) for psi",
        Paper(0.5779, 1.8, 14.3),
        {"activation": partial(nn.LeakyReLU, 0.1)},
    ),
    Row("LFC", "one FC layer", Paper(0.5292, 0.9, 7.6), {"parallel_fc": False}),
    Row("KS-1", "kernels 1 and 3", Paper(0.5865, 1.6, 13.4), {"kernel_sizes": (1, 3)}),
    Row("KS-2", "kernels 5 and 7", Paper(0.5961, 2.2, 17.9), {"kernel_sizes": (5, 7)}),
    Row("WDy", "dynamic images", Paper(0.4619, 1.8, 14.3), method=DYNAMIC),
    Row("OrigiNet", "nothing", Paper(0.6209, 1.8, 14.3)),
)


class _Record(TypedDict):
    row: Name
    failed: Reason | None


class _Table(TypedDict):
    """What is read of ablation.json; the rows' own results have the rest."""

    rows: Annotated[list[_Record], Meta(min_length=1)]
    config: result_shapes.Settings


@dataclass(frozen=True)
class Ablation:
    """The rows that were evaluated, and what all of them share."""

    rows: tuple[Row, ...]
    """The rows that were asked for."""
    config: Config
    """The settings; a row's own method is in its result."""
    results: dict[str, LosoResult]
    """By the names of the rows that could be evaluated, at least one."""
    failed: dict[str, str]
    """The reason, in one line, by the names of the others."""

    @property
    def any_result(self) -> LosoResult:
        """One of the results, for what all of them share: clips, classes, baseline, hash."""
        return next(iter(self.results.values()))

    @property
    def departures(self) -> list[str]:
        """What makes these figures others than the paper's; none for CASME II as the paper has it.

        Settings that the paper does not publish are none of them.
        """
        shared, want = self.any_result, tuple(paper_counts("casme2", "paper") or ())
        told = []
        if shared.dataset != "casme2":
            told.append(f"the clips are {shared.dataset}")
        elif shared.classes != want:
            told.append(f"the classes are {', '.join(shared.classes)}")
        if self.config.image_size != 128:
            told.append(f"the images have {self.config.image_size} pixels a side, not 128")
        if not self.config.leaky:
            told.append(f"the protocol is {self.config.protocol}")
        return told

    def records(self) -> list[dict[str, Any]]:
        """Returns the table: one flat record a row, measures None where the row failed."""
        shared = self.any_result
        records = []
        for row in self.rows:
            result = self.results.get(row.name)
            size = row.complexity(self.config, len(shared.classes))
            scores = {
                name: None if result is None else result.metrics[name]
                for measure in MEASURES
                for name in (measure, f"{measure}_std")
            }
            agrees = size.agrees(row.paper)
            records.append(
                {
                    "row": row.name,
                    "change": row.change,
                    "method": row.configure(self.config).method,
                    **scores,
                    **size._asdict(),
                    "paper_accuracy": row.paper.accuracy,
                    "paper_parameters_millions": row.paper.parameters,
                    "paper_memory_mb": row.paper.memory,
                    "parameters_agree": agrees["parameters"],
                    "memory_agrees": agrees["memory"],
                    "dataset": shared.dataset,
                    "protocol": self.config.protocol_label,
                    "clips": len(shared.clips),
                    "seeds": len(shared.seeds),
                    "majority_accuracy": shared.majority_accuracy,
                    "clip_list_sha256": shared.clip_list_sha256,
                    "seconds": None if result is None else result.seconds,
                    "failed": self.failed.get(row.name),
                }
            )
        return records

    def lfc_forms(self) -> dict[str, Complexity]:
        """Returns the complexity of both forms of LFC, by variant.

        One FC layer on the features of both branches (paper), or the small branch alone with its
        own (authors): only the latter has Table VI's 0.9 million parameters.
        """
        lfc, classes = next(row for row in ROWS if row.name == "LFC"), self.any_result.classes
        return {
            variant: lfc.complexity(replace(self.config, variant=variant), len(classes))
            for variant in VARIANTS
        }

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the rows' own results, as JSON types."""
        shared = self.any_result
        return {
            "dataset": shared.dataset,
            "semi_synthetic": shared.semi_synthetic,
            "protocol": self.config.protocol,
            "leaky": self.config.leaky,
            "departures_from_the_paper": self.departures,
            "classes": list(shared.classes),
            "config": self.config.to_dict(),
            "clips": len(shared.clips),
            "majority_accuracy": shared.majority_accuracy,
            "clip_list_sha256": shared.clip_list_sha256,
            "paper_layers": LAYERS,
            "lfc_by_variant": {name: size._asdict() for name, size in self.lfc_forms().items()},
            "rows": self.records(),
            "by_dataset": dataset_records(self.results, shared.majority_accuracy),
        }


def rows_named(names: Sequence[str] | None) -> tuple[Row, ...]:
    """Looks rows up, in the order of Table VI.

    Args:
        names: Names of rows, in any case; None or none of them means all rows.

    Returns:
        The rows, each once.

    Raises:
        InputError: If there is no row of a name.
    """
    by_name = {row.name.lower(): row for row in ROWS}
    for name in names or ():
        if name.lower() not in by_name:
            raise InputError(f"row must be one of {', '.join(r.name for r in ROWS)}, got {name!r}")
    wanted = {name.lower() for name in names or by_name}
    return tuple(row for row in ROWS if row.name.lower() in wanted)


def methods_of(rows: Sequence[Row], config: Config) -> list[str]:
    """Returns the active-image methods that rows need, each once.

    Args:
        rows: The rows.
        config: The settings of the study.

    Returns:
        The methods, in the order of the rows that need them.

    Raises:
        InputError: If the method of the settings is the one that WDy takes in its place, or names
            channels.
    """
    check_one_image(config.method, "the ablation")
    if config.method == DYNAMIC:
        raise InputError(
            f"method {DYNAMIC!r} is what row WDy takes in place of the active image, which must be "
            "another"
        )
    return list(dict.fromkeys(row.configure(config).method for row in rows))


def run_ablation(
    clips: SortedClips,
    config: Config,
    compute: Compute,
    *,
    rows: Sequence[Row] = ROWS,
    out: str | Path | None = None,
) -> Ablation:
    """Evaluates rows of Table VI; one that fails does not stop the others.

    Args:
        clips: The clips, with images by all `methods_of` the rows;
            `originet.datasets.prepare.images_by_method` makes them.
        config: Settings of all rows.
        compute: How the folds of all rows are computed.
        rows: Which rows, at least one.
        out: Directory for a directory of `run_loso` a row, under its name, and for ablation.json
            and ablation.csv, the table of the rows of this call. An interrupted call resumes from
            the last finished fold when it is made again, also with more rows.

    Returns:
        The rows' results.

    Raises:
        InputError: If there is no row or one is given twice, images are missing, or `out` belongs
            to another study, is in use by another run, cannot be written to or is deleted
            meanwhile.
        NothingEvaluated: If no row could be evaluated.
    """
    if not rows:
        raise InputError("rows must be one or more, each once, got none")
    methods_of(rows, config)  # refuses settings that leave nothing to exchange
    variants = [row.variant(config) for row in rows]
    with open_study(clips, variants, config, compute, out=out) as study:
        found = study.evaluate()
        if not found.results:
            raise NothingEvaluated(found.failed)
        ablation = Ablation(tuple(rows), config, found.results, found.failed)
        study.write_table("ablation", ablation.to_json(), ablation.records())
    return ablation


def read_ablation(directory: str | Path) -> Ablation:
    """Reads the results of a finished study again.

    Args:
        directory: Where `run_ablation` wrote them.

    Returns:
        The rows of its last call.

    Raises:
        InputError: If there are none, or they are damaged.
    """
    path = Path(directory) / "ablation.json"
    told = read_json(path, _Table)
    failed = {each["row"]: each["failed"] for each in told["rows"] if each["failed"] is not None}
    try:
        rows = rows_named([each["row"] for each in told["rows"]])
        config = Config.from_dict(told["config"])
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    results = {
        row.name: read_results(path.parent / row.name) for row in rows if row.name not in failed
    }
    if not results:
        raise InputError(f"{path} is damaged: none of its rows was evaluated")
    for row in rows:
        if row.name in results and results[row.name].config != row.configure(config):
            raise InputError(f"{path} is damaged: row {row.name} has other settings than it")
    check_clips(path, results, next(iter(results.values())))
    return Ablation(rows, config, results, failed)
