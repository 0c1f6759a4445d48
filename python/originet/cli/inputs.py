"""Clips and their active images, from stores or a data set's root, for the commands that train."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet import datasets
from originet.cli.console import errors, progress_bar, progress_bars, warn_of
from originet.cli.options import DEFAULTS
from originet.clips.channels import joined
from originet.datasets import prepare, store, under_root
from originet.datasets.clip_list import Clip, ClipList, clips_of, read_clip_list, restrict
from originet.datasets.tasks import MEGC_2019_SETS
from originet.evaluation.splits import SortedClips, check_table, sort_clips
from originet.system.channels import input_channels, sources_of
from originet.system.errors import InputError
from originet.system.words import counted
from originet.training.config import Config
from originet.training.networks.entry import Network


class Clips(NamedTuple):
    """The clips to train on, and how their images were made.

    Attributes:
        table: the clips [N].
        images: [N, S, S] uint8 by method, or with channels [N, S, S, C] uint8 or float32, in the
            table's order.
        image_size: S, in pixels.
        crop_face: whether frames were cropped to faces.
        face_by: how those were found, see `originet.datasets.prepare.Settings`.
        cuts: how each clip's frames were cropped and resized, [N].
        listed: the list that selected the clips; None for all clips.
    """

    table: datasets.ClipTable
    images: dict[str, NDArray[Any]]
    image_size: int
    crop_face: bool
    face_by: str
    cuts: list[prepare.Settings]
    listed: ClipList | None = None

    def configure(self, config: Config) -> Config:
        """Returns settings completed with the properties of the clips."""
        return dataclasses.replace(
            config,
            image_size=self.image_size,
            crop_face=self.crop_face,
            face_by=self.face_by,
            clips_file_sha256=None if self.listed is None else self.listed.sha256,
        )

    def sort(self) -> SortedClips:
        """Returns the clips, their images and cuts in the order in which folds take them."""
        return sort_clips(self.table, self.images, self.image_size, self.cuts)


def read_clips(
    paths: Sequence[Path],
    methods: Sequence[str],
    *,
    dataset: str | None,
    annotations: Path | None,
    frames: Path | None,
    task: str | None,
    sheet: str | None = None,
    clips: Path | None = None,
    micro_only: bool = False,
    set_name: str | None = None,
    image_size: int | None,
    crop_face: bool | None,
    opens_frames: bool = False,
    leave_out: str = "subject",
) -> Clips:
    """Reads stores, or reads a data set's root and makes its images.

    With task `megc2019` and no data set, the sets of that challenge are looked for under all paths
    and evaluated together.

    Args:
        paths: stores; or one root; or, for `megc2019`, one or several.
        methods: the active-image methods that are needed, or channels, see
            `originet.system.channels`.
        dataset: the data set in a root; None means a folder of clips.
        annotations: a root's annotations.
        frames: a root's frames.
        task: how a root's emotions become classes.
        sheet: the sheet of a root's workbook.
        clips: a file that lists the clips to use; None means all clips.
        micro_only: leave out a root's macro-expressions.
        set_name: name of a data set of the user's own clips.
        image_size: size in pixels; None means that of the stores, or the default.
        crop_face: crop to faces; None means what the stores have, or what a root needs.
        opens_frames: whether the command opens the clips' frames even if a store has their images;
            then the frames that exist must be those that the store was made from.
        leave_out: what will be left out, "subject" or "dataset".

    Returns:
        The clips, ready for that evaluation.

    Raises:
        InputError: if they cannot be evaluated that way, a store lacks a method or has other
            settings, options of a root are given with stores or with several roots, a listed clip
            is missing, a path has none of the challenge's sets, or a clip cannot be read.
    """
    of_a_root = {"dataset": dataset, "annotations": annotations, "frames": frames, "task": task}
    of_a_root |= {"sheet": sheet, "name": set_name}
    listed = None if clips is None else read_clip_list(clips)
    sources = tuple(dict.fromkeys(source for method in methods for source in sources_of(method)))
    if any(map(store.is_store, paths)):
        given = [f"--{name} {value}" for name, value in of_a_root.items() if value is not None]
        for option in (*given, *(["--micro-only"] if micro_only else [])):
            raise InputError(f"{option} is for a data set's root, not for a store")
        stores = _read_stores(paths, sources, image_size, crop_face)
        if opens_frames:
            for each in stores:
                store.check_frames(each)
        stored = store.combine_stores(stores)
        cuts = [
            prepare.Settings(**each.manifest["settings"])
            for each in stores
            for _ in each.table.index
        ]
        made = Clips(
            stored.table,
            _with_joined(stored.images, methods),
            stored.image_size,
            stored.crop_face,
            stored.face_by,
            cuts,
        )
        made = made if listed is None else _restrict(made, listed, stores)
        check_table(made.table, leave_out)
        return made
    if task == "megc2019" and dataset is None:
        given = [f"--{name}" for name, value in of_a_root.items() if value not in (None, task)]
        for option in (*given, *(["--micro-only"] if micro_only else [])):
            raise InputError(f"{option} is for one data set: choose it with --dataset")
        surveys = _survey_challenge(paths, listed)
    elif len(paths) > 1:
        raise InputError(
            f"several paths must all be stores, but {paths[0]} is not (only --task megc2019 takes "
            "several data sets' roots)"
        )
    else:
        found = datasets.survey(
            dataset or "folder",
            paths[0],
            annotations=annotations,
            sheet=sheet,
            frames=frames,
            task=task,
            micro_only=micro_only,
            clips=listed,
            set_name=set_name,
        )
        surveys = [found]
    made = _make_images(surveys, sources, image_size, crop_face, listed, leave_out)
    return made._replace(images=_with_joined(made.images, methods))


def _with_joined(
    images: dict[str, NDArray[Any]], methods: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Adds those of methods that name several sources."""
    several = [method for method in methods if method not in images]
    return images | {method: joined(images, sources_of(method)) for method in several}


def read_clips_for(
    network: Network, paths: Sequence[Path], methods: Sequence[str], **asked: Any
) -> Clips:
    """Reads clips as `read_clips` does, for a network.

    Args:
        network: the network; if it takes one image size only, a root's images are made in it unless
            another is asked for.
        paths: as of `read_clips`.
        methods: as of `read_clips`.
        asked: the other arguments of `read_clips`.

    Returns:
        The clips.

    Raises:
        InputError: as `read_clips`, or if the network does not take the size that is asked for.
    """
    if asked["image_size"] is None and not any(map(store.is_store, paths)):
        asked["image_size"] = network.image_size
    if asked["image_size"] is not None:
        for method in methods:
            network.check(input_channels(method), asked["image_size"])
    return read_clips(paths, methods, **asked)


def _survey_challenge(paths: Sequence[Path], listed: ClipList | None) -> list[datasets.Survey]:
    """Finds the sets of MEGC 2019 under some folders, each under one of them."""
    found: dict[str, datasets.Survey] = {}
    reasons: dict[str, str] = {}
    for path in paths:
        here = under_root.look_under(path, MEGC_2019_SETS, "megc2019")
        reasons |= here.unusable
        if not here.found:
            why = "".join(f"; {reason}" for reason in here.unusable.values())
            raise InputError(
                f"none of {', '.join(MEGC_2019_SETS)} has usable clips under {path}{why}"
            )
        for each in here.found:
            if each.dataset in found:
                both = f"{found[each.dataset].frames} and {each.frames}"
                raise InputError(f"{each.dataset} is given twice: {both}")
            found[each.dataset] = each if listed is None else restrict(each, listed)
    for name in MEGC_2019_SETS:
        if name not in found:
            note = f"the composite of megc2019 has no {name}: {reasons.get(name, 'none was given')}"
            errors.print(note, soft_wrap=True, highlight=False)
    return list(found.values())


def _make_images(
    surveys: Sequence[datasets.Survey],
    methods: Sequence[str],
    image_size: int | None,
    crop_face: bool | None,
    listed: ClipList | None,
    leave_out: str,
) -> Clips:
    """Makes the images of one or several data sets; each is cropped to faces if it needs it."""
    for found in surveys:
        if listed is not None:
            there = {(clip.subject, clip.clip) for clip in clips_of(found.table)}
            lacking = [e for e in found.unusable if (e.subject, e.clip) not in there]
            _refuse_missing(listed, {f"{e.subject}/{e.clip}": e.reason for e in lacking})
        datasets.check_usable(found)
        if found.unusable:
            count = counted(len(found.unusable) + len(found.table), "clip")
            count = f"{len(found.unusable)} of {count}"
            count += f" of {found.dataset}" if len(surveys) > 1 else ""
            errors.print(f"{count} cannot be used: `originet check` says why", highlight=False)
        warn_of("skipped:", found.skipped)
    tables = [found.table for found in surveys]
    table = tables[0] if len(tables) == 1 else datasets.combine(tables)
    if listed is not None:
        _report_unused(listed, {*table["dataset"], *(found.dataset for found in surveys)})
    check_table(table, leave_out)  # first, since making images may take minutes
    parts: list[dict[str, NDArray[Any]]] = []
    cuts: list[prepare.Settings] = []
    for found in surveys:
        settings = prepare.Settings(
            tuple(methods),
            DEFAULTS.image_size if image_size is None else image_size,
            not found.cropped if crop_face is None else crop_face,
        )
        with progress_bars() as bars:
            images = prepare.images_by_method(
                found.table, settings, progress=progress_bar(bars, "active images")
            )
        flat = prepare.flat_images(found.table, images)
        clips_made = counted(len(found.table), "clip")
        warn_of(f"flat active images in {len(flat)} of {clips_made}:", flat)
        parts.append(images)
        cuts += [settings] * len(found.table)
    together = parts[0]
    if len(parts) > 1:
        together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    crops = any(settings.crop_face for settings in cuts)
    return Clips(table, together, cuts[0].image_size, crops, cuts[0].face_by, cuts, listed)


def _restrict(clips: Clips, listed: ClipList, stores: Sequence[store.Store]) -> Clips:
    """Selects the clips of a list; each must exist."""
    known = clips_of(clips.table)
    reasons = dict(omission for each in stores for omission in _omissions(each.manifest))
    for clip in known:
        reasons.pop(clip, None)
    match = listed.match([*known, *reasons])
    there, missing = match.places, {}
    for place in [place for place in there if place >= len(known)]:
        clip = [*reasons][place - len(known)]
        missing[str(clip)] = reasons[clip]
    sets = " or ".join(sorted({clip.dataset for clip in known}))
    missing |= {str(clip): f"there is no such clip in {sets}" for clip in match.missing.values()}
    _refuse_missing(listed, missing)
    _report_unused(listed, {clip.dataset for clip in known})
    return clips._replace(
        table=clips.table.iloc[there].reset_index(drop=True),
        images={method: pixels[there] for method, pixels in clips.images.items()},
        cuts=[clips.cuts[place] for place in there],
        listed=listed,
    )


def _omissions(manifest: dict[str, Any]) -> Iterator[tuple[Clip, str]]:
    """Yields the clips that a store does not contain, with the reasons."""
    for entry in (*manifest["unusable"], *manifest["left_out"], *manifest["failed"]):
        yield Clip(manifest["dataset"], entry["subject"], entry["clip"]), entry["reason"]


def _refuse_missing(listed: ClipList, missing: dict[str, str]) -> None:
    """Refuses an incomplete list; `missing` holds the reason for each missing clip."""
    for clip, reason in missing.items():
        lacking = f"{len(missing)} of {counted(len(listed.clips), 'clip')} in {listed.path}"
        raise InputError(f"{lacking} cannot be used; the first is {clip}: {reason}")


def _report_unused(listed: ClipList, here: set[str]) -> None:
    """Prints which clips of a list belong to other data sets."""
    if others := listed.besides(here):
        note = f"{listed.path} also lists {others}, not used in this run"
        errors.print(note, soft_wrap=True, highlight=False)


def _read_stores(
    paths: Sequence[Path], methods: Sequence[str], image_size: int | None, crop_face: bool | None
) -> list[store.Store]:
    """Reads stores; options that were given must agree with the stores' settings."""
    stores = [store.read_store(path) for path in paths]
    for path, each in zip(paths, stores, strict=True):
        if missing := [method for method in methods if method not in each.images]:
            raise InputError(
                f"{path} has no images by {', '.join(missing)}, only by {', '.join(each.images)}: "
                f"run its `originet prepare` with --method {' --method '.join(missing)}"
            )
        for option, value in (("image_size", image_size), ("crop_face", crop_face)):
            there = each.manifest["settings"][option]
            if value not in (None, there):
                raise InputError(f"{option} is {there} in {path}, but {value} was requested")
    return stores
