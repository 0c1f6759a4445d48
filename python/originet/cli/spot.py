"""`originet spot`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from originet.cli.console import (
    Rate,
    complain,
    complain_of,
    console,
    progress_bar,
    progress_bars,
    warn_of,
)
from originet.cli.options import Camera, Device, MaxPixels, OwnNetwork, Seconds, is_live
from originet.system.errors import InputError, is_foreseen, one_line
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.spotting.intervals import Interval
    from originet.spotting.spot_files import Plan, Report


def spot_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="VIDEO",
            help="Videos, folders of videos, folders of frames; or - for a video from a pipe.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a model made by `originet train`, to name expressions."),
    ] = None,
    face: Annotated[
        str, typer.Option(help="How faces are followed: viola-jones or landmarks.")
    ] = "viola-jones",
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of folders, and of videos with wrong time stamps."),
    ] = None,
    video: Annotated[
        bool | None,
        typer.Option(
            "--video/--no-video",
            help="Write an annotated video; by default of videos up to 2 minutes.",
        ),
    ] = None,
    camera: Camera = None,
    seconds: Seconds = None,
    own_network: OwnNetwork = None,
    device: Device = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Find brief movements of faces in videos of any length.

    What moved and when is measured, what it means is not: this is no lie detector.
    """
    from originet.clips import render
    from originet.deploy.model_files import load_model
    from originet.spotting.spot_files import Plan
    from originet.spotting.trackers import open_tracker
    from originet.system.device import pick_device

    paths = sources or []
    live = is_live(paths, camera, seconds)
    if live and fps is not None:
        raise InputError(f"--fps {fps:g} is for files; a stream has its own times")
    if live and video:
        raise InputError("--video is for files; a stream is gone when it has been spotted")
    open_tracker(face)  # refuses what is not there before anything is written
    network = None
    if model is not None:
        network = load_model(model, network=own_network).to(pick_device(device))
    name = "" if model is None else str(model.resolve())
    plan = Plan(network, name, face, fps, video=video)
    if live:
        _spot_stream(camera, seconds, out, plan)
        return
    clips = render.find_all(paths)
    _spot_each(clips.clips, out, plan)
    warn_of("skipped:", clips.skipped)


def _spot_each(clips: list[Path], out: Path, plan: "Plan") -> None:
    from originet.spotting.spot_files import folders_of, spot_file
    from originet.spotting.tables import write_intervals
    from originet.system.lock import held

    failed: dict[str, str] = {}
    with held(out):
        found = []
        for clip, folder in folders_of(clips, out).items():
            try:
                with progress_bars(Rate("frames")) as bars:
                    report = spot_file(clip, folder, plan, progress=progress_bar(bars, clip.name))
            except Exception as error:
                if not is_foreseen(error):
                    raise
                failed[str(clip)] = one_line(error)
                continue
            found.append((str(clip), report.intervals))
            _print(report)
            if report.ended:
                failed[str(clip)] = f"{report.ended}; {folder} has what was found until there"
        if found:
            write_intervals(out / "intervals.csv", found)
    if failed and len(clips) == 1:
        complain(*failed.values())
        raise typer.Exit(2)
    if failed:
        complain_of(f"{len(failed)} of {counted(len(clips), 'video')} failed:", failed)
        raise typer.Exit(2)


def _spot_stream(camera: int | None, seconds: float | None, out: Path, plan: "Plan") -> None:
    from originet.clips import live
    from originet.spotting.spot_files import spot_live
    from originet.spotting.streams import timed_frames

    with live.until_interrupted() as stopped, progress_bars(Rate("frames")) as bars:
        stream = live.Stream(camera, seconds, stopped)
        frames, fps = timed_frames(live.iter_stream(stream))
        report = spot_live(
            frames,
            fps,
            stream.name,
            out,
            plan,
            tell=_tell,
            progress=progress_bar(bars, "frames (Ctrl-C ends)"),
        )
    _print(report)


def _tell(interval: "Interval") -> None:
    from originet.spotting.subtitles import caption

    times = f"{interval.onset_seconds:.2f} to {interval.offset_seconds:.2f} s"
    console.print(f"{times}: {caption(interval)}", soft_wrap=True, highlight=False)


def _print(report: "Report") -> None:
    kinds = Counter(each.note or f"{each.kind}-movement" for each in report.intervals)
    found = ", ".join(counted(number, kind) for kind, number in sorted(kinds.items()))
    if report.faces == 0:
        found = "no face in any frame"
    console.print(
        f"{report.folder}: {counted(report.frames, 'frame')}, {found or 'no movements'}",
        soft_wrap=True,
        highlight=False,
    )
