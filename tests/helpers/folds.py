"""Small sets that networks learn in no time, and runs over them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from originet.evaluation.loso import run_loso
from originet.evaluation.result import LosoResult
from originet.evaluation.splits import SortedClips, sort_clips
from originet.training.config import Config

SIZE = 16
CLASSES = ("left", "right")
QUICK = Config(
    epochs=5, batch_size=8, learning_rate=0.01, rotations=(0,), equalize=False, image_size=SIZE
)

SHORT = Config.from_dict(QUICK.to_dict() | {"epochs": 2, "seeds": [3, 1]})

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nAnd more.")
HELP = "; a smaller batch_size or fewer folds at a time may help"  # told with it


def tiny(num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, num_classes),
    )


def with_dropout(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Dropout(0.2), tiny(num_classes))


def worker_model(path: Path, harm: Callable[[int], None]) -> Callable[[int], nn.Module]:
    """A factory that calls `harm` in other processes, with the number of its call there."""
    here = os.getpid()

    def model(num_classes: int) -> nn.Module:
        if os.getpid() != here:
            with path.open("ab", buffering=0) as file:
                file.write(b"x")
                call = (
                    file.tell()
                )  # the end of the byte that was just appended: no call has another's
            harm(call)
        return tiny(num_classes)

    return model


def small_set(subjects: int = 4, clips: int = 6) -> tuple[pd.DataFrame, np.ndarray]:
    """Subjects whose clips show a bright left or right half in noise."""
    rng = np.random.default_rng(0)
    rows, images = [], []
    for subject in range(subjects):
        for clip in range(clips):
            side = clip % 2
            image = rng.integers(0, 120, (SIZE, SIZE))
            image[:, side * SIZE // 2 : (side + 1) * SIZE // 2] += 80
            images.append(image.astype(np.uint8))
            name = {"subject": f"s{subject:02d}", "clip": f"c{clip}", "label": CLASSES[side]}
            rows.append({"dataset": "folder", **name})
    return pd.DataFrame(rows), np.stack(images)


def composite_set(clips: int = 2) -> tuple[pd.DataFrame, np.ndarray]:
    """Clips of 2 subjects in each of two sets, in mixed order; subjects have the same names."""
    table, images = small_set(4, clips)
    table["dataset"] = np.where(table["subject"] < "s02", "samm", "casme2")
    table["subject"] = table["subject"].replace({"s02": "s00", "s03": "s01"})
    order = np.random.default_rng(1).permutation(len(table))
    return table.iloc[order].reset_index(drop=True), images[order]


def sorted_clips(
    table: pd.DataFrame, images: np.ndarray | dict[str, np.ndarray], **more: Any
) -> SortedClips:
    """Sorts clips with images by method cumulative, or by the methods that are given."""
    by_method = images if isinstance(images, dict) else {"cumulative": images}
    (size,) = {pixels.shape[-1] for pixels in by_method.values()}
    return sort_clips(table, by_method, size, **more)


def run(table: pd.DataFrame, images: np.ndarray, **arguments: Any) -> LosoResult:
    arguments = {"model": tiny, "config": QUICK, "device": "cpu", **arguments}
    return run_loso(table, images=images, **arguments)


def without_time(result: LosoResult) -> dict[str, Any]:
    values = result.to_json()
    del values["seconds"]
    values["folds"] = [{k: v for k, v in f.items() if k != "seconds"} for f in values["folds"]]
    return values


def contents(out: Path) -> dict[str, bytes]:
    """The bytes of every file of a run, by name, times taken out, and without the report."""
    files = {}
    paths = (path for path in out.rglob("*") if path.is_file() and path.suffix != ".html")
    for path in sorted(paths):
        lines = path.read_bytes().splitlines(keepends=True)
        if path.suffix == ".json":
            lines = [line for line in lines if b'"seconds": ' not in line]
        files[str(path.relative_to(out))] = b"".join(lines)
    return files


def raising(error: BaseException) -> Callable[[nn.Module], None]:
    """Makes a network raise, wherever it runs: other processes cannot import test files."""

    def end(*_: object) -> None:
        raise error

    return lambda network: network.register_forward_pre_hook(end)
