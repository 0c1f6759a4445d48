"""The readers that are given damaged files, and the sound files that are damaged for them."""

import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from clips import random_frames, write_folder, write_video
from mutations import (
    mutate_bytes,
    mutate_csv,
    mutate_json_file,
    mutate_tensors,
    mutate_xlsx,
)

Mutate = Callable[[bytes, Random], bytes]


class Target(NamedTuple):
    """A reader, and where it finds what.

    Attributes:
        path: the damaged file; beside it is whatever else the reader needs.
        read: reads it, given its path, and uses what was read.
        sound: contents that it reads.
        mutate: damages one of them.
    """

    path: Path
    read: Callable[[Path], object]
    sound: Sequence[bytes]
    mutate: Mutate


def results(folder: Path) -> Target:
    """results.json of `originet loso`, and what its report is made of."""
    from folds import run

    from originet.evaluation.report import predictions
    from originet.evaluation.result import read_results

    run(*_composite(), config=_brief(), out=folder, keep_weights=False)

    def read(path: Path) -> None:
        result = read_results(path.parent)
        json.dumps([result.to_json(), len(predictions(result))], allow_nan=False)

    path = folder / "results.json"
    return Target(path, read, [path.read_bytes()], mutate_json_file)


def fold(folder: Path) -> Target:
    """A finished fold of a run."""
    from folds import run

    from originet.evaluation.run_files import read_fold

    run(*_composite(), config=_brief(), out=folder, keep_weights=False)
    path = min((folder / "folds").glob("*.json"))
    expected = {"seed": 0, "index": 0, "subject": json.loads(path.read_bytes())["subject"]}

    def read(path: Path) -> object:
        return read_fold(path, expected, classes=2, epochs=1, with_weights=True)

    return Target(path, read, [path.read_bytes()], mutate_json_file)


def ablation(folder: Path) -> Target:
    """ablation.json, with the results of its rows."""
    from folds import sorted_clips

    from originet.evaluation.compute import Compute
    from originet.paper.ablation import read_ablation, rows_named, run_ablation

    run_ablation(
        *(sorted_clips(*_composite()), _brief(), Compute("cpu", keep_weights=False)),
        rows=rows_named(["LR", "OrigiNet"]),
        out=folder,
    )

    def read(path: Path) -> object:
        return read_ablation(path.parent)

    path = folder / "ablation.json"
    return Target(path, read, [path.read_bytes()], mutate_json_file)


def comparison(folder: Path) -> Target:
    """compare.json, with the results of its row."""
    from folds import sorted_clips

    from originet.evaluation.compute import Compute
    from originet.paper.comparison import read_comparison, run_comparison

    run_comparison(
        *(sorted_clips(*_composite()), _brief(), Compute("cpu", keep_weights=False)),
        rows=["OrigiNet"],
        out=folder,
    )

    def read(path: Path) -> object:
        return read_comparison(path.parent)

    path = folder / "compare.json"
    return Target(path, read, [path.read_bytes()], mutate_json_file)


def manifest(folder: Path) -> Target:
    """manifest.json of a store."""
    return _of_store(folder, "manifest.json", mutate_json_file)


def clips(folder: Path) -> Target:
    """clips.csv of a store."""
    return _of_store(folder, "clips.csv", mutate_csv)


def images(folder: Path) -> Target:
    """images.safetensors of a store."""
    return _of_store(folder, "images.safetensors", mutate_tensors)


def weights(folder: Path) -> Target:
    """The weights of a fold."""
    from torch import nn

    from originet.training.weights import load_fold_weights, to_safetensors

    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    def read(path: Path) -> None:
        load_fold_weights(path, model)

    return Target(folder / "weights.safetensors", read, [to_safetensors(model)], mutate_tensors)


def dataset(folder: Path) -> Target:
    """dataset.json of `originet synth`."""
    from originet.datasets.folder import read_manifest

    values = {"generator": "originet.synth", "name": "semi-synthetic", "fps": 100.0, "seed": 0}

    def read(path: Path) -> object:
        return read_manifest(path.parent)

    sound = json.dumps(values).encode()
    return Target(folder / "dataset.json", read, [sound], mutate_json_file)


def annotations(folder: Path) -> Target:
    """A CSV file that tells the clips of a folder."""
    from originet.datasets import survey

    write_folder(folder / "a", random_frames(5, (8, 8)))
    write_video(folder / "b.avi", random_frames(5, (16, 16)))
    sound = [
        b"path,subject,emotion,onset,apex,offset,fps\na,s1,sad,1,2,4,25\nb.avi,s2,happy,,,,\n",
        b'path,subject,emotion,onset,offset,au\na,01,"sad",0.04s,0.1s,4+12\n',
    ]

    def read(path: Path) -> object:
        return survey("folder", path.parent, annotations=path)

    return Target(folder / "clips.csv", read, sound, mutate_csv)


def clip_list(folder: Path) -> Target:
    """The file of `--clips`."""
    from originet.datasets.clip_list import read_clip_list

    def read(path: Path) -> object:
        return read_clip_list(path).sha256

    sound = b"dataset,subject,clip\ncasme2,1,EP01\ncasme2,02,EP02_01f\nsamm,006,006_1_2\n"
    return Target(folder / "list.csv", read, [sound], mutate_csv)


def xlsx(folder: Path) -> Target:
    """A workbook of CASME II, and its clips."""
    return _of_casme2(folder, ".xlsx", mutate_xlsx)


def xls(folder: Path) -> Target:
    """The same in the format of Excel 97."""
    return _of_casme2(folder, ".xls", mutate_bytes)


def pictures(folder: Path) -> Target:
    """Single frames: PNG, JPEG and BMP, told by their content."""
    import cv2

    from originet.clips.still import read_image

    frame = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    sound = [cv2.imencode(suffix, frame)[1].tobytes() for suffix in (".png", ".jpg", ".bmp")]
    return Target(folder / "frame.png", read_image, sound, mutate_bytes)


def videos(folder: Path) -> Target:
    """Videos that FFmpeg reads, told by their content."""
    import cv2
    from PIL import Image

    from originet.clips.frames import iter_frames

    frames = np.random.default_rng(0).integers(0, 256, (6, 24, 32, 3), np.uint8)
    sound = []
    for name, codec in (
        ("a.avi", "MJPG"),
        ("b.mp4", "mp4v"),
        ("c.mkv", "mp4v"),
        ("d.webm", "VP80"),
    ):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*codec), 25, (32, 24))
        for frame in frames:
            writer.write(frame)
        writer.release()
        sound.append((folder / name).read_bytes())
    sound.append(_animation([Image.fromarray(frame) for frame in frames], "GIF"))

    def read(path: Path) -> None:
        for _ in iter_frames(str(path)):
            pass

    return Target(folder / "video.mp4", read, sound, mutate_bytes)


def animations(folder: Path) -> Target:
    """Animated pictures that Pillow reads."""
    from PIL import Image

    from originet.clips.frames import iter_frames

    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)

    def read(path: Path) -> None:
        for _ in iter_frames(str(path)):
            pass

    sound = [_animation([Image.fromarray(frame) for frame in frames], "WEBP")]
    return Target(folder / "animation.webp", read, sound, mutate_bytes)


def timings(folder: Path) -> Target:
    """The CSV file of `originet bench`."""
    from originet.system.timings import read_csv

    committed = sorted((Path(__file__).parents[2] / "bench" / "results").glob("*.csv"))
    sound = [b"\n".join(path.read_bytes().splitlines()[:4]) + b"\n" for path in committed]
    return Target(folder / "bench.csv", read_csv, sound, mutate_csv)


TARGETS = {
    each.__name__: each
    for each in (
        *(results, fold, ablation, comparison, manifest, clips, images, weights, dataset),
        *(annotations, clip_list),
        *(xlsx, xls, pictures, videos, animations, timings),
    )
}
"""By name; each makes its files in a folder."""


def _composite() -> tuple:
    from folds import small_set

    table, images = small_set(4, clips=2)
    table["dataset"] = np.where(table["subject"] < "s02", "samm", "casme2")
    return table, images


def _brief() -> object:
    from folds import QUICK

    return dataclasses.replace(QUICK, epochs=1)


def _of_store(folder: Path, name: str, mutate: Mutate) -> Target:
    from stores import make, write_tree

    from originet.datasets.store import read_store

    make(write_tree(folder / "tree", subjects=1), folder / "store")
    path = folder / "store" / name

    def read(path: Path) -> object:
        return read_store(path.parent)

    return Target(path, read, [path.read_bytes()], mutate)


def _of_casme2(folder: Path, suffix: str, mutate: Mutate) -> Target:
    from trees_casme2 import write_casme2

    from originet.datasets import survey

    path = write_casme2(folder / "tree", workbook=f"CASME2-coding{suffix}")

    def read(path: Path) -> object:
        return survey("casme2", path.parent, annotations=path)

    return Target(path, read, [path.read_bytes()], mutate)


def _animation(frames: list, format: str) -> bytes:
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:], duration=40)
    return file.getvalue()
