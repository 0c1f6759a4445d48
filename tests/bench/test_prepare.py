"""The benchmark of preparing clips: its tree, its cases and its table."""

import dataclasses
import gc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from originet import bench
from originet.bench import prepare, summary
from originet.clips import faces
from originet.clips.still import read_image
from originet.system.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture
def short(monkeypatch):
    """A tree that is written and read in no time."""
    monkeypatch.setattr(prepare, "_LENGTH", (4, 9))


@pytest.mark.parametrize("size", [90, 240, 400])
def test_the_drawn_face_is_one_to_the_cascades(size):
    scene = np.full((480, 640), 90, np.uint8)
    scene[40 : 40 + size, 120 : 120 + size] = prepare.draw_face(size)
    box = faces.stable_box([scene], margin=0.0)
    assert abs(box.x + box.size / 2 - 120 - size / 2) < 0.1 * size
    assert 0.7 * size < box.size < 1.1 * size
    assert abs(faces.eye_angle([scene], box)) < 3


def test_the_tree_holds_clips_of_the_asked_sizes(short, tmp_path):
    table = prepare.write_tree(tmp_path, 12)
    lengths = [len(frames) for frames in table.frames]
    assert len(table) == 12 and set(lengths) <= set(range(4, 10)) and len(set(lengths)) > 2
    for frames in table.frames.iloc[:2]:
        images = [cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in frames]
        assert {image.shape for image in images} == {(480, 640, 3)}
        assert faces.detect_faces(images[0])
    # As large as a camera's files: not a flat picture that decodes in no time.
    assert Path(table.frames.iloc[0][0]).stat().st_size > 50_000
    first, second = (read_image(frames[0]) for frames in table.frames.iloc[:2])
    assert not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")  # so that what is kept repeats
@pytest.mark.parametrize("variant", bench.PREPARE_VARIANTS)
def test_a_case_is_checked_and_its_tree_goes_with_it(short, variant):
    case = bench.prepare_case(3, variant=variant)
    assert case.benchmark == f"prepare_{variant}"
    assert case.shape[0] == 3 and 12 <= case.shape[1] <= 27 and case.shape[2:] == (480, 640)
    settings = bench.PREPARE_VARIANTS[variant]
    images = case.calls["fused"]()
    assert images.shape == (3, len(settings.methods), 128, 128)
    # Five samples, a few frames more, and what each accumulator keeps of a pixel: a ring of 17
    # frames, sums of 8 bytes, and the first frame where it has a weight of its own. Paths, rows
    # and what Python sets up on the way are counted, too.
    kept = {"cumulative": 17 + 8 + 1, "absolute": 17 + 8 + 1, "rank": 17 + 3 * 8}
    arrays = 9 * 480 * 640 + 128 * 128 * sum(kept[method] for method in settings.methods)
    assert 480 * 640 < case.saved["fused"] < arrays + 16 * 1024
    root = Path(case.calls["opencv"].args[0].frames.iloc[0][0]).parents[4]
    assert root.name.startswith("originet-bench-") and root.exists()
    del case, images
    gc.collect()
    assert not root.exists()


def test_a_wrong_provider_or_variant_is_refused(short):
    def wrong(table, settings):
        return 255 - prepare.prepare_providers()["fused"](table, settings)

    with pytest.raises(RuntimeError, match="prepare 'frames': provider 'bad' is wrong"):
        bench.prepare_case(2, variant="frames", providers={"bad": wrong})
    with pytest.raises(InputError, match=r"variant must be one of frames, .* got 'face'"):
        bench.prepare_case(2, variant="face")


def test_a_clip_that_cannot_be_read_ends_the_benchmark(short, tmp_path):
    table = prepare.write_tree(tmp_path, 2)
    Path(table.frames.iloc[1][2]).write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"empty file .*img3\.jpg"):
        prepare.prepare_providers()["fused"](table, bench.PREPARE_VARIANTS["frames"])


def test_jobs_take_the_most_threads_and_none_a_gpu():
    jobs = bench.jobs("prepare", CPU, threads=[1, 3])
    assert {job.threads for job in jobs} == {3}
    sizes = [(*job.prepare.args, job.prepare.keywords["variant"]) for job in jobs]
    part = [(64, variant) for variant in ("frames", "faces", "ablation")]
    assert sizes == [(8, "faces"), *part, (256, "faces")]
    assert bench.jobs("prepare", torch.device("cuda"), threads=[1]) == []


@pytest.mark.slow
def test_the_table_tells_clips_and_frames_a_second(short):
    # Of a second each, since what a busy machine gives is marked.
    steady = {"median_us": 1e6, "q20_us": 1e6, "q80_us": 1e6}
    timed = bench.time_case(bench.prepare_case(2), budget=0)
    rows = [dataclasses.replace(row, **steady) for row in timed]
    row = next(row for row in rows if row.provider == "fused")
    (table,) = summary.tables(rows)
    assert table.title.startswith("Clips on disk on ")
    line = dict(zip(table.header, table.lines[0], strict=True))
    assert line["case"] == "faces" and line["input"].endswith("x480x640 jpeg")
    for place, name in enumerate(("clips/s", "frames/s")):
        count = int(row.shape.split("x")[place])
        assert float(line[name].replace(",", "")) == pytest.approx(count, rel=0.05)
    assert line["arrays, peak"] and line["over opencv"].endswith("x")
