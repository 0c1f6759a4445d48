"""`originet report`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from originet.cli import options
from originet.cli.console import complain_of, console
from originet.system.errors import InputError
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.evaluation.splits import SortedClips
    from originet.training.config import Config


def report_command(
    run: Annotated[
        Path,
        typer.Argument(
            help="Results folder of `originet loso`, `ablation`, `compare` or `reproduce`."
        ),
    ],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="For the pictures: the stores or the data set's root given to `loso` or "
            "`reproduce`.",
        ),
    ] = None,
    dataset: options.Dataset = None,
    annotations: options.Annotations = None,
    sheet: options.Sheet = None,
    frames: options.Frames = None,
    max_pixels: options.MaxPixels = None,
    task: options.Task = None,
    clips: options.ClipsFile = None,
    micro_only: options.MicroOnly = False,
    set_name: options.SetName = None,
    logs: Annotated[
        Path | None,
        typer.Option(
            "--tensorboard",
            help="Write the folds' curves to this folder for TensorBoard instead of a report.",
        ),
    ] = None,
) -> None:
    """Rewrite the report of a finished run, or export its curves."""
    kind = _kind(run)
    named = {"dataset": dataset, "annotations": annotations, "frames": frames, "task": task}
    chosen = {"sheet": sheet, "clips": clips, "micro_only": micro_only, "set_name": set_name}
    of_a_root = {**named, **chosen}
    if logs is not None:
        if paths:
            raise InputError(f"--tensorboard draws no pictures: omit {paths[0]}")
        _write_logs(run, kind, logs)
    elif kind == "loso":
        _loso_again(run, paths, of_a_root)
    elif kind == "reproduce":
        _reproduction_again(run, paths, of_a_root)
    elif paths:
        raise InputError(f"the report of `originet {kind}` has no pictures: omit {paths[0]}")
    else:
        _table_again(run, kind)


def _kind(run: Path) -> str:
    """Returns the name of the command whose results are in a folder.

    Raises:
        InputError: If there are no results, or they are incomplete.
    """
    from originet.system.json_files import read_json

    for name, kind in (
        ("results.json", "loso"),
        ("ablation.json", "ablation"),
        ("compare.json", "compare"),
    ):
        if (run / name).is_file():
            return kind
    if (run / "clips").is_dir() and (run / "loso" / "config.json").is_file():
        raise InputError(f"{run} is a demonstration: `originet demo -o {run}` rewrites its report")
    config = run / "config.json"
    if not config.is_file():
        raise InputError(
            f"{run} holds no results.json of `originet loso`, no ablation.json, no compare.json "
            "and no config.json of `originet reproduce`"
        )
    if "quick" in read_json(config, dict[str, Any]) and (run / "report.html").is_file():
        return "reproduce"
    raise InputError(f"{run} is unfinished: run the same command again")


def _write_logs(run: Path, kind: str, logs: Path) -> None:
    """Writes the curves of one network's folds."""
    from originet.evaluation import tensorboard
    from originet.evaluation.result import read_results

    if kind != "loso":
        raise InputError(f"--tensorboard needs the folder of one network, such as one in {run}")
    folds = counted(tensorboard.write_logs(read_results(run), logs), "fold")
    console.print(f"{folds}: tensorboard --logdir {logs}", soft_wrap=True)


def _loso_again(run: Path, paths: Sequence[Path] | None, of_a_root: dict[str, Any]) -> None:
    from originet.evaluation.report import NAME, write_loso_report
    from originet.evaluation.result import clip_images, read_results

    result = read_results(run)
    images = None
    if paths:
        clips = _clips(paths, result.config, [result.config.method], of_a_root)
        images = clip_images(result, clips)
    write_loso_report(run / NAME, result, _made_again(result.compute), images)
    left_out = "" if paths else ", without pictures of clips: give the run's PATH to include them"
    console.print(f"Report: {run / NAME}{left_out}", soft_wrap=True)


def _table_again(run: Path, kind: str) -> None:
    """Rewrites the report of an ablation or a comparison."""
    from originet.evaluation.report import NAME
    from originet.evaluation.result_shapes import StudyIdentity
    from originet.system.json_files import read_json

    made_with = _made_again(read_json(run / "config.json", StudyIdentity).get("compute", {}))
    if kind == "ablation":
        from originet.paper.ablation import read_ablation
        from originet.paper.ablation_report import write_ablation_report

        write_ablation_report(run / NAME, read_ablation(run), made_with)
    else:
        from originet.paper.comparison import read_comparison
        from originet.paper.comparison_report import write_comparison_report

        write_comparison_report(run / NAME, read_comparison(run), made_with)
    console.print(f"Report: {run / NAME}", soft_wrap=True)


def _reproduction_again(run: Path, paths: Sequence[Path] | None, of_a_root: dict[str, Any]) -> None:
    """Runs a finished reproduction again, with all its folds and networks in place."""
    from originet.evaluation.compute import Compute
    from originet.evaluation.executors import Serial
    from originet.evaluation.result_shapes import ReproductionIdentity
    from originet.paper import ablation, comparison, reproduce
    from originet.system.json_files import read_json
    from originet.training.config import Config

    path, compared = run / "config.json", run / "compare"
    identity = read_json(path, ReproductionIdentity)
    device, threads = identity["compute"]["device"], identity["compute"].get("threads")
    try:
        config, executor = Config.from_dict(identity["config"]), Serial(threads=threads)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    own = run / reproduce.CLIPS
    if not paths and not own.is_dir():
        raise InputError(f"the report of {run} needs its clips: give the PATH of the run")
    clips = _clips(paths or [own], config, ablation.methods_of(ablation.ROWS, config), of_a_root)
    found = (compared / "compare.json").is_file()
    made = reproduce.run_reproduction(
        clips,
        config,
        Compute(device, executor),
        out=run,
        rows=comparison.read_comparison(compared).rows if found else None,
        quick=identity["quick"],
    )
    console.print(f"Report: {made.report}", soft_wrap=True)
    if made.failed:
        complain_of(f"{counted(len(made.failed), 'part')} could not be made:", made.failed)
        raise typer.Exit(2)


def _made_again(compute: Mapping[str, Any]) -> dict[str, str]:
    """Returns the run's facts and the version that rewrites its report, which may differ."""
    from originet.system.environment import originet_version

    facts = {name: str(value) for name, value in compute.items()}
    return {**facts, "report rewritten by": f"originet {originet_version()}"}


def _clips(
    paths: Sequence[Path], config: "Config", methods: Sequence[str], of_a_root: dict[str, Any]
) -> "SortedClips":
    """Reads or makes the images of the run's clips, with the run's settings."""
    from originet.cli.inputs import read_clips
    from originet.datasets import store

    stored = any(map(store.is_store, paths))  # of several stores, only some may be cropped
    return read_clips(
        paths,
        methods,
        **of_a_root,
        image_size=config.image_size,
        crop_face=None if stored else config.crop_face,
    ).sort()
