"""Clips and their active images, from stores or a data set's root, for the commands that train."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet import datasets, loso, prepare, store
from originet.cli.options import DEFAULTS
from originet.console import errors, progress_bar, progress_bars
from originet.errors import InputError
from originet.words import counted


class Clips(NamedTuple):
    """What there is to train on, and how its images were made.

    Attributes:
        table: the clips [N].
        images: [N, S, S] uint8 by method, in the table's order.
        image_size: S, in pixels.
        crop_face: whether faces were cut out.
        cuts: how each clip's frames were cut out and resized, [N].
    """

    table: datasets.ClipTable
    images: dict[str, NDArray[np.uint8]]
    image_size: int
    crop_face: bool
    cuts: list[prepare.Settings]


def read_clips(
    paths: Sequence[Path],
    methods: Sequence[str],
    *,
    dataset: str | None,
    annotations: Path | None,
    frames: Path | None,
    task: str | None,
    image_size: int | None,
    crop_face: bool | None,
) -> Clips:
    """Reads stores, or a data set's root, whose images are then made.

    Args:
        paths: stores, or one root.
        methods: the readings of the active image that are needed.
        dataset: what a root holds; None means a folder of clips.
        annotations: a root's annotations.
        frames: a root's frames.
        task: how a root's emotions become classes.
        image_size: in pixels; None means what stores have, or the default.
        crop_face: cut faces out; None means what stores have, or what a root needs.

    Returns:
        The clips, which can be evaluated by leaving subjects out.

    Raises:
        InputError: if they cannot, a store lacks a method or was made otherwise, options of a root
            are given with stores, or a clip cannot be read.
    """
    of_a_root = {"dataset": dataset, "annotations": annotations, "frames": frames, "task": task}
    if any(map(store.is_store, paths)):
        for option, value in of_a_root.items():
            if value is not None:
                raise InputError(f"--{option} {value} is for a data set's root, not for a store")
        stores = _read_stores(paths, methods, image_size, crop_face)
        stored = store.combine_stores(stores)
        loso.check_table(stored.table)
        cuts = [
            prepare.Settings(**each.manifest["settings"])
            for each in stores
            for _ in each.table.index
        ]
        return Clips(stored.table, stored.images, stored.image_size, stored.crop_face, cuts)
    if len(paths) > 1:
        raise InputError(f"several paths must all be stores, {paths[0]} is none")
    found = datasets.survey(
        dataset or "folder", paths[0], annotations=annotations, frames=frames, task=task
    )
    datasets.check_usable(found)
    if found.unusable:
        clips = (
            f"{len(found.unusable)} of {counted(len(found.unusable) + len(found.table), 'clip')}"
        )
        errors.print(f"{clips} cannot be used: `originet check` tells why", highlight=False)
    loso.check_table(found.table)  # before the minutes that the images may take
    settings = prepare.Settings(
        tuple(methods),
        DEFAULTS.image_size if image_size is None else image_size,
        not found.cropped if crop_face is None else crop_face,
    )
    with progress_bars() as bars:
        images = prepare.images_by_method(
            found.table, settings, progress=progress_bar(bars, "active images")
        )
    cuts = [settings] * len(found.table)
    return Clips(found.table, images, settings.image_size, settings.crop_face, cuts)


def _read_stores(
    paths: Sequence[Path], methods: Sequence[str], image_size: int | None, crop_face: bool | None
) -> list[store.Store]:
    """Reads stores; options that were given must be what they were made with."""
    stores = [store.read_store(path) for path in paths]
    for path, each in zip(paths, stores, strict=True):
        if missing := [method for method in methods if method not in each.images]:
            raise InputError(
                f"{path} has no images by {', '.join(missing)}, but by {', '.join(each.images)}: "
                f"run its `originet prepare` with --method {' --method '.join(missing)}"
            )
        for option, value in (("image_size", image_size), ("crop_face", crop_face)):
            there = each.manifest["settings"][option]
            if value not in (None, there):
                raise InputError(f"{option} is {there} in {path}, {value} was asked for")
    return stores
