"""How fast `originet spot` is, and how much memory it takes, on a long video.

    python bench/spot_long.py VIDEO --minutes 10 [--face landmarks]

The video is played forwards and backwards until it has the length, written once, and then spotted
as the command does it. What is printed was measured; nothing is extrapolated.
"""

import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import cv2
import typer

from originet.clips.frames import read_clip
from originet.spotting.spot_files import Plan, spot_file


def main(
    video: Annotated[Path, typer.Argument(help="A short video of a face.")],
    minutes: Annotated[float, typer.Option(help="Length of the long video.")] = 10.0,
    face: Annotated[str, typer.Option(help="viola-jones or landmarks.")] = "viola-jones",
    fps: Annotated[float, typer.Option(help="Frames per second of the long video.")] = 30.0,
) -> None:
    """Prints the speed, and the memory at each tenth of the video."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        # In a process of its own, whose memory is not that of spotting.
        with ProcessPoolExecutor(1) as pool:
            length = pool.submit(write_long, video, path, round(60 * minutes * fps), fps).result()
        began, worked = time.perf_counter(), time.process_time()

        def progress(done: int, total: int | None) -> None:
            if done % (length // 10) == 0:
                print(f"{done} frames: {resident():.0f} MB resident", flush=True)

        plan = Plan(face=face, video=False)
        report = spot_file(path, Path(folder) / "out", plan, progress=progress)
        wall, work = time.perf_counter() - began, time.process_time() - worked
    seconds = report.frames / fps
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{report.frames} frames, {seconds:.0f} s of video, {len(report.intervals)} movements")
    print(f"{wall:.0f} s: {seconds / wall:.1f} times real time")
    print(f"{work:.0f} s of processor time: {seconds / work:.1f} times real time on one core")
    print(f"at most {most:.0f} MB resident")


def write_long(video: Path, out: Path, length: int, fps: float) -> int:
    """Writes a video that plays another forwards and backwards; returns its frames."""
    frames = read_clip([str(video)], color=True)
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    height, width = frames.shape[1:3]
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(out), cv2.CAP_FFMPEG, codec, fps, (width, height))
    for index in range(length):
        writer.write(frames[order[index % len(order)]])
    writer.release()
    return length


def resident() -> float:
    """Returns the process's memory in megabytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    typer.run(main)
