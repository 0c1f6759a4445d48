"""`originet report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from originet.cli import options
from originet.console import console
from originet.errors import InputError
from originet.words import counted

if TYPE_CHECKING:
    from originet.result import LosoResult
    from originet.saved_results import ClipImages


def report_command(
    run: Annotated[Path, typer.Argument(help="Folder of the results of `originet loso`.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="What the run was given, stores or a data set's root, for the pictures.",
        ),
    ] = None,
    dataset: options.Dataset = None,
    annotations: options.Annotations = None,
    sheet: options.Sheet = None,
    frames: options.Frames = None,
    task: options.Task = None,
    clips: options.ClipsFile = None,
    micro_only: options.MicroOnly = False,
    set_name: options.SetName = None,
    logs: Annotated[
        Path | None,
        typer.Option(
            "--tensorboard",
            help="Write the folds' curves there, for TensorBoard, and no report.",
        ),
    ] = None,
) -> None:
    """Write the report of a finished run again, or TensorBoard logs."""
    from originet import report, tensorboard, timing
    from originet.saved_results import read_results

    result = read_results(run)
    if logs is not None:
        if paths:
            raise InputError(f"--tensorboard draws no pictures: leave {paths[0]} out")
        count = tensorboard.write_logs(result, logs)
        console.print(
            escape(f"{counted(count, 'fold')}: tensorboard --logdir {logs}"), soft_wrap=True
        )
        return
    images = None
    if paths:
        named = {"dataset": dataset, "annotations": annotations, "frames": frames, "task": task}
        chosen = {"sheet": sheet, "clips": clips, "micro_only": micro_only, "set_name": set_name}
        images = _images(result, paths, {**named, **chosen})
    # The run may have used other versions than those at hand: what it recorded, and no more.
    made_with = {
        **{name: str(value) for name, value in result.compute.items()},
        "report made again by": f"originet {timing.originet_version()}",
    }
    path = run / report.NAME
    report.write_loso_report(path, result, made_with, images)
    left_out = "" if paths else ", without pictures of clips: they need the run's PATH"
    console.print(escape(f"Report: {path}{left_out}"), soft_wrap=True)


def _images(
    result: "LosoResult",
    paths: list[Path],
    chosen: dict[str, Any],
) -> "ClipImages":
    """Reads or makes the images of the run's clips, with the settings of the run."""
    from originet import store
    from originet.cli.clips import read_clips
    from originet.saved_results import clip_images

    config = result.config
    stored = any(map(store.is_store, paths))  # of several, some may have had their faces cut out
    clips = read_clips(
        paths,
        [config.method],
        **chosen,
        image_size=config.image_size,
        crop_face=None if stored else config.crop_face,
    )
    return clip_images(result, clips.table, clips.images[config.method])
