"""Leave-one-subject-out (LOSO) evaluation, honest and resumable; or leave-one-data-set-out.

For each subject a network with fresh weights is trained on the other subjects' clips by
`originet.training.train.fit`, which chooses the epoch without the test subject; then the test
subject's clips are predicted, once. No statistic is taken over subjects. How the other subjects'
clips become training and validation images is the protocol's matter, "strict" or "paper":
`originet.training.protocol`.

With `leave_out="dataset"`, a fold leaves out the clips of a whole data set instead. Training and
validation images are then those of the other data sets, split by the same protocol.

Clips are worked on in the order of their names, and a fold's seed comes from the seed and its
subject. So neither the order of the table's rows nor the other folds change a fold's result.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from originet.datasets import ClipTable
from originet.datasets.prepare import active_images
from originet.evaluation.compute import Compute
from originet.evaluation.executors import Executor
from originet.evaluation.fold import ModelFactory
from originet.evaluation.result import LosoResult
from originet.evaluation.run import Variant
from originet.evaluation.splits import check_table, sort_clips
from originet.evaluation.study import evaluate
from originet.training.config import Config
from originet.training.networks.entry import Network
from originet.training.networks.table import network_of


def run_loso(
    table: ClipTable,
    model: ModelFactory | None = None,
    config: Config | None = None,
    *,
    images: NDArray[Any] | None = None,
    out: str | Path | None = None,
    keep_weights: bool = True,
    device: str | torch.device | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
    leave_out: str | None = None,
) -> LosoResult:
    """Evaluates a network by leaving out one subject, or one data set, at a time.

    On the CPU the same call gives the same numbers, bit for bit, with the same number of threads,
    whatever the executor.

    Args:
        table: The clips.
        model: Makes a network for a number of classes; None is the network that `config` names,
            see `originet.training.networks.table`. It is called with what
            `originet.training.predict.to_input` gives, which it must not write to, and its weights
            are brought to channels_last: `view` must be `reshape` or `flatten` there.
        config: Settings; None is `Config()`.
        images: Active images of the clips in table order, [N, S, S] uint8 with S the configured
            image_size; or [N, S, S, C] uint8 or float32, whose channels `config.method` names (one
            of `own:` names your own, see `originet.system.channels`). None makes them by
            `originet.datasets.prepare.active_images`.
        out: Directory for config.json, folds/*.json and *.safetensors (written when a fold ends),
            results.json and predictions.csv. A run that was interrupted goes on from its finished
            folds when it is started again with the same arguments.
        keep_weights: Write the weights of every fold into `out`, for
            `originet.training.weights.load_fold_weights`.
        device: Where to compute; None takes the GPU if there is one.
        executor: How folds are computed, see `originet.evaluation.executors`; None is `Serial()`.
            `model` travels to other processes by cloudpickle, which takes lambdas and closures.
        progress: Called as progress(done, total), counted in epochs over all folds and seeds;
            fold by fold where folds run in other processes.
        leave_out: "subject" or "dataset" instead of what `config` says.

    Returns:
        The result.

    Raises:
        InputError: If there are fewer than 2 subjects (or data sets) or 2 classes, a class occurs
            with a single subject (or data set), the images do not fit the table, `out` belongs to
            another run, is in use by one, is damaged, cannot be written or is deleted meanwhile, or
            a fold fails: bad training (see `originet.training.train.fit`), an error of torch, too
            little memory, a worker that was killed. Finished folds stay in `out`.
    """
    config = Config() if config is None else config
    config = config if leave_out is None else dataclasses.replace(config, leave_out=leave_out)
    # Both before the minutes that the images may take.
    check_table(table, config.leave_out)
    variant = variant_of(config) if model is None else Variant("network", model, config)
    compute = Compute(
        device,
        executor,
        keep_weights,
        None if progress is None else lambda _, done, total: progress(done, total),
    )
    if images is None:
        images = active_images(
            table,
            method=config.method,
            image_size=config.image_size,
            crop_face=config.crop_face,
            face_by=config.face_by,
        )
    clips = sort_clips(table, {config.method: images}, config.image_size)
    return evaluate(clips, variant, compute, out=out)


def variant_of(config: Config, network: Network | None = None) -> Variant:
    """Gives the network that the settings name, to be evaluated.

    Args:
        config: Settings.
        network: The network, if `network_of` has found it already.

    Raises:
        InputError: As `originet.training.networks.table.network_of`, or if the network does not
            take images of the configured size.
    """
    found = network or network_of(config)
    found.check(config.in_channels, config.image_size)
    factory = found.factory(config.in_channels, config.image_size)
    return Variant(found.name, factory, config, facts=found.facts)
