"""`originet prepare`."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from originet.cli.console import Rate, complain_of, console, progress_bar, progress_bars, warn_of
from originet.cli.options import (
    DEFAULTS,
    Annotations,
    ClipsFile,
    CropFace,
    Face,
    Frames,
    Jobs,
    MaxPixels,
    MicroOnly,
    Name,
    Root,
    SetName,
    Sheet,
    Task,
    way_of,
)
from originet.system.choices import SOURCES
from originet.system.errors import InputError
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.datasets.store import Store


def prepare_command(
    name: Name,
    root: Root,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The store: a new folder, or one to resume.")
    ],
    annotations: Annotations = None,
    sheet: Sheet = None,
    frames: Frames = None,
    task: Task = None,
    clips: ClipsFile = None,
    micro_only: MicroOnly = False,
    set_name: SetName = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(SOURCES)}; repeatable, {DEFAULTS.method} by default. Flows need the "
            "apex, which is estimated where it is not annotated."
        ),
    ] = None,
    image_size: Annotated[
        int, typer.Option(help="Height and width in pixels.")
    ] = DEFAULTS.image_size,
    crop_face: CropFace = None,
    face: Face = None,
    align_eyes: Annotated[
        bool, typer.Option("--align-eyes", help="Rotate each clip so that the eyes are level.")
    ] = False,
    max_pixels: MaxPixels = None,
    jobs: Jobs = None,
) -> None:
    """Make the active images of a data set, once for all runs.

    An interrupted run resumes where it stopped.
    """
    from originet import datasets
    from originet.clips.face_models import check_models
    from originet.datasets import check, store
    from originet.datasets.prepare import Settings, flat_images

    crop, face_by = way_of(face, crop_face)
    if align_eyes and face_by == "landmarks":
        raise InputError("--align-eyes is implied by --face landmarks: leave it out")
    if face_by == "landmarks":
        check_models()
    found = datasets.survey(
        name,
        root,
        annotations=annotations,
        sheet=sheet,
        frames=frames,
        task=task,
        micro_only=micro_only,
        clips=clips,
        set_name=set_name,
    )
    settings = Settings(
        methods=tuple(each for given in method or [DEFAULTS.method] for each in given.split(",")),
        image_size=image_size,
        crop_face=not found.cropped if crop is None else crop,
        align_eyes=align_eyes,
        face_by=face_by,
    )
    with progress_bars(Rate("clips")) as bars:
        made = store.write_store(
            found,
            out,
            settings,
            jobs=os.cpu_count() or 1 if jobs is None else jobs,
            progress=progress_bar(bars, "clips"),
        )
    counts = check.count_clips(dataclasses.replace(found, table=made.table))
    shown = counts.loc[[row for row in _COUNTED if row in counts.index]]
    lines = [
        *found.remarks,
        *shown.rename_axis(None).to_string().split("\n"),
        f"corrections: {len(found.corrections)}, unusable clips: {len(found.unusable)}, "
        f"left out by the task: {len(found.left_out)} (see {out / store.MANIFEST})",
        *(f"  {e.where} ({e.subject}/{e.clip}): {e.reason}" for e in found.unusable),
        *(f"skipped: {name}: {reason}" for name, reason in found.skipped.items()),
        *_estimates(made),
        f"{out}: {len(made.table)} of {counted(len(found.table), 'clip')}, "
        + ", ".join(m if m in settings.methods else f"{m} (kept)" for m in made.images),
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    flat = flat_images(made.table, made.images)
    clips_made = counted(len(made.table), "clip")
    warn_of(f"flat active images in {len(flat)} of {clips_made}:", flat)
    if failed := made.manifest["failed"]:
        names = ("dataset", "subject", "clip") if "+" in found.dataset else ("subject", "clip")
        reasons = {"/".join(clip[name] for name in names): clip["reason"] for clip in failed}
        complain_of(f"{len(failed)} of {counted(len(found.table), 'clip')} failed:", reasons)
        raise typer.Exit(2)


def _estimates(made: "Store") -> list[str]:
    """Says how many apexes were estimated, if the images depend on them."""
    count = len(made.manifest.get("estimated_apexes", ()))
    of = counted(len(made.table), "clip")
    return [f"apex not annotated, estimated: {count} of {of}"] if count else []


_COUNTED = ("total", "paper", "MEGC 2019", "difference")
