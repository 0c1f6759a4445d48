"""`originet image`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from originet.cli.console import (
    Rate,
    complain_of,
    console,
    progress_bar,
    progress_bars,
    warn,
    warn_of,
)
from originet.cli.options import DEFAULTS, Camera, Face, MaxPixels, Seconds, is_live, way_of
from originet.system.choices import METHODS
from originet.system.errors import InputError
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.clips.render import Found, Options, Report


def image_command(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="A .png, .npy (float32), .gif, .mp4 or .webm file; for several clips, a folder.",
        ),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Videos (.mp4, .webm, .gif, ...), folders of frames, folders of clips; or - "
            "for a video from a pipe.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help=f"{', '.join(METHODS)}; {DEFAULTS.method} by default.")
    ] = None,
    normalize: Annotated[
        str, typer.Option(help="Mapping to 0..255: minmax stretches, clip saturates; or none.")
    ] = "minmax",
    all_methods: Annotated[
        bool, typer.Option("--all-methods", help="Draw the active images of all methods.")
    ] = False,
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Draw onset, apex, offset and the active image."),
    ] = False,
    gif: Annotated[
        bool, typer.Option("--gif", help="Animate the clip next to its growing active image.")
    ] = False,
    speed: Annotated[
        float, typer.Option(help="Speed of an animation; 0.25 is four times slower.")
    ] = 1.0,
    apex: Annotated[
        int | None,
        typer.Option(help="Number of the apex frame; by default the frame least like the onset."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="First frame: a number, or a time such as 12.5s or 1:02:03.5."),
    ] = None,
    end: Annotated[str | None, typer.Option(help="Last frame, likewise; inclusive.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second; a video has its own time stamps.")
    ] = None,
    crop_face: Annotated[
        bool, typer.Option("--crop-face", help="Crop to the face first, one box for all frames.")
    ] = False,
    face: Face = None,
    align_eyes: Annotated[
        bool, typer.Option("--align-eyes", help="Rotate all frames so that the eyes are level.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Resize frames first, to this height and width in pixels.")
    ] = None,
    max_pixels: MaxPixels = None,
    color: Annotated[
        bool, typer.Option("--color", help="Keep colours (a .npy has blue, green, red).")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(help="Clips of a folder made in parallel; by default one per core."),
    ] = None,
    camera: Camera = None,
    seconds: Seconds = None,
) -> None:
    """Make the active images of one or more clips."""
    from originet.clips import render
    from originet.clips.face_models import check_models

    flags = {"all-methods": all_methods, "side-by-side": side_by_side, "gif": gif}
    kinds = [kind for kind, chosen in flags.items() if chosen]
    if len(kinds) > 1:
        raise InputError(f"--{kinds[0]} and --{kinds[1]} make two files: choose one")
    if all_methods and method is not None:
        raise InputError(f"--all-methods includes every method: omit --method {method}")
    crop, face_by = way_of(face, crop_face or None)
    if face_by == "landmarks":
        check_models()
    animated = out.suffix.lower() in render.KINDS["gif"]
    options = render.Options(
        kind=kinds[0] if kinds else "gif" if animated else "image",
        method=method or DEFAULTS.method,
        normalize=normalize,
        apex=apex,
        speed=speed,
        start=start,
        end=end,
        fps=fps,
        color=color,
        crop_face=bool(crop),
        align_eyes=align_eyes,
        size=size,
        face_by=face_by,
    )
    paths = sources or []
    if is_live(paths, camera, seconds):
        if jobs is not None:
            raise InputError(f"--jobs {jobs} is for several clips; a stream is one clip")
        _image_of_stream(camera, seconds, out, options)
        return
    found = render.find_all(paths)
    if found.clips != paths or len(paths) > 1:
        _image_of_each(paths, found, out, options, os.cpu_count() or 1 if jobs is None else jobs)
        return
    if jobs is not None:
        raise InputError(f"--jobs {jobs} is for a folder of clips; {paths[0]} is one clip")
    with progress_bars(Rate("frames")) as bars:
        made = render.render_file(paths[0], out, options, progress_bar(bars, "frames"))
    _print_report(out, made, str(paths[0]))
    warn_of("skipped:", found.skipped)


def _image_of_stream(
    camera: int | None, seconds: float | None, out: Path, options: "Options"
) -> None:
    from originet.clips import live, render

    with live.until_interrupted() as stopped, progress_bars(Rate("frames")) as bars:
        stream = live.Stream(camera, seconds, stopped)
        made = render.render_stream(
            stream, out, options, progress_bar(bars, "frames (Ctrl-C ends)")
        )
    _print_report(out, made, stream.name)


def _image_of_each(
    paths: list[Path], found: "Found", out: Path, options: "Options", jobs: int
) -> None:
    from originet.clips import render

    files = render.plan_files(paths, found.clips, out, options)
    with progress_bars(Rate("clips")) as bars:
        failed, odd = render.render_files(files, options, jobs, progress_bar(bars, "clips"))
    done = f"{out}: {len(files) - len(failed)} of {counted(len(files), 'clip')}"
    console.print(done, soft_wrap=True)
    warn_of("skipped:", found.skipped)
    oddities = {str(clip): "; ".join(lines) for clip, lines in odd.items()}
    warn_of(f"check {len(odd)} of {counted(len(files), 'clip')}:", oddities)
    if failed:
        named = {str(clip): reason for clip, reason in failed.items()}
        complain_of(f"{len(failed)} of {counted(len(files), 'clip')} failed:", named)
        raise typer.Exit(2)


def _print_report(out: Path, made: "Report", name: str) -> None:
    console.print(f"{out}: {made.summary}", soft_wrap=True)
    for line in made.warnings:
        warn(f"{name} {line}")
