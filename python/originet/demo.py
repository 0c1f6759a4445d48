"""The demonstration: a real face video, a LOSO run, the kernels' speed, one report."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from originet import bench, faces, plots, prepare, synth
from originet.bench.section import bench_section
from originet.config import Config
from originet.datasets import load_dataset
from originet.device import pick_device
from originet.loso import LosoResult, run_loso
from originet.page import Report
from originet.report import environment, loso_section, made_with_section
from originet.saved_results import clip_images
from originet.timing import Row, write_csv
from originet.video import read_clip
from originet_ext import METHODS, active_image

# Small enough for two CPU cores in about two minutes; `originet loso` has the full settings.
CONFIG = Config(epochs=6, batch_size=16, rotations=(-15, 0, 15), equalize=False, select="last")

# Of the carphone clip: about a second in which the man speaks and hardly turns his head.
CLIP = (1, 24)
SIDE = 160  # of the pictures in the report, in pixels

STAGES = ("active images", "semi-synthetic clips", "training", "kernel timings")


class DemoResult(NamedTuple):
    """Where the report is, and the numbers in it."""

    report: Path
    loso: LosoResult
    kernels: list[Row]


def run_demo(
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> DemoResult:
    """Runs the package's main job once, on data that its dependencies bring.

    Args:
        out: a folder for report.html, active_images.png, kernels.csv, clips/ and loso/. What an
            interrupted run has finished there is kept.
        device: where to compute; None takes the GPU if there is one.
        progress: called as progress(stage, done, total) with the stages of `STAGES`.

    Returns:
        The paths and numbers.

    Raises:
        InputError: scikit-image or scikit-video is missing, or `out` holds another run.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    where = pick_device(device)

    def stage(name: str) -> Callable[[int, int], None]:
        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(name, done, total)

        return report

    images = carphone_images(progress=stage("active images"))
    grid = plots.active_image_grid(images, "A face clip as active images")
    plots.save(grid, out / "active_images.png")

    clips = out / "clips"
    if not (clips / synth.MANIFEST).exists():
        synth.generate(clips, progress=stage("semi-synthetic clips"))
    table = load_dataset("synthetic", clips)
    stage("semi-synthetic clips")(len(table), len(table))
    pixels = prepare.active_images(table, method=CONFIG.method, image_size=CONFIG.image_size)
    loso = run_loso(
        table,
        config=CONFIG,
        images=pixels,
        out=out / "loso",
        device=where,
        progress=stage("training"),
    )

    threads = [torch.get_num_threads()]
    jobs = [
        job
        for subject in ("rrelu", "active-image")
        for job in bench.jobs(subject, where, threads=threads, quick=True)
    ]
    rows = bench.run_jobs(jobs, stage("kernel timings"))
    write_csv(out / "kernels.csv", rows)

    report = Report("OrigiNet demonstration")
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
    loso_section(report, loso, clip_images(loso, table, pixels))
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
    made_with_section(report, environment(where))
    path = out / "report.html"
    report.write(path)
    return DemoResult(path, loso, rows)


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
    face = np.stack([cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for f in face])
    pictures = {
        f"frame {CLIP[0] + index}": face[index] for index in (0, len(face) // 2, len(face) - 1)
    }
    for done, method in enumerate(METHODS, start=1):
        image = active_image(torch.from_numpy(face), method=method, normalize="minmax")
        pictures[method] = image.round().to(torch.uint8).numpy()
        if progress is not None:
            progress(done, len(METHODS))
    return pictures
