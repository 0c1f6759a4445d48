"""Every video that can be read counts: alone, in a folder of clips, and in a CSV file."""

from pathlib import Path

import numpy as np
import pytest
from clips import random_frames, write_video
from PIL import Image
from timed_videos import bars, write_timed

from originet import datasets
from originet.clips import render, video
from originet.clips.frames import IMAGE_SUFFIXES, read_clip

# How PyAV writes a file of each ending, where its name is not what FFmpeg calls the format.
_CODECS = {
    **dict.fromkeys(("webm", "ivf"), "libvpx"),
    **dict.fromkeys(("ogv", "ogm"), ("libvpx", "ogg")),
    **dict.fromkeys(("wmv", "asf"), ("wmv2", "asf")),
    **dict.fromkeys(("mpg", "mpeg"), ("mpeg1video", "mpeg")),
    **dict.fromkeys(("ts", "mts", "m2ts"), ("mpeg2video", "mpegts")),
    **dict.fromkeys(("264", "h264"), ("libx264", "h264")),
    **dict.fromkeys(("265", "h265", "hevc"), ("libx265", "hevc")),
    **dict.fromkeys(("mjpeg", "mjpg"), ("mjpeg", "mjpeg")),
    **dict.fromkeys(("m4v", "f4v"), ("mpeg4", "mp4")),
    "vob": ("mpeg2video", "vob"),
    "m2v": ("mpeg2video", "mpeg2video"),
    "m1v": ("mpeg1video", "mpeg1video"),
    "mxf": ("mpeg2video", "mxf"),
    "flv": ("flv", "flv"),
    "rm": ("rv20", "rm"),
    "divx": ("mpeg4", "avi"),
    "qt": ("mpeg4", "mov"),
    "y4m": ("wrapped_avframe", "yuv4mpegpipe"),
}
_PILLOW = {".gif": "GIF", ".webp": "WEBP", ".avif": "AVIF", ".apng": "PNG"}


def write_any(path):
    """Writes ten frames in the format that the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = bars(10)
    suffix = path.suffix.lower()
    if suffix in _PILLOW:
        first, *others = map(Image.fromarray, frames)
        first.save(path, _PILLOW[suffix], save_all=True, append_images=others, duration=40)
        return path
    codec = _CODECS.get(suffix[1:], "mpeg4")
    codec, container = (codec, None) if isinstance(codec, str) else codec
    return write_timed(path, frames, [k / 25 for k in range(10)], codec, container)


@pytest.mark.parametrize("suffix", video.VIDEO_SUFFIXES)
def test_a_video_counts_in_a_folder_as_alone_and_in_a_csv(tmp_path, suffix):
    path = write_any(tmp_path / "set" / "happy" / "s1" / f"clip{suffix}")
    assert read_clip(path).shape == (10, 48, 144)
    assert render.find_clips(tmp_path).clips == [path]
    assert render.find_clips(path).clips == [path]
    (tmp_path / "clips.csv").write_text(f"path,subject,emotion\n{path},s1,happy\n")
    for root in (tmp_path / "set", tmp_path / "clips.csv"):
        found = datasets.survey("folder", root)
        assert list(found.table["frames"]) == [(str(path),)]
        assert not found.unusable and not found.skipped


def test_endings_in_capitals_count(tmp_path):
    path = write_any(tmp_path / "happy" / "s1" / "CLIP.WEBM")
    assert render.find_clips(tmp_path).clips == [path]
    assert len(datasets.survey("folder", tmp_path).table) == 1


def test_docs_name_every_ending():
    docs = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    for suffix in video.VIDEO_SUFFIXES + IMAGE_SUFFIXES:
        assert f"`{suffix}`" in docs


def test_a_csv_names_any_video(tmp_path):
    path = write_video(tmp_path / "a.avi", random_frames(3)).rename(tmp_path / "a.video")
    (tmp_path / "clips.csv").write_text("path,subject,emotion\na.video,s1,happy\n")
    assert len(datasets.survey("folder", tmp_path / "clips.csv").table) == 1
    np.testing.assert_array_equal(read_clip(path).shape, (3, 24, 32))
