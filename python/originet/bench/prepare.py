"""Active images of clips on disk, compared with OpenCV that only decodes the same files.

The tree is as large as CASME II's raw one: 256 clips of 40 to 140 JPEG files of 640 x 480. It has
only a few different pictures, shared by hard links, so disk access does not affect the times.
"""

import functools
import tempfile
import tracemalloc
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from originet.clips.clip import open_clip
from originet.datasets import load_dataset
from originet.datasets.prepare import Settings, prepare_clips
from originet.datasets.table import ClipTable
from originet.system.clock import Case, Job, check_close
from originet.system.errors import InputError
from originet.system.opencv import one_thread
from originet_ext import reference

# How each clip is prepared, by the variant's name.
PREPARE_VARIANTS = {
    "frames": Settings(),
    "faces": Settings(crop_face=True),
    "ablation": Settings(("cumulative", "absolute", "rank"), crop_face=True),
}
Provider = Callable[[ClipTable, Settings], object]

# Ellipses of a drawn face, each darker or lighter than those below: centre, half axes, grey level.
_PARTS = (
    (0.50, 0.42, 0.40, 0.46, 45),  # hair
    (0.50, 0.53, 0.34, 0.44, 185),  # skin
    *((x, 0.44, 0.10, 0.055, 120) for x in (0.36, 0.64)),  # sockets
    *((x, 0.45, 0.055, 0.03, 40) for x in (0.36, 0.64)),  # eyes
    *((x, 0.36, 0.10, 0.02, 70) for x in (0.36, 0.64)),  # brows
    (0.50, 0.62, 0.06, 0.02, 130),  # below the nose
    (0.50, 0.50, 0.025, 0.10, 205),  # bridge of the nose
    (0.50, 0.76, 0.12, 0.03, 95),  # mouth
)

_CLIPS, _CLIPS_PART, _CLIPS_QUICK = 256, 64, 8
_LENGTH = (40, 140)  # frames in a clip
_SHAPE = (480, 640)
_RECORDINGS = 2  # of the maximum length; every clip is the start of one
_FACE = 240  # pixels from hair to chin: half of a frame's height, as in CASME II


def prepare_providers() -> dict[str, Provider]:
    """Return the ways to process a table of clips, by name.

    Both distribute the clips over as many threads as torch has. "opencv" reads each frame in grey
    with `cv2.imread`, discards it and checks nothing.
    """
    return {"fused": _prepared, "opencv": _decode}


def prepare_case(
    clips: int = _CLIPS,
    *,
    variant: str = "faces",
    providers: Mapping[str, Provider] | None = None,
) -> Case:
    """Write a tree of clips and prepare to read it, checked against the reference on one clip.

    The case's shape is clips x frames x height x width. Its memory is the peak taken by the
    fused provider, of Python's objects and NumPy's arrays.

    Args:
        clips: How many clips the tree has.
        variant: One of `PREPARE_VARIANTS`.
        providers: Functions of the table and the settings by name; default `prepare_providers()`.

    Raises:
        InputError: Unknown variant.
        RuntimeError: A provider's image is wrong.
    """
    if variant not in PREPARE_VARIANTS:
        raise InputError(f"variant must be one of {', '.join(PREPARE_VARIANTS)}, got {variant!r}")
    settings = PREPARE_VARIANTS[variant]
    functions = prepare_providers() if providers is None else providers
    folder = tempfile.TemporaryDirectory(prefix="originet-bench-")
    table = write_tree(Path(folder.name), clips)
    for name, function in functions.items():
        result = function(table.iloc[:1], settings)
        if isinstance(result, np.ndarray):
            expected = _reference(table.frames.iloc[0], settings)
            actual = torch.from_numpy(result[0])
            check_close(f"prepare {variant!r}", name, actual, expected, 1.0)  # rounded to uint8
    calls = {
        name: functools.partial(function, table, settings) for name, function in functions.items()
    }
    case = Case(
        f"prepare_{variant}",
        "forward",
        torch.device("cpu"),
        torch.uint8,
        (clips, sum(map(len, table.frames)), *_SHAPE),
        "jpeg",
        0,
        calls,
        {"fused": _peak(table.iloc[:_CLIPS_QUICK], settings)},
    )
    weakref.finalize(case, folder.cleanup)
    return case


def prepare_jobs(*, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: faces in a small tree and in the whole one, all variants in a medium one.

    Args:
        threads: Numbers of CPU threads; only the largest is used, since a call takes half a minute.
        quick: Only the small tree.
    """
    cases = [(_CLIPS_QUICK, "faces"), *((_CLIPS_PART, variant) for variant in PREPARE_VARIANTS)]
    cases.append((_CLIPS, "faces"))
    return [
        Job(functools.partial(prepare_case, clips, variant=variant), max(threads), budget=0.0)
        for clips, variant in (cases[:1] if quick else cases)
    ]


def write_tree(root: Path, clips: int) -> ClipTable:
    """Write clips of a slightly moving face, as JPEG files like a camera's.

    Args:
        root: An empty folder.
        clips: Number of clips.

    Returns:
        Their table.
    """
    rng = np.random.default_rng(0)
    recordings = [_write_recording(root / f"recording{index}", rng) for index in range(_RECORDINGS)]
    for index in range(clips):
        folder = root / "tree" / "others" / "sub01" / f"clip{index:03}"
        folder.mkdir(parents=True)
        length = int(rng.integers(_LENGTH[0], _LENGTH[1] + 1))
        for source in recordings[index % _RECORDINGS][:length]:
            (folder / source.name).hardlink_to(source)
    return load_dataset("folder", root / "tree")


def draw_face(size: int) -> NDArray[np.uint8]:
    """Draw a head that the face cascade detects: [size, size] uint8 grey."""
    picture = np.full((size, size), 90, np.float32)
    for x, y, width, height, grey in _PARTS:
        mask = np.zeros_like(picture)
        middle, axes = (
            (round(across * size), round(down * size)) for across, down in ((x, y), (width, height))
        )
        cv2.ellipse(mask, middle, axes, 0, 0, 360, 1, -1)
        picture += cv2.GaussianBlur(mask, (0, 0), 0.012 * size) * (grey - picture)
    return picture.round().astype(np.uint8)


def _write_recording(folder: Path, rng: np.random.Generator) -> list[Path]:
    """Write the frames of a face that drifts by a few pixels, with a camera's noise."""
    folder.mkdir()
    height, width = _SHAPE
    scene = np.full(_SHAPE, 90, np.uint8)
    x, y = (int(rng.integers(20, side - _FACE - 20)) for side in (width, height))
    scene[y : y + _FACE, x : x + _FACE] = draw_face(_FACE)
    noise = rng.normal(0.0, 3.0, (2 * height, 2 * width)).astype(np.float32)
    paths = []
    for number in range(1, _LENGTH[1] + 1):
        shift = np.array([[1, 0, 2 * np.sin(number / 20)], [0, 1, number / 50]])
        frame = cv2.warpAffine(scene, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        left, top = rng.integers(0, (width, height))
        frame = (frame + noise[top : top + height, left : left + width]).clip(0, 255)
        color = np.stack([0.8 * frame, 0.9 * frame, frame], axis=-1).astype(np.uint8)
        paths.append(folder / f"img{number}.jpg")
        cv2.imwrite(str(paths[-1]), color)
    return paths


def _prepared(table: ClipTable, settings: Settings) -> NDArray[np.uint8]:
    """Return the images, [N, M, S, S]."""
    prepared = prepare_clips(table, settings, jobs=torch.get_num_threads())
    if prepared.failed:
        raise RuntimeError(f"a benchmark clip cannot be read: {prepared.failed}")
    return np.stack([*prepared.images.values()], axis=1)


def _decode(table: ClipTable, settings: Settings) -> None:
    """Decode every frame and discard it: the work that no reader of these files can avoid."""

    def read(frames: Sequence[str]) -> None:
        for path in frames:
            cv2.imread(path, cv2.IMREAD_GRAYSCALE)

    with one_thread, ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(read, table.frames))


def _reference(frames: Sequence[str], settings: Settings) -> torch.Tensor:
    """Return the reference images of one clip, [M, S, S], from all frames at once."""
    clip = open_clip(frames, crop_face=settings.crop_face, size=settings.image_size)
    pixels = torch.from_numpy(np.stack([frame.pixels for frame in clip.cut_all(clip.timed())]))
    return torch.stack(
        [reference.active_image(pixels, None, method, "minmax") for method in settings.methods]
    )


def _peak(table: ClipTable, settings: Settings) -> int:
    """Return the peak bytes of Python's and NumPy's memory while a table is prepared."""
    tracemalloc.start()
    _prepared(table, settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
