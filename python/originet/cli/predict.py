"""`originet predict`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from originet.cli.console import Rate, complain_of, progress_bar, progress_bars, warn_of
from originet.cli.options import Camera, Device, MaxPixels, OwnNetwork, Seconds, is_live, way_of
from originet.system.choices import FACES
from originet.system.errors import InputError
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.deploy.answers import Answer
    from originet.deploy.model import Model


def predict_command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a model made by `originet train`.")
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="VIDEO",
            help="Videos, folders of frames, folders of clips; or - for a video from a pipe. Each "
            "clip should show one expression.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A .csv or .json file; by default CSV is printed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of CSV.")] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Clips read in parallel; by default one per core.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of folders, and of videos with wrong time stamps."),
    ] = None,
    camera: Camera = None,
    seconds: Seconds = None,
    face: Annotated[
        str | None,
        typer.Option(
            help=f"How faces are cut out: {', '.join(FACES)}; by default, and only, as the model's "
            "training clips were."
        ),
    ] = None,
    own_network: OwnNetwork = None,
    device: Device = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Recognise expressions in clips with a trained model.

    "no face" is an answer: the row has a note and no class.
    """
    from originet.clips import render
    from originet.deploy import answers
    from originet.deploy.model_files import load_model
    from originet.system.device import pick_device

    paths = sources or []
    live = is_live(paths, camera, seconds)
    if out is not None and out.suffix.lower() not in answers.SUFFIXES:
        raise InputError(f"{out} must end in {' or '.join(answers.SUFFIXES)}")
    if out is not None and as_json:
        raise InputError(f"--json is for what is printed; {out} names its format")
    for name, value in (("jobs", jobs), ("fps", fps)):
        if live and value is not None:
            raise InputError(f"--{name} {value:g} is for files; a stream is one clip")
    network = load_model(model, network=own_network)
    _check_face(model, network, face)
    network.to(pick_device(device))
    skipped: dict[str, str] = {}
    if live:
        found = [_of_stream(network, camera, seconds)]
    else:
        clips = render.find_all(paths)
        skipped = clips.skipped
        with progress_bars(Rate("clips")) as bars:
            found = answers.answer_all(
                network,
                clips.clips,
                fps=fps,
                jobs=os.cpu_count() or 1 if jobs is None else jobs,
                progress=progress_bar(bars, "clips"),
            )
    if out is not None:
        answers.write(out, network, found)
    else:
        typer.echo(answers.text(".json" if as_json else ".csv", network, found), nl=False)
    warn_of("skipped:", skipped)
    failed = {answer.clip: answer.failed for answer in found if answer.failed is not None}
    if failed:
        complain_of(f"{len(failed)} of {counted(len(found), 'clip')} failed:", failed)
        raise typer.Exit(2)


def _check_face(path: Path, network: "Model", face: str | None) -> None:
    """Refuses faces that are cut out in another way than those of the training clips."""
    crop, face_by = way_of(face, None)
    wanted = network.settings
    if crop is None or (crop, face_by) == (wanted.crop_face, wanted.face_by):
        return
    there = wanted.face_by if wanted.crop_face else "none"
    raise InputError(f"{path} was trained with --face {there}: it cannot take --face {face}")


def _of_stream(network: "Model", camera: int | None, seconds: float | None) -> "Answer":
    from originet.clips import live
    from originet.deploy import answers

    with live.until_interrupted() as stopped, progress_bars(Rate("frames")):
        return answers.answer_stream(network, live.Stream(camera, seconds, stopped))
