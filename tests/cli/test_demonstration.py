"""The demonstration: its report, its clips and its pictures."""

import dataclasses
import html
import json
import re

import numpy as np
import pytest

from originet import bench
from originet.cli import demonstration
from originet.datasets import load_dataset, synth
from originet.deploy.model_files import load_model
from originet.evaluation.readings import READINGS
from originet.system.errors import InputError
from originet.training.config import Config
from originet_ext import METHODS


@pytest.mark.slow
def test_demo_writes_a_report_with_all_parts(tmp_path, monkeypatch):
    def idle_kernels(jobs, progress):
        """Has the rows of all benchmarks and providers, without their work."""
        rows = []
        for job in jobs:
            case = job.prepare()
            idle = dict.fromkeys(case.calls, lambda: None)
            rows += bench.time_case(dataclasses.replace(case, bytes=0, calls=idle), budget=0)
        return rows

    monkeypatch.setattr(demonstration, "SUBJECTS", 2)
    monkeypatch.setattr(demonstration, "CLIPS_PER_CLASS", 1)
    monkeypatch.setattr(bench, "run_jobs", idle_kernels)
    monkeypatch.setattr(
        demonstration, "CONFIG", Config(epochs=1, image_size=16, rotations=(0,), select="last")
    )
    stages = []
    result = demonstration.run_demo(
        tmp_path / "out", device="cpu", progress=lambda stage, done, total: stages.append(stage)
    )
    assert list(dict.fromkeys(stages)) == [
        stage for stage in demonstration.STAGES if stage != "kernel timings"
    ]
    page = result.report.read_text()
    for part in ("Active images of a real face video", "semi-synthetic", "Kernel timings"):
        assert part in page
    # Every method on the same clips, the baseline and the reason beside.
    assert list(result.methods) == list(METHODS)
    assert result.loso is result.methods["cumulative"]
    assert {r.clip_list_sha256 for r in result.methods.values()} == {result.loso.clip_list_sha256}
    section = page.partition("Which method sees what</h2>")[2]
    rows = [*METHODS, "majority baseline"]
    places = [section.index(f'<th scope="row">{row}</th>') for row in rows]
    assert places == sorted(places)
    assert "telescope: only the last two frames less twice the first remain" in section
    assert all(READINGS[method] in html.unescape(section) for method in METHODS)
    # The number to take away comes first, what only a maintainer reads last.
    headings = re.findall("<h2 id[^>]*>(.*?)</h2>", page)
    assert headings[-1] == "Kernel timings"
    assert page.index("Majority baseline:") < page.index("<nav")
    pictures = demonstration.smile_images(load_dataset("synthetic", tmp_path / "out" / "clips"))
    assert [title.partition(",")[0] for title in pictures] == ["onset", "apex", "offset", *METHODS]
    assert (tmp_path / "out" / "methods.png").exists()
    # Some are timed beside eager, which makes a picture, and others are not.
    assert "active_image_absolute: medians, eager over fused" in page
    assert "stream_absolute: time per call" in page and "stream_absolute: medians" not in page
    assert (tmp_path / "out" / "active_images.png").exists()
    assert (tmp_path / "out" / "kernels.csv").exists()
    # The network of these clips, and what it says of the whole video.
    assert load_model(tmp_path / "out" / "model").classes == result.loso.classes
    assert result.spotted.is_file()
    spotted = page.partition("Movements in the whole face video</h2>")[2].partition("<h2")[0]
    assert "spotted/report.html shows them" in spotted and "head turn" in spotted
    # Started again, it keeps what is finished and ends with the same numbers.
    again = demonstration.run_demo(tmp_path / "out", device="cpu")
    for method in METHODS:
        np.testing.assert_array_equal(again.methods[method].y_pred, result.methods[method].y_pred)


@pytest.mark.slow
def test_clips_of_an_earlier_generator_are_not_taken_for_those_of_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "SUBJECTS", 1)
    monkeypatch.setattr(demonstration, "CLIPS_PER_CLASS", 1)
    clips = synth.generate(tmp_path / "clips", subjects=1, clips_per_class=1)
    manifest = json.loads((clips / synth.MANIFEST).read_text())
    (clips / synth.MANIFEST).write_text(json.dumps(manifest | {"version": 1}))
    with pytest.raises(InputError, match=r"clips contains other .* version is 1 there, 2 here"):
        demonstration.run_demo(tmp_path, device="cpu")


def test_carphone_pictures_are_the_face_by_every_method():
    pictures = demonstration.carphone_images()
    assert len(pictures) == 3 + len(METHODS)
    for picture in pictures.values():
        assert (
            picture.shape == (demonstration.SIDE, demonstration.SIDE) and picture.dtype == np.uint8
        )
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
