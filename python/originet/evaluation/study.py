"""Several networks under the same leave-one-subject-out protocol, one row of a table each.

The folds of all of them go to one executor together, so none waits for the last fold of another.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from originet.evaluation.executors import Executor, Serial, compute_identity
from originet.evaluation.fold import FAILURES, ModelFactory
from originet.evaluation.identity import study_identity
from originet.evaluation.result import LosoResult
from originet.evaluation.run import LosoRun, execute
from originet.evaluation.run_files import claim
from originet.evaluation.splits import SortedClips
from originet.system.errors import InputError, one_line
from originet.system.files import safe_name
from originet.system.lock import held
from originet.system.words import counted
from originet.training.config import Config


@dataclass(frozen=True)
class Variant:
    """One network of a study."""

    name: str
    """Names the row and its directory: letters, digits, `_`, `-` and `.`."""
    model: ModelFactory
    """Makes the network."""
    config: Config
    """Settings; the method says which images the network takes."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """What else identifies the row, as JSON types; its run's config.json holds it."""


@dataclass(frozen=True)
class StudyResult:
    """What became of the variants."""

    results: dict[str, LosoResult]
    """By the names of the variants that could be evaluated, at least one."""
    failed: dict[str, str]
    """The reason, in one line, by the names of the others."""


class NothingEvaluated(InputError):
    """No variant of a study could be evaluated."""

    def __init__(self, failed: dict[str, str]) -> None:
        """Makes the message of the first reason; `failed` is that of `StudyResult`."""
        name, reason = next(iter(failed.items()))
        super().__init__(
            f"none of {counted(len(failed), 'row')} could be evaluated, as {name}: {reason}"
        )
        self.failed = failed


def run_study(
    clips: SortedClips,
    variants: Sequence[Variant],
    *,
    config: Config | None = None,
    out: str | Path | None = None,
    keep_weights: bool = True,
    device: str | torch.device | None = None,
    executor: Executor | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> StudyResult:
    """Evaluates several networks as `originet.evaluation.loso.run_loso` does one.

    A network that fails does not stop the others; its folds that have not started do not start.

    Args:
        clips: The clips with their images by all methods in the variants' settings, see
            `originet.evaluation.splits.sort_clips`.
        variants: The networks.
        config: Settings of the study, by which `out` is known; None takes the first variant's.
        out: Directory for config.json and for a directory of `run_loso` a variant, under its name.
            An interrupted call goes on from the last finished fold when it is made again, also
            with more variants.
        keep_weights: Write the weights of every fold.
        device: Where to compute; None takes the GPU if there is one.
        executor: How folds are computed, see `originet.evaluation.executors`; None is `Serial()`.
        progress: Called as progress(variant's name, done, total), counted as `run_loso` does.

    Returns:
        The results of those that could be evaluated, the reasons of the others.

    Raises:
        InputError: If there is no variant, one is given twice or its name cannot be a directory's,
            images are missing or of another size, or `out` belongs to another study, is in use by
            another run, cannot be written, or is deleted meanwhile.
        NothingEvaluated: If no variant could be evaluated.
    """
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names):
        raise InputError(f"rows must be one or more, each once, got {', '.join(names) or 'none'}")
    for variant in variants:
        if variant.name != safe_name(variant.name):
            raise InputError(f"a row's name must be a file name as well, got {variant.name!r}")
        if variant.config.method not in clips.images:
            have = ", ".join(clips.images) or "none"
            raise InputError(f"images by {variant.config.method!r} are needed, got {have}")
        if variant.config.image_size != clips.image_size:
            size = variant.config.image_size
            raise InputError(f"images of {size} pixels a side are needed, got {clips.image_size}")
    executor = Serial() if executor is None else executor
    where = executor.pick_device(device)
    compute = compute_identity(executor, where)
    directory = None if out is None else Path(out)
    with ExitStack() as locks:
        if directory is not None:
            locks.enter_context(held(directory))
            shared = config or variants[0].config
            claim(directory, study_identity(shared, clips.clip_list_sha256, compute))
        runs: dict[str, LosoRun] = {}
        results: dict[str, LosoResult] = {}
        failed: dict[str, str] = {}
        for variant in variants:
            try:
                place = None
                if directory is not None:
                    place = locks.enter_context(held(directory / variant.name))
                runs[variant.name] = LosoRun(
                    clips,
                    variant.model,
                    variant.config,
                    device=where,
                    compute=compute,
                    row=variant.row,
                    out=place,
                    keep_weights=keep_weights,
                    progress=None if progress is None else partial(progress, variant.name),
                )
            except FAILURES as error:
                failed[variant.name] = one_line(error)
        for name, result in execute(runs, executor):
            if isinstance(result, InputError):
                failed[name] = str(result)
            else:
                results[name] = result
    failed = {name: failed[name] for name in names if name in failed}
    if not results:
        raise NothingEvaluated(failed)
    return StudyResult({name: results[name] for name in names if name in results}, failed)
