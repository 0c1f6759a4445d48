"""Networks under the same leave-one-subject-out protocol: one by itself, or a study of several.

The folds of all networks go to one executor together, so none waits for the last fold of another.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from originet.evaluation.compute import Compute
from originet.evaluation.fold import FAILURES
from originet.evaluation.identity import study_identity
from originet.evaluation.result import LosoResult
from originet.evaluation.run import LosoRun, Variant, execute
from originet.evaluation.run_files import claim, write_records
from originet.evaluation.splits import SortedClips
from originet.system.errors import InputError, one_line
from originet.system.files import safe_name, writing
from originet.system.json_files import write_json
from originet.system.lock import Held, held
from originet.system.words import counted
from originet.training.config import Config


@dataclass(frozen=True)
class StudyResult:
    """How the networks of a study ended."""

    results: dict[str, LosoResult]
    """By the names of the networks that could be evaluated."""
    failed: dict[str, str]
    """The reason, in one line, by the names of the others."""


class NothingEvaluated(InputError):
    """No row of a study could be evaluated."""

    def __init__(self, failed: dict[str, str]) -> None:
        """Makes the message of the first reason; `failed` is that of `StudyResult`."""
        name, reason = next(iter(failed.items()))
        super().__init__(
            f"none of {counted(len(failed), 'row')} could be evaluated, as {name}: {reason}"
        )
        self.failed = failed


@dataclass(frozen=True)
class Study:
    """Several networks on the same clips, with a directory that belongs to them alone."""

    clips: SortedClips
    """The clips."""
    variants: Sequence[Variant]
    """The networks."""
    compute: Compute
    """How folds are computed."""
    place: Held | None
    """The directory; None writes nothing."""

    def folder(self, name: str) -> Path | None:
        """Returns the directory of a row: its name, made fit for a file."""
        return None if self.place is None else self.place.folder / safe_name(name)

    def evaluate(self) -> StudyResult:
        """Evaluates the networks; one that fails does not stop the others.

        The folds of a network that failed do not start if they have not yet.

        Raises:
            InputError: If the directory cannot be written to, or is deleted meanwhile.
        """
        runs = [(variant, self.folder(variant.name)) for variant in self.variants]
        results, failed = _evaluate(self.clips, runs, self.compute)
        return StudyResult(results, {name: one_line(error) for name, error in failed.items()})

    def write_table(
        self, name: str, table: dict[str, Any], records: Sequence[Mapping[str, Any]]
    ) -> None:
        """Writes the study's table as JSON and as CSV.

        Args:
            name: The files' name without its end.
            table: What the JSON file holds.
            records: The rows of the CSV file, at least one.

        Raises:
            InputError: If the directory cannot be written to, or is gone.
        """
        if self.place is None:
            return
        self.place.check()
        with writing(self.place.folder):
            write_json(self.place.folder / f"{name}.json", table)
            write_records(self.place.folder / f"{name}.csv", records)


def evaluate(
    clips: SortedClips, variant: Variant, compute: Compute, *, out: str | Path | None = None
) -> LosoResult:
    """Evaluates one network by leaving out one subject, or one data set, at a time.

    Args:
        clips: The clips, with images by the method of the network's settings.
        variant: The network.
        compute: How folds are computed.
        out: Directory of the run, see `originet.evaluation.loso.run_loso`.

    Returns:
        The result.

    Raises:
        InputError: As `originet.evaluation.loso.run_loso`.
    """
    runs = [(variant, None if out is None else Path(out))]
    results, failed = _evaluate(clips, runs, compute)
    for error in failed.values():
        raise error
    return results[variant.name]


def run_study(
    clips: SortedClips,
    variants: Sequence[Variant],
    compute: Compute,
    *,
    config: Config | None = None,
    out: str | Path | None = None,
) -> StudyResult:
    """Evaluates several networks as `evaluate` does one.

    Args:
        clips: The clips, with images by all methods in the networks' settings.
        variants: The networks, at least one.
        compute: How the folds of all networks are computed.
        config: Settings of the study; None means the first network's.
        out: Directory of the study.

    Returns:
        The results, at least one, and the reasons of the networks that have none.

    Raises:
        InputError: As `open_study` and `Study.evaluate`, or if there is no network.
        NothingEvaluated: If no network could be evaluated.
    """
    if not variants:
        raise InputError("rows must be one or more, each once, got none")
    with open_study(clips, variants, config or variants[0].config, compute, out=out) as study:
        found = study.evaluate()
    if not found.results:
        raise NothingEvaluated(found.failed)
    return found


@contextmanager
def open_study(
    clips: SortedClips,
    variants: Sequence[Variant],
    config: Config,
    compute: Compute,
    *,
    out: str | Path | None,
) -> Iterator[Study]:
    """Checks a study, and keeps other studies out of its directory.

    Args:
        clips: The clips, with images by all methods in the networks' settings.
        variants: The networks.
        config: Settings of the study, by which `out` is known.
        compute: How the folds of all networks are computed.
        out: Directory for config.json and for a directory of `run_loso` a network, under its name.
            An interrupted study resumes from its finished folds, also with more networks.

    Yields:
        The study.

    Raises:
        InputError: If a network is given twice, or two have names of the same directory, settings
            leave out data sets, images are missing or of another size, or `out` belongs to another
            study, is in use by another run, cannot be written to, or is deleted meanwhile.
    """
    names = [variant.name for variant in variants]
    if len(set(map(safe_name, names))) < len(names):
        raise InputError(
            f"rows must be one or more, each once, with a file name of its own, got "
            f"{', '.join(names)}"
        )
    for variant in variants:
        if variant.config.leave_out != "subject":  # its reports and LBP-TOP know subjects alone
            raise InputError("several networks are compared with leave_out='subject' only")
        clips.check_images(variant.config)
    with nullcontext() if out is None else held(out) as place:
        if place is not None:
            claim(place.folder, study_identity(config, clips, compute))
        yield Study(clips, variants, compute, place)


def _evaluate(
    clips: SortedClips, runs: Sequence[tuple[Variant, Path | None]], compute: Compute
) -> tuple[dict[str, LosoResult], dict[str, Exception]]:
    """Evaluates networks, each with a directory of its own or none.

    Returns:
        The results by name, and the errors that ended the other networks, both in the order of the
        networks.
    """
    started: dict[str, LosoRun] = {}
    ended: dict[str, LosoResult | Exception] = {}
    with ExitStack() as locks:
        for variant, folder in runs:
            clips.check_images(variant.config)
            try:
                place = None if folder is None else locks.enter_context(held(folder))
                started[variant.name] = LosoRun(clips, variant, compute, place)
            except FAILURES as error:
                ended[variant.name] = error
        ended.update(execute(started, compute.executor))
    results: dict[str, LosoResult] = {}
    failed: dict[str, Exception] = {}
    for variant, _ in runs:
        end = ended[variant.name]
        if isinstance(end, LosoResult):
            results[variant.name] = end
        else:
            failed[variant.name] = end
    return results, failed
