"""The demonstration: a real face video, every reading of the active image, the kernels' speed.

It ends with what all of it is for: the network, trained on all clips, looks at the whole video.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from originet import bench
from originet.bench.section import bench_section
from originet.clips import faces
from originet.clips.active_images import phases, sum_up
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.clips.still import Image
from originet.datasets import ClipTable, load_dataset, prepare, synth
from originet.deploy.train_model import train_model
from originet.drawing import figures
from originet.drawing.figures import Figure
from originet.drawing.page import Page
from originet.evaluation.compute import Compute
from originet.evaluation.executors import Processes, Serial
from originet.evaluation.readings import FRAMES, READINGS
from originet.evaluation.report import INTERVAL, loso_section, made_with, made_with_section
from originet.evaluation.result import LosoResult, clip_images
from originet.evaluation.run import Variant
from originet.evaluation.splits import SortedClips, sort_clips
from originet.evaluation.study import run_study
from originet.spotting.spot_files import Plan, Report, spot_file
from originet.system.device import pick_device
from originet.system.errors import InputError
from originet.system.lock import Held, held
from originet.system.timings import Row, write_csv
from originet.system.words import counted, percent, percents
from originet.training.config import Config
from originet.training.networks.table import factory_of
from originet_ext import METHODS, active_image

# Small enough for eight evaluations on two CPU cores within three minutes; `originet loso` has the
# full settings.
CONFIG = Config(
    epochs=6, batch_size=16, rotations=(-15, 0, 15), equalize=False, image_size=64, select="last"
)
SUBJECTS, CLIPS_PER_CLASS = 12, 2
SMILE = "positive"  # the class whose first clip is pictured

# Of the carphone clip: about a second in which the man speaks and hardly turns his head.
CLIP = (1, 24)
SIDE = 160  # of the pictures in the report, in pixels

STAGES = (
    *("active images", "semi-synthetic clips", "training", "kernel timings"),
    *("final network", "spotting"),
)

WHY_TELESCOPED_FAILS = (
    "Read as differences of neighbouring frames, the paper's equations telescope: only the last "
    "two frames less twice the first remain. By then a micro-expression is over and the face is as "
    "neutral as in the first frame, so the image shows what else has changed (head, light, noise) "
    "and nothing of the expression. The methods authors and rank-simple weigh all frames, but late "
    "ones against early ones: rise and fall cancel as far as they are alike."
)


class DemoResult(NamedTuple):
    """Where the report is, and the numbers in it."""

    report: Path
    methods: dict[str, LosoResult]
    """By each of `originet_ext.METHODS`, on the same clips."""
    kernels: list[Row]
    spotted: Path
    """The page of movements in the face video."""

    @property
    def loso(self) -> LosoResult:
        """The evaluation by the default method."""
        return self.methods[CONFIG.method]


def run_demo(
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> DemoResult:
    """Runs the package's main job once, on data that its dependencies bring.

    Args:
        out: a folder for report.html, active_images.png, methods.png, kernels.csv, clips/, loso/,
            model/ and spotted/. What an interrupted run has finished there is kept.
        device: where to compute; None takes the GPU if there is one.
        progress: called as progress(stage, done, total) with the stages of `STAGES`.

    Returns:
        The paths and numbers.

    Raises:
        InputError: scikit-image or scikit-video is missing, or `out` holds another run, is in use
            by one, cannot be written, or is deleted meanwhile.
        OSError: a file cannot be written there; it names the file.
    """
    where = pick_device(device)
    with held(out) as place:
        return _run(place, where, progress)


def _run(
    place: Held, where: torch.device, progress: Callable[[str, int, int], None] | None
) -> DemoResult:
    out = place.folder

    def stage(name: str) -> Callable[[int, int], None]:
        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(name, done, total)

        return report

    grid = figures.active_image_grid(
        carphone_images(progress=stage("active images")), "A face clip as active images"
    )
    figures.save(grid, out / "active_images.png")

    generated = synth.generate_once(
        out / "clips",
        subjects=SUBJECTS,
        clips_per_class=CLIPS_PER_CLASS,
        progress=stage("semi-synthetic clips"),
    )
    table = load_dataset("synthetic", generated)
    stage("semi-synthetic clips")(len(table), len(table))
    pixels = prepare.images_by_method(table, prepare.Settings(METHODS, CONFIG.image_size))
    clips = sort_clips(table, pixels, CONFIG.image_size)
    methods = evaluate_methods(clips, out / "loso", where, stage("training"))
    smile = figures.active_image_grid(smile_images(table), "A smile that comes and goes")
    figures.save(smile, out / "methods.png")

    threads = [torch.get_num_threads()]
    jobs = [
        job
        for subject in ("rrelu", "active-image")
        for job in bench.jobs(subject, where, threads=threads, quick=True)
    ]
    rows = bench.run_jobs(jobs, stage("kernel timings"))
    write_csv(out / "kernels.csv", rows)

    with held(out / "model") as folder:
        model = train_model(
            clips,
            CONFIG,
            folder,
            evaluated=methods[CONFIG.method],
            device=where,
            progress=stage("final network"),
        )
    spotted = spot_file(
        synth.carphone_path(),
        out / "spotted",
        Plan(model, str(folder.folder)),
        progress=lambda done, total: stage("spotting")(done, total or done),
    )

    report = Page("OrigiNet demonstration")
    report.section("Active images of a real face video")
    report.text(
        f"Frames {CLIP[0]} to {CLIP[1]} of the public carphone clip, the face found by the "
        "Viola-Jones detector and cropped with one box for the whole clip, then summed into one "
        "image by each method and stretched to the grey range."
    )
    report.figure(
        grid,
        "First, middle and last frame, and the active image by every method.",
        "Grid of face pictures, one for each active-image method",
    )
    methods_section(report, methods, smile)
    page = spotted.folder / "report.html"
    result = DemoResult(out / "report.html", methods, rows, page)
    loso_section(report, result.loso, clip_images(result.loso, clips))
    spotted_section(report, spotted, page.relative_to(out))
    made_with_section(report, made_with(where))
    x = torch.randn(1 << 16, device=where, requires_grad=True)
    providers = bench.rrelu_providers(("fused", "eager", "silu"))
    bench_section(
        report,
        rows,
        saved={
            name: bench.saved_bytes(functools.partial(psi, x)) / x.nbytes
            for name, psi in providers.items()
        },
    )
    place.check()
    report.write(result.report)
    return result


def evaluate_methods(
    clips: SortedClips,
    out: Path,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> dict[str, LosoResult]:
    """Evaluates every method on the same clips: same network, settings and folds.

    Args:
        clips: the clips, with their active images by every method.
        out: directory of the runs, one a method.
        device: where to compute.
        progress: called as progress(done, total), counted in epochs over all methods.

    Returns:
        The results, by method.

    Raises:
        InputError: `out` holds another run, or a method could not be evaluated.
    """
    done: dict[str, int] = {}

    def add(method: str, epochs: int, total: int) -> None:
        done[method] = epochs
        progress(sum(done.values()), total * len(METHODS))

    variants = [
        Variant(method, factory_of(CONFIG), dataclasses.replace(CONFIG, method=method))
        for method in METHODS
    ]
    executor = Processes() if device.type == "cpu" else Serial()
    compute = Compute(device, executor, progress=add)
    study = run_study(clips, variants, compute, config=CONFIG, out=out)
    for reason in study.failed.values():
        raise InputError(reason)
    return study.results


def methods_section(report: Page, methods: Mapping[str, LosoResult], pictures: Figure) -> None:
    """Adds each method's scores on the same clips, pictures and definitions."""
    first = next(iter(methods.values()))
    report.section("Which method sees what")
    report.text(
        f"One leave-one-subject-out evaluation for each method on the same {len(first.clips)} "
        "semi-synthetic clips, which run from onset to offset and end neutral, at most a tenth of "
        "the movement left, as real micro-expressions do.",
        WHY_TELESCOPED_FAILS,
    )
    scores = ("pooled_accuracy", "uf1", "uar")
    rows = [
        [
            method,
            *(percent(result.metrics[score]) for score in scores),
            percents(result.intervals["pooled_accuracy"]),
        ]
        for method, result in methods.items()
    ]
    baseline = [percent(first.baseline[score]) for score in scores]
    report.table(
        ["method", "accuracy", "UF1", "UAR", f"accuracy, {INTERVAL}"],
        [*rows, ["majority baseline", *baseline, "-"]],
        f"Every method with the same network, settings and folds; seed {first.seeds[0]}.",
    )
    report.figure(
        pictures,
        "Onset, apex and offset of one of the clips, and its active image by every method.",
        "Grid of face pictures: three frames, and one for each active-image method",
    )
    report.table(
        ["method", "reading"],
        [[method, READINGS[method]] for method in METHODS],
        f"The methods. {FRAMES}",
    )


def spotted_section(report: Page, spotted: Report, page: Path) -> None:
    """Adds what was spotted in the whole face video, and where its own page is."""
    report.section("Movements in the whole face video")
    report.text(
        f"The network, trained on all clips, was given the {spotted.frames} frames of the carphone "
        "clip, in which a man talks. What moved and when is measured; the names are those of "
        "the classes that it was trained on, and mean no more than that.",
        f"{page} shows them with the frames and a timeline that can be clicked.",
    )
    report.table(
        ["from", "to", "kind", "regions", "what it is"],
        [
            [
                f"{each.onset_seconds:.2f} s",
                f"{each.offset_seconds:.2f} s",
                each.kind,
                " ".join(each.regions),
                each.note or f"{each.label}, {percent(each.confidence or 0)}",
            ]
            for each in spotted.intervals
        ],
        f"{counted(len(spotted.intervals), 'movement')} in {spotted.frames} frames.",
    )


def carphone_images(
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """Crops the face out of the carphone clip and makes its active image by every method.

    Args:
        progress: called as progress(done, total) after each method.

    Returns:
        [S, S] uint8 pictures by title: three frames, then the methods.
    """
    clip = read_clip([str(synth.carphone_path())], *CLIP)
    face = faces.crop(clip, faces.stable_box(clip[faces.sample_indices(len(clip))]))
    face = np.stack([_scaled(frame) for frame in face])
    pictures = {
        f"frame {CLIP[0] + index}": face[index] for index in (0, len(face) // 2, len(face) - 1)
    }
    for done, method in enumerate(METHODS, start=1):
        image = active_image(torch.from_numpy(face), method=method, normalize="minmax")
        pictures[method] = image.round().to(torch.uint8).numpy()
        if progress is not None:
            progress(done, len(METHODS))
    return pictures


def smile_images(table: ClipTable) -> dict[str, NDArray[np.uint8]]:
    """Makes the active image of the first smile of a table by every method.

    Args:
        table: semi-synthetic clips.

    Returns:
        [S, S] uint8 pictures by title: onset, apex and offset frame, then the methods.
    """
    row = table[table["label"] == SMILE].iloc[0]
    clip = open_clip(row["frames"])
    shown = phases(clip)
    _, images, _ = sum_up(clip)
    pictures = {
        f"{name}, frame {shot.number}": _scaled(shot.pixels)
        for name, shot in zip(("onset", "apex", "offset"), shown[:3], strict=True)
    }
    stretched = {method: image.round().astype(np.uint8) for method, image in images.items()}
    return pictures | {method: _scaled(image) for method, image in stretched.items()}


def _scaled(image: Image) -> Image:
    scaled = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled, np.uint8)
