"""`originet train`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from originet.cli import options
from originet.cli.console import console, progress_bar, progress_bars
from originet.system.errors import InputError
from originet.system.words import counted
from originet.training.config import MOST_SEEDS, is_own_code

if TYPE_CHECKING:
    from originet.evaluation.result import LosoResult
    from originet.training.config import Config


@options.with_run_options
def train_command(
    run: options.Run,
    paths: options.Paths,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
    network: options.Network = options.DEFAULTS.network,
    pretrained: options.Pretrained = False,
    seeds: Annotated[
        int | None,
        typer.Option(help="Networks that answer together, of seeds 0, 1, ...; by default one."),
    ] = None,
    evaluated: Annotated[
        Path | None,
        typer.Option(
            help="Results of `originet loso` on these clips: train as there, on all clips, for "
            "the median of the epochs that the folds chose."
        ),
    ] = None,
) -> None:
    """Train the final network on all clips.

    Without --evaluated, whole subjects are held out to choose the epoch.
    """
    import torch

    from originet.cli.inputs import read_clips_for
    from originet.deploy.train_model import train_model
    from originet.evaluation.executors import Serial
    from originet.evaluation.result import read_results
    from originet.system.lock import held
    from originet.training.networks.table import network_of

    if not isinstance(run.executor, Serial) or run.executor.folds_at_once is not None:
        raise InputError("--executor and --folds-at-once are for folds: a model has none")
    if run.executor.threads is not None:
        torch.set_num_threads(run.executor.threads)
    result = None if evaluated is None else read_results(evaluated)
    given = dataclasses.replace(run.config, network=network, pretrained=pretrained)
    config = _settings(given, result, seeds)
    found = network_of(config)  # first, since making images may take minutes
    clips = read_clips_for(found, paths, [config.method], **run.clips)
    config = clips.configure(config)
    with held(out) as place, progress_bars() as bars:
        model = train_model(
            clips.sort(),
            config,
            place,
            evaluated=result,
            device=run.device,
            cuda_graph=run.executor.cuda_graph,
            progress=progress_bar(bars, "epochs"),
        )
    _print(out, model.card)


def _settings(config: "Config", result: "LosoResult | None", seeds: int | None) -> "Config":
    """Completes the settings with those of the evaluation, unless others were given."""
    if seeds is not None:
        if config.seeds != options.DEFAULTS.seeds:
            raise InputError(f"--seeds {seeds} and --seed name the same networks: give one of them")
        if not 1 <= seeds <= MOST_SEEDS:
            raise InputError(f"--seeds must be 1 to {MOST_SEEDS:,}, got {seeds}")
        config = dataclasses.replace(config, seeds=tuple(range(seeds)))
    if result is None:
        return config
    theirs = result.config
    if is_own_code(theirs.network) and config.network != theirs.network:
        raise InputError(
            f"the evaluated run is of {theirs.network}, code that is not the package's: give "
            f"--network {theirs.network}"
        )
    network = {name: getattr(options.DEFAULTS, name) for name in ("network", "pretrained")}
    if dataclasses.replace(config, seeds=(0,), **network) != options.DEFAULTS:
        return config
    if config.network not in (options.DEFAULTS.network, theirs.network):
        raise InputError(f"the evaluated run is of {theirs.network}, not of {config.network}")
    return dataclasses.replace(theirs, seeds=config.seeds)


def _print(out: Path, card: dict[str, Any]) -> None:
    networks = card["weights"]
    epochs = ", ".join(str(each["selected_epoch"]) for each in networks)
    console.print(
        f"{out}: {counted(len(networks), 'network')} on {counted(card['clips'], 'clip')} of "
        f"{counted(card['subjects'], 'subject')}, epochs {epochs}; {', '.join(card['classes'])}",
        soft_wrap=True,
        highlight=False,
    )
    for name, terms in card["licences"].items():
        console.print(f"{name}: {terms}", soft_wrap=True, highlight=False)
