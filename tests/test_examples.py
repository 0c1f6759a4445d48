"""The programs in examples/ run as their texts say, and print what they claim."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from originet import synth
from originet_ext import active_image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path, capsys):
    """Runs one example in an empty folder; returns what it printed, line by line."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return call


@pytest.mark.filterwarnings("ignore:Overwriting:UserWarning")  # timm's, where psi is known already
def test_the_drop_in_activation_reaches_every_kind_of_network(example):
    swapped, counted, loss = example("drop_in_activation.py")
    assert swapped == "1 swapped, left as they are: []"
    assert counted == "17 activations are psi"  # of a resnet18
    assert loss.startswith("loss ") and 0 < float(loss.split()[1]) < 20


def test_a_loader_makes_one_image_a_clip(example):
    lines = example("active_images_in_a_loader.py")
    assert len(lines) == 2 and all(line.endswith("[8, 1, 128, 128]") for line in lines)
    assert sum(int(line.split()[0]) for line in lines) in range(16 * 20, 16 * 40 + 1)


def test_packing_keeps_each_clip_apart():
    names = runpy.run_path(str(EXAMPLES / "active_images_in_a_loader.py"))
    samples = [names["Clips"]()[index] for index in (3, 5)]
    frames, offsets, labels = names["pack"](samples)
    assert labels.tolist() == [3, 1]
    for image, (clip, _) in zip(active_image(frames, offsets=offsets), samples, strict=True):
        assert torch.equal(image, active_image(clip))


@pytest.mark.slow
def test_a_network_of_ones_own_is_evaluated(example, one_thread):
    uar, majority, *recalls = example("own_network.py")
    assert uar.startswith("UAR ") and majority == "majority class: 0.25"
    assert [line.split()[0] for line in recalls] == ["negative", "others", "positive", "surprise"]


def test_a_stream_needs_no_camera(example):
    lines = example("camera_stream.py")
    assert lines[-1] == "active.png: active image of 200 frames"
    frames = np.stack(list(runpy.run_path(str(EXAMPLES / "camera_stream.py"))["synthetic"]()))
    expected = active_image(torch.from_numpy(frames), normalize="minmax").round()
    written = cv2.imread("active.png", cv2.IMREAD_GRAYSCALE)
    assert np.abs(written - expected.numpy()).max() <= 1


def test_a_video_stands_in_for_the_camera(example):
    lines = example("camera_stream.py", "--video", synth.carphone_path(), "-o", "talk.png")
    assert lines[-1].startswith("talk.png: active image of ")
    assert cv2.imread("talk.png").std() > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--video", "none.mp4"), "cannot open 'none.mp4'"),
        (("-o", "no-folder/active.png"), "cannot write no-folder/active.png"),
    ],
)
def test_a_stream_that_fails_says_why(example, arguments, told):
    with pytest.raises(SystemExit, match=told):
        example("camera_stream.py", *arguments)


@pytest.mark.slow
def test_the_whole_protocol_beats_chance_without_seeing_the_subject(example, one_thread):
    clips, *folds, accuracy, uf1, uar = example("leave_one_subject_out.py")
    assert clips == "48 clips, classes negative, others, positive, surprise"
    assert len(folds) == 4 and all(line.endswith("of 12 right") for line in folds)
    for line, name in zip((accuracy, uf1, uar), ("accuracy", "UF1", "UAR"), strict=True):
        assert line.split()[0] == name
    assert float(accuracy.split()[1]) > 0.4
    assert accuracy.endswith("(commonest class: 0.25)")


def test_every_example_is_run_here():
    tests = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'example("{path.name}"' in tests, path.name
