"""`originet image`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from originet.choices import METHODS
from originet.cli.options import DEFAULTS
from originet.console import Rate, complain_of, console, progress_bar, progress_bars, warn, warn_of
from originet.errors import InputError
from originet.words import counted


def image(
    source: Annotated[
        Path,
        typer.Argument(
            help="A video (.mp4, .webm, .gif, ...), a folder of frames, or a folder of clips."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A .png, .npy (float32) or .gif; for a folder of clips a folder."
        ),
    ],
    method: Annotated[
        str | None, typer.Option(help=f"{', '.join(METHODS)}; {DEFAULTS.method} by default.")
    ] = None,
    normalize: Annotated[
        str, typer.Option(help="Map to 0..255: minmax stretches, clip saturates; or none.")
    ] = "minmax",
    all_methods: Annotated[
        bool, typer.Option("--all-methods", help="Draw the active images of all methods.")
    ] = False,
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Draw onset, apex, offset and the active image."),
    ] = False,
    gif: Annotated[
        bool, typer.Option("--gif", help="Animate the clip beside its growing active image.")
    ] = False,
    apex: Annotated[
        int | None,
        typer.Option(help="The apex frame; by default the one least like the onset."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="First frame: a number, or a time as 12.5s or 1:02:03.5.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Last frame, likewise; it is included.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second; a video tells its own times.")
    ] = None,
    crop_face: Annotated[
        bool, typer.Option("--crop-face", help="Cut out the face first, one box for all frames.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Resize frames first, to so many pixels both ways.")
    ] = None,
    color: Annotated[
        bool, typer.Option("--color", help="Keep the colours (a .npy has blue, green, red).")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Clips at a time, of a folder; by default as many as cores.")
    ] = None,
) -> None:
    """Make the active image of a clip, or of each clip in a folder."""
    from originet import render

    flags = {"all-methods": all_methods, "side-by-side": side_by_side, "gif": gif}
    kinds = [kind for kind, chosen in flags.items() if chosen]
    if len(kinds) > 1:
        raise InputError(f"--{kinds[0]} and --{kinds[1]} make two files: choose one")
    if all_methods and method is not None:
        raise InputError(f"--all-methods leaves no choice: omit --method {method}")
    options = render.Options(
        kind=kinds[0] if kinds else "gif" if out.suffix.lower() == ".gif" else "image",
        method=method or DEFAULTS.method,
        normalize=normalize,
        apex=apex,
        start=start,
        end=end,
        fps=fps,
        color=color,
        crop_face=crop_face,
        size=size,
    )
    found = render.find_clips(source)
    clips = found.clips
    if clips == [source]:
        if jobs is not None:
            raise InputError(f"--jobs {jobs} is for a folder of clips, {source} is one clip")
        with progress_bars(Rate("frames")) as bars:
            made = render.render_file(source, out, options, progress_bar(bars, "frames"))
        console.print(escape(f"{out}: {made.summary}"), soft_wrap=True)
        for line in made.warnings:
            warn(f"{source} {line}")
        warn_of("not taken:", found.skipped)
        return
    workers = os.cpu_count() or 1 if jobs is None else jobs
    files = render.plan_files(source, clips, out, options)
    with progress_bars(Rate("clips")) as bars:
        failed, odd = render.render_files(files, options, workers, progress_bar(bars, "clips"))
    done = f"{out}: {len(files) - len(failed)} of {counted(len(files), 'clip')}"
    console.print(escape(done), soft_wrap=True)
    warn_of("not taken:", found.skipped)
    told = {str(clip): "; ".join(lines) for clip, lines in odd.items()}
    verb = "is" if len(odd) == 1 else "are"
    warn_of(f"{len(odd)} of {counted(len(files), 'clip')} {verb} odd:", told)
    if failed:
        named = {str(clip): reason for clip, reason in failed.items()}
        complain_of(f"{len(failed)} of {counted(len(files), 'clip')} failed:", named)
        raise typer.Exit(2)
