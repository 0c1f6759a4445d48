"""A trained model for other runtimes: a folder with the network, its preprocessing and its costs.

    model.onnx, or model.xml and model.bin, or model.pt2
    preprocessing.json    how a clip becomes the network's input, its classes, and the licences
    comparison.csv        answers and times beside the model's own

Nothing of it refers to OrigiNet's code. The folder appears with all of its files or not at all.
"""

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from originet.clips import faces
from originet.clips.tracking import EYES
from originet.datasets.prepare import Settings
from originet.datasets.store import Store
from originet.deploy import runtimes
from originet.deploy.model import Model
from originet.deploy.rate import SAME
from originet.evaluation.metrics import uar
from originet.system.channels import check_one_image
from originet.system.clock import Case, time_case
from originet.system.csv_cells import guarded
from originet.system.environment import environment, originet_version
from originet.system.errors import InputError
from originet.system.json_files import differences
from originet.system.lock import held
from originet.system.new_folder import check_free, written_beside
from originet.training.model import OrigiNet

GENERATOR = "originet.export"
FORMAT = 1
PREPROCESSING, COMPARISON = "preprocessing.json", "comparison.csv"

BATCHES = (1, 32)
"""How many images at a time are timed."""

_BUDGET = 1.0  # seconds for each of them
_CHUNK = 32  # images at a time while answers are compared
_MADE_UP = 64  # images, where there is no store

# With the frames F_1 .. F_n and FT(t) = F_t - F_(t-1), FT(1) = 0; see docs/active-images.md.
_FORMULAS = {
    "cumulative": "2 * sum over t = 2..n-1 of (F_t - F_1) + (F_n - F_1)",
    "telescoped": "F_n + F_(n-1) - 2 * F_1",
    "authors": "sum over t of w_t * F_t, w_t = max(t - 2, 0) - max(n - 1 - t, 0)",
    "absolute": "sum over t = 2..n of |FT(t-1)| + |FT(t)|, FT(t) = F_t - F_(t-1), FT(1) = 0",
    "rectified": "sum over t = 2..n of max(FT(t-1), 0) + max(FT(t), 0), FT(t) = F_t - F_(t-1), "
    "FT(1) = 0",
    "rank": "sum over t of w_t * F_t, w_t = 2 * (n - t + 1) - (n + 1) * (H_n - H_(t-1)), "
    "H_k = 1 + 1/2 + ... + 1/k",
    "rank-simple": "sum over t of (2 * t - n - 1) * F_t",
    "learnet": "sum over t of w_t * F_t, w_t = sum over k = t..n of (2 * k - n) / k",
}


@dataclass(frozen=True)
class Compared:
    """A network beside the model: a row of comparison.csv."""

    network: str
    """"originet" for the model itself, else runtime and precision."""
    images: int
    """How many were compared."""
    source: str
    """Where these are from: the store's data set, or "made up"."""
    max_difference: float
    """The largest difference between two probabilities."""
    agreement: float
    """Share of the images that get the same class."""
    uar: float | None
    """Unweighted average recall on a store's clips."""
    batch_1_ms: float
    """Median of interleaved rounds."""
    batch_32_ms: float
    steady: bool
    """Whether the rounds agree as they do on a quiet machine."""
    threads: int
    processor: str


class _Clips(NamedTuple):
    source: str
    images: runtimes.Images
    labels: NDArray[np.int64] | None


def export_model(
    model: Model,
    runtime: str,
    out: str | Path,
    *,
    int8: bool = False,
    store: Store | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Compared]:
    """Writes a model's network for another runtime, and compares both.

    Args:
        model: A model on the CPU.
        runtime: One of `originet.system.choices.RUNTIMES`.
        out: A folder that does not exist yet, or an empty one.
        int8: Quantise to 8 bits; not for "aoti". Needs a store, and a model of OrigiNets.
        store: Clips with images as the model takes them: their activations set the ranges of the
            quantisation, and answers are compared on them. None compares on made-up images.
        progress: Called as progress(done, total).

    Returns:
        The model itself, the network in float32 and, if wanted, in int8.

    Raises:
        InputError: If a package is missing, the arguments do not fit each other, the store's clips
            are not of the model's kind, or `out` is not empty or cannot be written.
    """
    runtimes.check_runtime(runtime, int8)
    check_one_image(model.method, "export")
    if int8 and store is None:
        raise InputError("--int8 needs --store: its clips set the ranges of the activations")
    if int8 and not all(isinstance(network, OrigiNet) for network in model.networks):
        name = type(model.networks[0]).__name__
        raise InputError(f"--int8 is for models of OrigiNet, this one is of {name}")
    out = Path(out)
    check_free(out)
    clips = _made_up(model) if store is None else _of_store(model, store)
    steps = _Steps(progress, total=3 + int8)
    with held(out):
        check_free(out)
        networks = _networks(model, runtime, clips.images if int8 else None, steps)
        compared = _compare(model, runtime, networks, clips)
        steps.done()
        files = dict(zip(runtimes.FILES[runtime], [*networks.values()][-1], strict=True))
        files[COMPARISON] = _table(compared)
        files[PREPROCESSING] = _json(model, runtime, int8, files, clips)
    # The lock's file is inside the folder: it goes before the new one comes.
    with written_beside(out) as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    steps.done()
    return compared


class _Steps:
    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def done(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _networks(
    model: Model, runtime: str, calibration: runtimes.Images | None, steps: _Steps
) -> dict[str, tuple[bytes, ...]]:
    """Makes the networks; the last one is to be kept. Returns their files by precision."""
    if runtime == "aoti":
        package = runtimes.to_aoti(model)
        steps.done()
        return {"float32": (package,)}
    plain = {"float32": runtimes.to_onnx(model)}
    steps.done()
    if calibration is not None:
        plain["int8"] = runtimes.quantise(plain["float32"], calibration)
        steps.done()
    if runtime == "openvino":
        return {name: runtimes.to_openvino(file) for name, file in plain.items()}
    return {name: (file,) for name, file in plain.items()}


def _compare(
    model: Model, runtime: str, networks: Mapping[str, tuple[bytes, ...]], clips: _Clips
) -> list[Compared]:
    threads = torch.get_num_threads()
    answers: dict[str, runtimes.Answer] = {"originet": model.probabilities}
    for precision, files in networks.items():
        answers[f"{runtime} {precision}"] = runtimes.load(runtime, files, threads)
    found = {name: _in_chunks(answer, clips.images) for name, answer in answers.items()}
    expected = found["originet"]
    times: dict[str, list[float]] = {name: [] for name in answers}
    steady = dict.fromkeys(answers, True)
    for batch in BATCHES:
        images = np.resize(clips.images, (batch, *clips.images.shape[1:]))
        calls = {name: _call(answer, images) for name, answer in answers.items()}
        shape = tuple(images.shape)
        case = Case(
            "export", "inference", torch.device("cpu"), torch.uint8, shape, "contiguous", 0, calls
        )
        for row in time_case(case, budget=_BUDGET):
            times[row.provider].append(round(row.median_us / 1000, 3))
            steady[row.provider] &= row.reliable
    processor = environment(torch.device("cpu"))["device_name"]
    compared = []
    for name, each in found.items():
        chosen = each.argmax(axis=1)
        score = None if clips.labels is None else round(uar(clips.labels, chosen), 4)
        compared.append(
            Compared(
                network=name,
                images=len(each),
                source=clips.source,
                max_difference=float(f"{np.abs(each - expected).max():.2g}"),
                agreement=round(float((chosen == expected.argmax(axis=1)).mean()), 4),
                uar=score,
                batch_1_ms=times[name][0],
                batch_32_ms=times[name][1],
                steady=steady[name],
                threads=threads,
                processor=processor,
            )
        )
    return compared


def _in_chunks(answer: runtimes.Answer, images: runtimes.Images) -> NDArray[np.float32]:
    starts = range(0, len(images), _CHUNK)
    return np.concatenate([answer(images[at : at + _CHUNK]) for at in starts])


def _call(answer: runtimes.Answer, images: runtimes.Images) -> Callable[[], object]:
    return lambda: answer(images)


def _of_store(model: Model, store: Store) -> _Clips:
    """The clips of a store.

    Raises:
        InputError: If their images were made in another way than the model's, or they have other
            classes.
    """
    there = Settings(**store.manifest["settings"])
    (method,) = model.settings.methods
    if method not in store.images:
        raise InputError(f"--store has no images by {method}, only by {', '.join(store.images)}")
    alike = dataclasses.replace(there, methods=model.settings.methods)
    if told := list(differences(dataclasses.asdict(alike), dataclasses.asdict(model.settings))):
        raise InputError(f"--store was made with other settings: {'; '.join(told)}")
    labels = store.table["label"].astype(str)
    if strange := sorted({*labels} - {*model.classes}):
        raise InputError(
            f"--store has clips of {', '.join(strange)}; the model knows {', '.join(model.classes)}"
        )
    places = np.array([model.classes.index(label) for label in labels], dtype=np.int64)
    return _Clips(str(store.manifest["dataset"]), store.images[method], places)


def _made_up(model: Model) -> _Clips:
    """Blurred noise, stretched as active images are."""
    side = model.settings.image_size
    noise = np.random.default_rng(0).standard_normal((_MADE_UP, side, side))
    images = [cv2.GaussianBlur(each, (0, 0), side / 32) for each in noise]
    stretched = [(each - each.min()) / (each.max() - each.min()) for each in images]
    return _Clips("made up", (255 * np.stack(stretched)).round().astype(np.uint8), None)


def _table(compared: Sequence[Compared]) -> bytes:
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Compared)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in compared:
        writer.writerow({name: guarded(each) for name, each in dataclasses.asdict(row).items()})
    return text.getvalue().encode()


def _json(
    model: Model, runtime: str, int8: bool, files: Mapping[str, bytes], clips: _Clips
) -> bytes:
    side, (method,) = model.settings.image_size, model.settings.methods
    cut = dataclasses.asdict(model.settings)
    del cut["methods"]
    values: dict[str, Any] = {
        "generator": GENERATOR,
        "format": FORMAT,
        "version": originet_version(),
        "torch": str(torch.__version__),
        "runtime": runtime,
        "precision": "int8" if int8 else "float32",
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "classes": list(model.classes),
        "input": {
            "name": runtimes.INPUT,
            "dtype": "uint8",
            "shape": ["batch", side, side],
            "content": "active images, one grey channel; the network itself standardises them",
        },
        "output": {
            "name": runtimes.OUTPUT,
            "dtype": "float32",
            "shape": ["batch", len(model.classes)],
            "content": "the probability of each class, in the order of `classes`",
        },
        "cut": {"method": method, **cut},
        "color": False,
        "fps": model.fps,
        "steps": steps_of(model),
        "calibration": {"dataset": clips.source, "clips": len(clips.images)} if int8 else None,
        "dataset": model.card.get("dataset"),
        "licences": model.card.get("licences", {}),
        "weights_sha256": [each["sha256"] for each in model.card.get("weights", [])],
    }
    return json.dumps(values, indent=1, allow_nan=False).encode()


def steps_of(model: Model) -> list[str]:
    """Describes how a clip becomes the network's input, for those who write it in another language.

    Args:
        model: The model.

    Returns:
        The steps, in their order.
    """
    wanted, (method,) = model.settings, model.settings.methods
    side = wanted.image_size
    steps = ["Decode each frame as 8-bit grey: 0.299 R + 0.587 G + 0.114 B, rounded."]
    if wanted.face_by == "landmarks":
        steps.append(
            "Follow the largest face by MediaPipe's landmarks, as originet.clips.follow "
            f"does, and warp each frame to {side} x {side} by a similarity that keeps the centres "
            f"of the eyes at {EYES[0]} and {EYES[1]} of its sides and takes head motion out."
        )
    elif wanted.crop_face:
        steps.append(
            "Find the largest face in 5 to 16 frames spread over the clip (OpenCV's "
            f"{faces.CASCADE}); take the median of their x, y and size as one box for all frames, "
            f"add {wanted.margin:g} of its size on each side, and move it into the frame."
        )
        if wanted.align_eyes:
            steps.append(
                "Measure the tilt of the line between the eyes in these frames, and rotate all "
                "frames back by its median about the centre of the box."
            )
        steps.append("Crop all frames to the box.")
    if wanted.face_by != "landmarks":
        steps.append(
            f"Resize each frame to {side} x {side}: by area averaging where it shrinks, else "
            "bilinear."
        )
    if model.fps is not None:
        steps.append(
            f"If the clip's rate is known and differs from {model.fps:g} frames per second by more "
            f"than {SAME:.0%}, take for k = 0, 1, ... the frame nearest to k / {model.fps:g} "
            "seconds after the first."
        )
    steps.append(f"With the frames F_1 .. F_n, compute the active image A = {_FORMULAS[method]}.")
    steps.append(
        "Stretch it: 255 * (A - min A) / (max A - min A), rounded half to even; zeros if A is flat."
    )
    return steps
