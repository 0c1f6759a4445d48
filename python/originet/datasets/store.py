"""Stores: a data set's active images and flows, made once, with a record of how they were made.

A store is a folder; `originet.datasets.store_files` describes its content. A run that ends early,
for whatever reason, leaves the clips that it finished; the same command resumes there. The same
clips and settings give the same bytes: a store does not record when, in how many attempts or with
how many threads it was made.
"""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from originet.clips import pictures
from originet.clips.channels import check_sources
from originet.datasets import ClipTable, Survey, check_usable, clip_list_hash, combine, store_files
from originet.datasets.channel_pictures import picture_of
from originet.datasets.prepare import (
    Made,
    Settings,
    dtype_of,
    estimated_apexes,
    flat_images,
    image_shape,
    prepare_clips,
)
from originet.datasets.store_files import FORMAT, GENERATOR, IMAGES, MANIFEST, TABLE
from originet.datasets.table import format_table, read_table, relative_frames
from originet.system import renamed, tensor_files
from originet.system.channels import FLOW, MADE_BY_APEX
from originet.system.choices import FACES, FLOWS, SOURCES
from originet.system.errors import InputError
from originet.system.files import safe_name, sha256, writing
from originet.system.lock import held
from originet.system.tensor_files import read_arrays
from originet.system.words import counted
from originet_ext import build_info

Image = NDArray[Any]
"""[S, S] uint8 or, of a flow, [S, S, 3] float32, for one clip or several."""
Progress = Callable[[int, int], None]


_KEPT = "finished clips are kept for the next run"


@dataclass(frozen=True)
class Store:
    """Active images and their clips.

    Attributes:
        table: the clips [N]; their frames may no longer exist.
        images: [N, S, S] uint8 by method, or for flows [N, S, S, 3] float32, in the table's order,
            read-only.
        manifest: the content of `manifest.json`; a composite has one for each of its parts, under
            `stores`.
    """

    table: ClipTable
    images: dict[str, Image]
    manifest: dict[str, Any]

    def __post_init__(self) -> None:
        """Makes the images read-only, since the manifest holds their hashes."""
        for pixels in self.images.values():
            pixels.setflags(write=False)

    @property
    def image_size(self) -> int:
        """Height and width of the images, in pixels."""
        return int(next(iter(self.images.values())).shape[1])

    @property
    def crop_face(self) -> bool:
        """Whether faces were cropped; for a composite, whether they were in any of its stores."""
        manifests = self.manifest.get("stores", [self.manifest])
        return any(manifest["settings"]["crop_face"] for manifest in manifests)

    @property
    def face_by(self) -> str:
        """How the faces were found that were cropped; see `originet.datasets.prepare.Settings`."""
        return next(iter(_ways([self])), FACES[0])


def _ways(stores: Sequence[Store]) -> set[str]:
    """Returns how faces were found, where they were cropped."""
    parts = [part for each in stores for part in each.manifest.get("stores", [each.manifest])]
    settings = [part["settings"] for part in parts]
    return {each.get("face_by", FACES[0]) for each in settings if each["crop_face"]}


def is_store(folder: str | Path) -> bool:
    """Returns whether a folder is a store, finished or not."""
    try:
        return store_files.find_manifest(Path(folder)) is not None
    except InputError:  # a manifest.json of another program
        return False


def read_store(folder: str | Path) -> Store:
    """Reads a finished store; none of its files is trusted.

    Raises:
        InputError: if there is no store, or it is unfinished, of another format or damaged; the
            message names the file.
    """
    folder = Path(folder)
    manifest = store_files.read_manifest(folder)
    table = read_table(folder / TABLE, Path(manifest["root"]))
    if not len(table):
        raise InputError(f"{folder / TABLE} has no clips")
    images = _read_images(folder / IMAGES, manifest, len(table))
    hashes = {method: _hash(pixels) for method, pixels in images.items()}
    for name, there in (
        (IMAGES, hashes == manifest["images_sha256"]),
        (TABLE, clip_list_hash(table) == manifest["clip_list_sha256"]),
        (TABLE, len(table) == len(manifest["fingerprints"])),
    ):
        if not there:
            raise InputError(f"{folder / name} is not the file that {MANIFEST} describes")
    images, hashes = renamed.by_method(images), renamed.by_method(hashes)
    return Store(table, images, {**manifest, "methods": list(images), "images_sha256": hashes})


def _read_images(path: Path, manifest: store_files.Manifest, clips: int) -> dict[str, Image]:
    """Reads the clips' images by each method, of the manifest's size."""
    size, methods = manifest["settings"]["image_size"], manifest["methods"]
    expected = clips * store_files.byte_count(methods, size)
    dtypes = {dtype_of(method) for method in methods}
    tensors = read_arrays(path, *dtypes, most=min(expected, tensor_files.MOST))
    for method in methods:
        wanted, dtype = (clips, *image_shape(method, size)), dtype_of(method)
        found = tensors[method].shape if method in tensors else "none"
        if found != wanted:
            raise InputError(f"{path}: {method} must be {[*wanted]} pixels, got {found}")
        if tensors[method].dtype != dtype:
            raise InputError(f"{path}: {method} must be {dtype}, got {tensors[method].dtype}")
        if dtype == np.float32 and not np.isfinite(tensors[method]).all():
            raise InputError(f"{path}: {method} holds values that are not finite")
    return {method: tensors[method] for method in methods}


def check_frames(store: Store) -> None:
    """Checks, before frames are opened, that a store was made from them.

    A store refers to its frames by path, so a store from somebody else could present the reader's
    own pictures as its clips. Missing frames are not reported here; opening them fails later.

    Args:
        store: a store that was read; not a composite.

    Raises:
        InputError: if files of a clip exist, but their names or sizes do not match the manifest's
            fingerprint; the message names the clip.
    """
    root, recorded = Path(store.manifest["root"]), store.manifest["fingerprints"]
    found = _fingerprints(store.table, root)
    for row, here, there in zip(store.table.to_dict("records"), found, recorded, strict=True):
        if here != there and any(map(os.path.lexists, row["frames"])):
            raise InputError(
                f"the frames of {row['subject']}/{row['clip']} in {store.manifest['root']} are not "
                f"the ones that the store of {store.manifest['dataset']} was made from: their "
                "names or sizes differ; run its `originet prepare` again"
            )


def combine_stores(stores: Sequence[Store]) -> Store:
    """Joins stores into a composite of their data sets, in the given order.

    Returns:
        One store, with the methods that all of them have. `run_loso` keeps subjects apart by data
        set.

    Raises:
        InputError: if there is no store, their tasks or image sizes differ, faces were found in
            different ways, they have no method in common, or two contain a data set of the same
            name.
    """
    table = combine(store.table for store in stores)
    if len(stores) == 1:
        return stores[0]
    names = [store.manifest["dataset"] for store in stores]

    def by_name(values: Sequence[object]) -> str:
        return ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))

    tasks = [store.manifest["task"] for store in stores]
    sizes = [store.image_size for store in stores]
    for what, values in (("tasks", tasks), ("image sizes", sizes)):
        if len(set(values)) > 1:
            raise InputError(f"stores with different {what} cannot be combined ({by_name(values)})")
    if len(_ways(stores)) > 1:
        ways = [each.face_by for each in stores]
        raise InputError(
            f"stores whose faces were found differently cannot be combined ({by_name(ways)})"
        )
    common = [m for m in stores[0].images if all(m in store.images for store in stores)]
    if not common:
        methods = [" ".join(store.images) for store in stores]
        raise InputError(f"stores without a common method cannot be combined ({by_name(methods)})")
    return Store(
        table,
        {method: np.concatenate([store.images[method] for store in stores]) for method in common},
        {
            "dataset": "+".join(names),
            "task": tasks[0],
            "methods": common,
            "stores": [store.manifest for store in stores],
        },
    )


def write_store(
    found: Survey,
    out: str | Path,
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Store:
    """Makes the active images of a data set and writes a store, or resumes an earlier run.

    Images that the folder already has are kept: those of an earlier run with the same arguments
    that was interrupted or had failed clips, and those of methods that are not requested this time.
    A clip that cannot be read is left out, and listed in the manifest under "failed".

    Args:
        found: the data set.
        out: the folder; a new one, an empty one, or a store made with the same arguments.
        settings: how each clip is prepared.
        jobs: how many clips are prepared at a time.
        progress: called as progress(done, total) after each clip.

    Returns:
        The store, as it was written.

    Raises:
        InputError: if no clip can be used, a flow cannot be computed here, the images would exceed
            the size limit of a store, or the folder is not empty, lies among the frames, is another
            command's store, is in use by another run, cannot be written, or is deleted during the
            run.
    """
    out, root = Path(out), found.frames.absolute()
    check_usable(found)
    check_sources(settings.methods, settings.image_size)
    # Where folders name the classes, a store among them would look like a class.
    if found.annotations is None and out.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{out} is inside {found.frames}, among the clips: write elsewhere")
    _check_size(len(found.table), settings.methods, settings.image_size)
    with held(out):
        return _write(found, out, settings, jobs, progress)


def _write(
    found: Survey, out: Path, settings: Settings, jobs: int, progress: Progress | None
) -> Store:
    identity = _identity(found, settings)
    root = found.frames.absolute()
    with writing(out, _KEPT):
        store_files.open_directory(out, identity)
    fingerprints = _fingerprints(found.table, root)
    made, there = _take_over(out, fingerprints, settings.image_size)
    methods = tuple(m for m in SOURCES if m in there or m in settings.methods)
    _check_size(len(found.table), methods, settings.image_size)

    def keep(place: int) -> None:
        with writing(out, _KEPT):
            store_files.write_part(out, fingerprints[place], made[place])

    chosen = dataclasses.replace(settings, methods=methods)
    failed = _make(found.table, chosen, made, keep, jobs, progress)
    places = [place for place in range(len(made)) if place not in failed]
    if not places:
        with writing(out, _KEPT):
            store_files.end_run(out)  # nothing to resume: other settings may use the folder
        raise InputError(
            f"none of {counted(len(made), 'clip')} could be read, for example {failed[0]}"
        )

    images = {method: np.stack([made[place][method] for place in places]) for method in methods}
    prints = [fingerprints[place] for place in places]
    files = _lay_out(found, identity, images, failed, prints)
    with writing(out, _KEPT):
        if not all(store_files.holds(out / name, data) for name, data in files.items()):
            for place in places:  # also clips from the old store, which is about to be replaced
                keep(place)
            store_files.put_in_place(out, files)
        store_files.end_run(out)
    return read_store(out)


def _lay_out(
    found: Survey,
    identity: store_files.Identity,
    images: dict[str, Image],
    failed: dict[int, str],
    fingerprints: list[str],
) -> dict[str, bytes]:
    """Returns a store's files by name; failed clips have no image and no fingerprint."""
    root = found.frames.absolute()
    table = found.table.drop(index=found.table.index[list(failed)]).reset_index(drop=True)
    sheets = _draw_sheets(table, images)
    flows = {method: list(FLOW) for method in images if method in FLOWS}
    by_apex = any(method in MADE_BY_APEX for method in images)
    manifest = {
        **identity,
        "methods": list(images),
        **({"channels": flows} if flows else {}),
        **({"estimated_apexes": _names(table, estimated_apexes(table))} if by_apex else {}),
        "root": str(root),
        "annotations_sha256": found.annotations and sha256(found.annotations),
        "clips_file_sha256": found.clips_file_sha256,
        "classes": dict(sorted(Counter(table["label"]).items())),
        "clip_list_sha256": clip_list_hash(table),
        "images_sha256": {method: _hash(pixels) for method, pixels in images.items()},
        "contact_sheets": list(sheets),
        "failed": [
            {key: found.table[key].iloc[place] for key in ("dataset", "subject", "clip")}
            | {"reason": failed[place]}
            for place in sorted(failed)
        ],
        "flat": flat_images(table, images),
        **found.account(),
        "fingerprints": fingerprints,
    }
    return {
        IMAGES: safetensors.numpy.save(images),
        TABLE: format_table(table, root),
        **sheets,
        MANIFEST: json.dumps(manifest, indent=1).encode(),
    }


def _names(table: ClipTable, places: list[int]) -> list[str]:
    """Returns "subject/clip" of some clips."""
    rows = table.iloc[places][["subject", "clip"]].itertuples(index=False, name=None)
    return ["/".join(map(str, row)) for row in rows]


def _check_size(clips: int, methods: Sequence[str], size: int) -> None:
    """Refuses, before the work starts, a store that would be too large to read back."""
    expected = clips * store_files.byte_count(methods, size)
    if expected > tensor_files.MOST:
        raise InputError(
            f"{counted(len(methods), 'image')} of {counted(clips, 'clip')}, {size} pixels a side, "
            f"would take {expected:,} bytes; a store can have at most {tensor_files.MOST:,}"
        )


def _identity(found: Survey, settings: Settings) -> store_files.Identity:
    """Returns what a run must share with an earlier one to resume it."""
    chosen = dataclasses.asdict(settings)
    del chosen["methods"]  # later runs may add some
    return {
        "generator": GENERATOR,
        "format": FORMAT,
        "dataset": found.dataset,
        "task": found.task,
        "cropped": found.cropped,
        "annotations": None if found.annotations is None else found.annotations.name,
        "settings": chosen,
        "versions": {
            "originet": build_info()["version"],
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }


def _fingerprints(table: ClipTable, root: Path) -> list[str]:
    """Hashes what identifies a clip without reading it: names, range, paths and file sizes."""
    columns = ["dataset", "subject", "clip", "onset", "offset", "frames"]
    prints = []
    for *names, frames in table[columns].itertuples(index=False, name=None):
        sizes = list(map(_file_size, frames))
        text = json.dumps([list(map(str, names)), relative_frames(frames, root), sizes])
        prints.append(hashlib.sha256(text.encode()).hexdigest())
    return prints


def _file_size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # reading the clip will report why
        return -1


def _take_over(
    out: Path, fingerprints: Sequence[str], size: int
) -> tuple[list[dict[str, Image]], Sequence[str]]:
    """Returns each clip's existing images, and the methods of a finished store."""
    rows, images = {}, {}
    if (out / MANIFEST).is_file():
        store = read_store(out)
        rows = {name: row for row, name in enumerate(store.manifest["fingerprints"])}
        images = store.images
    made = []
    for name in fingerprints:
        ready = {m: pixels[rows[name]] for m, pixels in images.items()} if name in rows else {}
        made.append(ready | store_files.read_part(out, name, size))
    return made, tuple(images)


def _make(
    table: ClipTable,
    settings: Settings,
    made: list[dict[str, Image]],
    keep: Callable[[int], None],
    jobs: int,
    progress: Progress | None,
) -> dict[int, str]:
    """Adds the missing images to `made`, all methods of a clip in one pass.

    Returns:
        The reason for each clip that failed, by the clip's index.
    """
    lacking: dict[tuple[str, ...], list[int]] = {}
    for place, ready in enumerate(made):
        methods = tuple(method for method in settings.methods if method not in ready)
        lacking.setdefault(methods, []).append(place)
    finished = len(lacking.pop((), []))
    if progress is not None and finished:
        progress(finished, len(made))
    failed: dict[int, str] = {}

    def done(
        methods: tuple[str, ...], places: list[int], position: int, result: Made | InputError
    ) -> None:
        place = places[position]
        if isinstance(result, InputError):
            failed[place] = str(result)
        else:
            made[place] |= dict(zip(methods, result, strict=True))
            keep(place)

    for methods, places in lacking.items():
        prepare_clips(
            table.iloc[places],
            dataclasses.replace(settings, methods=methods),
            jobs=jobs,
            progress=_shifted(progress, finished, len(made)),
            done=partial(done, methods, places),
        )
        finished += len(places)
    return failed


def _draw_sheets(table: ClipTable, images: dict[str, Image]) -> dict[str, bytes]:
    """Draws the contact sheets; returns PNGs by file name."""
    sheets: dict[str, bytes] = {}
    for label in sorted(set(table["label"])):
        rows = np.flatnonzero(table["label"] == label)
        subjects, clips = table["subject"].iloc[rows], table["clip"].iloc[rows]
        for method, pixels in images.items():
            stem = safe_name(label) + (f"-{method}" if len(images) > 1 else "")
            name, copies = f"{stem}.png", 1
            while name in sheets:  # two classes may have the same safe name
                copies += 1
                name = f"{stem}-{copies}.png"
            shown = [picture_of(image, method) for image in pixels[rows]]
            if method in FLOWS:
                shown = [image[..., ::-1] for image in shown]  # to blue, green, red
            panels = list(map(pictures.Panel, subjects, clips, shown))
            sheets[name] = pictures.png(pictures.contact_sheet(panels))
    return sheets


def _hash(pixels: Image) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).reshape(-1).data).hexdigest()


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Reports the progress on some of the clips as part of the progress on all."""
    return progress and (lambda more, _: progress(done + more, total))
