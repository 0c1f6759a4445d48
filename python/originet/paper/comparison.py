"""The comparison of Tables III to V: OrigiNet beside other networks and a handcrafted descriptor.

Networks that the paper does not have are compared when they are asked for.

Every network is a leave-one-subject-out run of its own, with the same images, settings and seeds;
LBP-TOP with a linear SVM has the same folds, on the frames. The paper's figures stand beside ours.
Rows that the paper only quotes appear as quoted.

Reference: Verma et al., arXiv:2005.07991, Tables III, IV and V.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from originet.datasets.folder import is_semi_synthetic
from originet.datasets.tasks import PAPER_SETS, paper_counts
from originet.evaluation import metrics, result_shapes
from originet.evaluation.by_dataset import records as dataset_records
from originet.evaluation.compute import Compute
from originet.evaluation.paired import Difference, paired_differences
from originet.evaluation.result import LosoResult, in_folds, read_results
from originet.evaluation.result_shapes import Count, Name, Reason, Seconds, Sha256, Share
from originet.evaluation.run import Variant
from originet.evaluation.splits import SortedClips
from originet.evaluation.study import NothingEvaluated, open_study
from originet.paper.baselines import (
    BYTES,
    NETWORKS,
    OTHERS,
    PUBLISHED_SIZE,
    QUOTED,
    Compared,
    Quoted,
    check_installed,
)
from originet.paper.lbp_top import LbpTopResult, pattern_function, read_lbp_top, run_lbp_top
from originet.system.channels import check_one_image
from originet.system.clock import Case, time_case
from originet.system.device import arithmetic
from originet.system.errors import InputError, one_line
from originet.system.files import safe_name
from originet.system.json_files import read_json
from originet.system.words import counted
from originet.training.config import OWN, Config
from originet.training.networks.table import network_named
from originet.training.predict import to_input

LBP_TOP = "LBP-TOP"
"""The handcrafted row: LBP-TOP and a linear SVM."""
ROWS = (*(network.name for network in NETWORKS), LBP_TOP)
"""The names of the rows that the paper has, and that are measured."""
_BY_NAME = {each.name: each for each in (*NETWORKS, *OTHERS)}
MEASURES = ("pooled_accuracy", "fold_accuracy", "uf1", "uar")
_TIMING_BUDGET = 2.0  # seconds for each network, roughly


class InferenceTimes(dict[str, float]):
    """Times for one image, medians in milliseconds by the networks' names.

    Attributes:
        reliable: whether the rounds of each agree, see `originet.system.timings.Row.reliable`.
    """

    def __init__(
        self, medians: Mapping[str, float] | None = None, reliable: Mapping[str, bool] | None = None
    ) -> None:
        """Takes the medians, and which of them are reliable."""
        super().__init__(medians or {})
        self.reliable = dict(reliable or {})


class _Measured(TypedDict):
    row: Name
    kind: Name
    milliseconds: Seconds | None
    device: Name | None
    failed: Reason | None


class _Record(_Measured, total=False):
    milliseconds_reliable: bool | None


class _Table(TypedDict):
    """What is read of compare.json; the rows' own results have the rest."""

    rows: list[_Record]
    config: result_shapes.Settings
    dataset: Name
    classes: list[Name]
    clips: Count
    majority_accuracy: Share
    clip_list_sha256: Sha256


@dataclass(frozen=True)
class Comparison:
    """The rows that were evaluated, and what all of them share."""

    rows: tuple[str, ...]
    """The names of the rows that were asked for."""
    config: Config
    """The settings."""
    dataset: str
    """Name of the data set; several names are joined by "+"."""
    classes: tuple[str, ...]
    """Class names, sorted."""
    clips: int
    """How many clips there are."""
    majority_accuracy: float
    """Share of the commonest class, 0..1."""
    clip_list_sha256: str
    """Hash of the clip list, see `originet.datasets.clip_list_hash`."""
    results: dict[str, LosoResult | LbpTopResult]
    """By the names of the rows that could be evaluated, at least one."""
    failed: dict[str, str]
    """The reason, in one line, by the names of the others."""
    milliseconds: InferenceTimes
    """Time of inference by the names of the networks that could be evaluated: `inference_times`."""
    device: str
    """Where that time was taken, on a CPU with the number of threads."""

    @property
    def departures(self) -> list[str]:
        """What makes these accuracies others than the paper's; none for its sets as it has them.

        Settings that the paper does not publish are none of them.
        """
        told = []
        if self.dataset not in PAPER_SETS:
            told.append(f"the clips are {self.dataset}")
        elif self.classes != tuple(paper_counts(self.dataset, "paper") or ()):
            told.append(f"the classes are {', '.join(self.classes)}")
        if self.config.image_size != PUBLISHED_SIZE:
            size = self.config.image_size
            told.append(f"the images have {size} pixels a side, not {PUBLISHED_SIZE}")
        if not self.config.leaky:
            told.append(f"the protocol is {self.config.protocol}")
        return told

    @property
    def quoted(self) -> tuple[Quoted, ...]:
        """The rows that the paper quotes for this data set."""
        return tuple(row for row in QUOTED if self.dataset in row.accuracy)

    def differences(self) -> dict[str, dict[str, Difference]]:
        """Compares OrigiNet's scores with those of each other network, subject by subject.

        Returns:
            By row and score; without LBP-TOP, and nothing without OrigiNet.
        """
        networks = {n: each for n, each in self.results.items() if isinstance(each, LosoResult)}
        own = networks.pop(OWN, None)
        if own is None:
            return {}
        people, y_true, y_pred = in_folds(own.folds, own.config.seeds)
        others = {name: in_folds(each.folds, each.config.seeds) for name, each in networks.items()}
        return {
            name: paired_differences(y_true, y_pred, other.y_pred, people)
            for name, other in others.items()
        }

    def records(self) -> list[dict[str, Any]]:
        """Returns the table: one flat record a row, the quoted ones last; None is what is not."""
        shared = {
            "dataset": self.dataset,
            "protocol": self.config.protocol_label,
            "clips": self.clips,
            "seeds": len(self.config.seeds),
            "majority_accuracy": self.majority_accuracy,
            "clip_list_sha256": self.clip_list_sha256,
        }
        records = []
        for name in self.rows:
            # None for LBP-TOP, and for code that nobody may name in a file and have run.
            result, network = self.results.get(name), _BY_NAME.get(name)
            scores = {
                key: None if result is None else result.metrics[key]
                for measure in MEASURES
                for key in (measure, f"{measure}_std")
            }
            records.append(
                {
                    "row": name,
                    "kind": "handcrafted" if name == LBP_TOP else "network",
                    **scores,
                    "paper_accuracy": network and network.accuracy.get(self.dataset),
                    "paper_task": None,
                    **self._size(name),
                    **_published(network),
                    "milliseconds": self.milliseconds.get(name),
                    "milliseconds_reliable": self.milliseconds.reliable.get(name),
                    "device": self.device if name in self.milliseconds else None,
                    **shared,
                    "seconds": None if result is None else result.seconds,
                    "failed": self.failed.get(name),
                }
            )
        blank = dict.fromkeys(records[0])
        return records + [
            blank
            | {
                "row": row.name,
                "kind": "quoted",
                "paper_accuracy": row.accuracy[self.dataset],
                "paper_task": row.task,
                "dataset": self.dataset,
            }
            for row in self.quoted
        ]

    def _size(self, name: str) -> dict[str, Any]:
        """The size of a network as it is trained here; nothing if it does not take the images."""
        names = ("layers", "depth", "parameters", *(f"mib_{each}_bytes" for each in BYTES))
        sizes = dict.fromkeys(names)
        network, result = _BY_NAME.get(name), self.results.get(name)
        if network is not None:
            try:
                size = network.complexity(self.config, len(self.classes))
            except InputError:
                return sizes
            return dict(zip(names, (*size, *map(size.mib, BYTES)), strict=True))
        if isinstance(result, LosoResult):
            count = result.model["parameters"]
            sizes |= {"parameters": count}
            sizes |= {f"mib_{each}_bytes": count * each / 2**20 for each in BYTES}
        return sizes

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the rows' own results, as JSON types."""
        return {
            "dataset": self.dataset,
            "semi_synthetic": is_semi_synthetic(self.dataset),
            "protocol": self.config.protocol,
            "leaky": self.config.leaky,
            "departures_from_the_paper": self.departures,
            "classes": list(self.classes),
            "config": self.config.to_dict(),
            "clips": self.clips,
            "majority_accuracy": self.majority_accuracy,
            "clip_list_sha256": self.clip_list_sha256,
            "rows": self.records(),
            "by_dataset": dataset_records(self.results, self.majority_accuracy),
            "differences": {
                row: {name: found._asdict() for name, found in scores.items()}
                for row, scores in self.differences().items()
            },
            "quoted": [row._asdict() for row in QUOTED],
        }


def _published(network: Compared | None) -> dict[str, Any]:
    """A network's size with the outputs that its publication counts, and its row of Table V."""
    names = ("classes", "layers", "depth", "parameters", *(f"mib_{each}_bytes" for each in BYTES))
    values: Sequence[Any] = [None] * len(names)
    agrees: Mapping[str, Any] = dict.fromkeys(("layers", "parameters", "memory"))
    paper = None if network is None else network.table_v
    if network is not None:
        size, agrees = network.published()
        known = network.network.published
        assert size is not None and known is not None  # of every network in a table
        values = (known.classes, *size, *map(size.mib, BYTES))
    return {
        **{f"published_{name}": value for name, value in zip(names, values, strict=True)},
        "paper_layers": paper and paper.layers,
        "paper_parameters_millions": paper and paper.parameters,
        "paper_memory_mb": paper and paper.memory,
        "layers_agree_as": agrees["layers"],
        "parameters_agree": agrees["parameters"],
        "memory_agrees_at_bytes": agrees["memory"],
    }


def rows_named(names: Sequence[str] | None, *, papers_only: bool = False) -> tuple[str, ...]:
    """Looks rows up.

    Args:
        names: Names of rows, those of a table in any case; None or none of them means `ROWS`.
        papers_only: Whether only those of `ROWS` are known.

    Returns:
        Their names, each once: those of `ROWS` in its order, other networks of the table, then
        `timm:NAME` and `module:function`.

    Raises:
        InputError: If there is no row of a name.
    """
    known = ROWS if papers_only else (*ROWS, *(each.name for each in OTHERS))
    by_case = {row.lower(): row for row in known}
    wanted = dict.fromkeys(by_case.get(name.lower(), name) for name in names or ROWS)
    strangers = [name for name in wanted if name not in known]
    for name in strangers:
        if papers_only or ":" not in name:
            more = "" if papers_only else ", timm:NAME, module:function"
            raise InputError(f"network must be one of {', '.join(known)}{more}, got {name!r}")
    return (*(row for row in known if row in wanted), *strangers)


def check_packages(rows: Sequence[str]) -> None:
    """Checks that the packages which rows need can be imported: those of the extra `baselines`.

    Args:
        rows: Names of rows, as `rows_named` returns them; code of one's own is imported.

    Raises:
        InputError: If one cannot; tells how to install it.
    """
    check_installed(_networks(rows))
    if LBP_TOP in rows:
        pattern_function()


def _networks(rows: Sequence[str]) -> list[Compared]:
    """The networks among rows, in their order."""
    named = [name for name in rows if name != LBP_TOP]
    return [_BY_NAME.get(name) or Compared(network_named(name)) for name in named]


def run_comparison(
    clips: SortedClips,
    config: Config,
    compute: Compute,
    *,
    rows: Sequence[str] | None = None,
    out: str | Path | None = None,
) -> Comparison:
    """Evaluates networks and LBP-TOP; one that fails does not stop the others.

    Args:
        clips: The clips, with images by the method of the settings for the networks, and with the
            cuts by which LBP-TOP takes their frames.
        config: Settings of all rows.
        compute: How the networks' folds are computed. Weights of VGG take half a gigabyte a fold.
            The progress of LBP-TOP is counted in clips.
        rows: Names of rows, see `rows_named`; None means `ROWS`.
        out: Directory for a directory a row, under its name, and for compare.json and compare.csv,
            the table of the rows of this call. An interrupted call resumes from the last finished
            fold (of LBP-TOP: row) when it is made again, also with more rows.

    Returns:
        The rows' results.

    Raises:
        InputError: If there is no row of a name, a package or images are missing, or `out` belongs
            to another study, is in use by another run, cannot be written to, or is deleted
            meanwhile.
        NothingEvaluated: If no row could be evaluated.
    """
    names = rows_named(rows)
    check_packages(names)
    check_one_image(config.method, "the comparison")
    clips.check_images(config)
    networks = _networks(names)
    variants = [
        Variant(
            each.name,
            each.model(config),
            dataclasses.replace(config, network=each.name),
            facts=each.network.facts,
        )
        for each in networks
    ]
    with open_study(clips, variants, config, compute, out=out) as study:
        results: dict[str, LosoResult | LbpTopResult] = {}
        failed: dict[str, str] = {}
        if LBP_TOP in names:  # first, as it takes minutes where networks take hours
            try:
                results[LBP_TOP] = run_lbp_top(
                    clips,
                    config,
                    out=study.folder(LBP_TOP),
                    progress=compute.progress_of(LBP_TOP),
                )
            except (InputError, OSError, MemoryError) as error:
                failed[LBP_TOP] = one_line(error)
        found = study.evaluate()
        results |= found.results
        failed |= found.failed
        if not results:
            raise NothingEvaluated(failed)
        majority = metrics.majority_baseline(clips.labels, clips.subjects)["pooled_accuracy"]
        here = compute.here  # times are taken in this process, wherever folds are computed
        comparison = Comparison(
            rows=names,
            config=config,
            dataset=clips.dataset,
            classes=clips.classes,
            clips=len(clips.names),
            majority_accuracy=majority,
            clip_list_sha256=clips.clip_list_sha256,
            results=results,
            failed=failed,
            # Those that could be trained here fit side by side: training takes several times as
            # much.
            milliseconds=inference_times(
                [each for each in networks if each.name in results],
                len(clips.classes),
                config,
                device=here,
            ),
            device=f"cpu, {counted(torch.get_num_threads(), 'thread')}"
            if here.type == "cpu"
            else str(here),
        )
        study.write_table("compare", comparison.to_json(), comparison.records())
    return comparison


def read_comparison(directory: str | Path) -> Comparison:
    """Reads the results of a finished comparison again.

    Args:
        directory: Where `run_comparison` wrote them.

    Returns:
        The rows of its last call. Predictions of LBP-TOP are in the order of the clips' names.

    Raises:
        InputError: If there are none, or they are damaged.
    """
    directory = Path(directory)
    path = directory / "compare.json"
    told = read_json(path, _Table)
    records = {each["row"]: each for each in told["rows"] if each["kind"] != "quoted"}
    try:
        names = rows_named(list(records))
        config = Config.from_dict(told["config"])
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    failed = {n: why for n, each in records.items() if (why := each["failed"]) is not None}
    results: dict[str, LosoResult | LbpTopResult] = {
        name: (read_lbp_top if name == LBP_TOP else read_results)(directory / safe_name(name))
        for name in names
        if name in records and name not in failed
    }
    if not results:
        raise InputError(f"{path} is damaged: none of its rows was evaluated")
    for name, result in results.items():
        shape = len(config.seeds), told["clips"]
        if result.y_pred.shape != shape or len(result.confusion) != len(told["classes"]):
            raise InputError(f"{path} is damaged: row {name} has other clips, classes or seeds")
        if isinstance(result, LosoResult) and (
            dataclasses.replace(result.config, network=config.network) != config
            or result.classes != tuple(told["classes"])
            or result.clip_list_sha256 != told["clip_list_sha256"]
        ):
            raise InputError(f"{path} is damaged: row {name} has other settings, classes or clips")
    times = {n: time for n, each in records.items() if (time := each["milliseconds"]) is not None}
    reliable = {name: records[name].get("milliseconds_reliable") is not False for name in times}
    return Comparison(
        rows=names,
        config=config,
        dataset=told["dataset"],
        classes=tuple(told["classes"]),
        clips=told["clips"],
        majority_accuracy=told["majority_accuracy"],
        clip_list_sha256=told["clip_list_sha256"],
        results=results,
        failed=failed,
        milliseconds=InferenceTimes(times, reliable),
        device=next((device for name in times if (device := records[name]["device"])), ""),
    )


def inference_times(
    networks: Sequence[Compared],
    classes: int,
    config: Config,
    *,
    device: torch.device,
    budget: float = _TIMING_BUDGET,
) -> InferenceTimes:
    """Measures how long each network takes for one image: eager, channels_last, float32.

    The networks take turns in rounds of random order, so that all of them meet the same machine.

    Args:
        networks: The networks; all are in memory at once.
        classes: Number of classes.
        config: Gives the image size.
        device: Where to compute.
        budget: Seconds for each network, roughly.

    Returns:
        The medians, and which of them are reliable.
    """
    size = config.image_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (1, size, size), dtype=torch.uint8, generator=generator)
    image = to_input(pixels.to(device))

    def call(network: Compared) -> Callable[[], Tensor]:
        with torch.random.fork_rng(devices=[]):  # weights are drawn, though nobody learns them
            model = network.model(config)(classes)
        model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return torch.inference_mode()(lambda: model(image))

    calls = {network.name: call(network) for network in networks}
    if not calls:
        return InferenceTimes()
    shape = tuple(image.shape)
    case = Case("compare", "inference", device, image.dtype, shape, "channels_last", 0, calls)
    with arithmetic("float32", device):  # as predictions are made
        rows = time_case(case, budget=budget * len(calls))
    return InferenceTimes(
        {row.provider: row.median_us / 1e3 for row in rows},
        {row.provider: row.reliable for row in rows},
    )
