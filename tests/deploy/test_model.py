"""originet.deploy.model: from a clip to an answer."""

import dataclasses

import numpy as np
import pytest
import skimage.data
import torch
from clips import random_frames, write_folder, write_video
from face_videos import close_up
from folds import QUICK
from moving import grid, texture

from originet import load_model
from originet.clips.faces import NoFaceError
from originet.clips.flow import flow
from originet.clips.still import read_image
from originet.datasets.prepare import Settings, prepare_clip
from originet.deploy.export import export_model
from originet.deploy.rate import at_rate
from originet.deploy.train_model import train_model
from originet.evaluation.splits import sort_clips
from originet.system.errors import InputError
from originet.system.lock import held
from originet.training import scaling
from originet.training.predict import predict
from originet_ext import active_image


@pytest.fixture
def face_model(model):
    cut = Settings(("cumulative",), 16, crop_face=True)
    return dataclasses.replace(model, settings=cut)


def face_clip() -> np.ndarray:
    """A grey face [6, 192, 192] that grows brighter, which no crop may notice."""
    picture = skimage.data.astronaut()[:192, 128:320].mean(axis=2)
    return np.stack([picture * (0.8 + 0.02 * k) for k in range(6)]).astype(np.uint8)


def test_an_answer_names_the_most_probable_class(model):
    answer = model.predict(random_frames(5, (16, 16)))
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert answer.label == max(answer.probabilities, key=answer.probabilities.__getitem__)
    assert answer.confidence == answer.probabilities[answer.label]
    assert tuple(answer.probabilities) == model.classes


def test_frames_folders_and_videos_become_the_image_of_the_training(model, tmp_path):
    frames = random_frames(7, (24, 32))
    folder = write_folder(tmp_path / "clip", frames)
    expected = prepare_clip(
        tuple(str(folder / f"img{k}.png") for k in range(1, 8)), None, None, model.settings
    )[0]
    for clip in (folder, str(folder), frames, torch.from_numpy(frames)):
        np.testing.assert_array_equal(model.image(clip), expected)
    video = write_video(tmp_path / "clip.avi", frames)
    np.testing.assert_array_equal(
        model.image(video), prepare_clip((str(video),), None, None, model.settings)[0]
    )


def test_colour_frames_are_blue_green_red(model):
    colour = random_frames(5, (16, 48)).reshape(5, 16, 16, 3)
    weights = np.array([0.114, 0.587, 0.299])
    grey = (colour @ weights).round().astype(np.uint8)
    np.testing.assert_allclose(
        model.image(colour).astype(int), model.image(grey).astype(int), atol=3
    )


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((16, 16), np.uint8),
        np.zeros((5, 16, 16), np.float32),
        np.zeros((0, 16, 16), np.uint8),
        np.zeros((5, 16, 16, 4), np.uint8),
    ],
)
def test_other_frames_are_refused(model, frames):
    with pytest.raises(InputError, match=r"frames must be \[T, H, W\] or \[T, H, W, 3\] uint8"):
        model.predict(frames)


def test_lists_of_frames_are_refused_with_a_hint(model):
    with pytest.raises(InputError, match=r"numpy\.stack"):
        model.predict([np.zeros((16, 16), np.uint8)])


def test_images_of_another_size_are_refused(model):
    with pytest.raises(InputError, match=r"takes images of 16 x 16 pixels, got \[8, 8\]"):
        model.probabilities(np.zeros((2, 8, 8), np.uint8))


def test_faces_in_memory_are_cropped_as_those_of_files(face_model, tmp_path):
    frames = face_clip()
    folder = write_folder(tmp_path / "clip", frames)
    np.testing.assert_array_equal(face_model.image(frames), face_model.image(folder))
    moved = np.pad(frames, ((0, 0), (40, 0), (60, 0)))
    agreement = np.corrcoef(face_model.image(moved).ravel(), face_model.image(frames).ravel())[0, 1]
    assert agreement > 0.8
    assert np.corrcoef(face_model.image(moved).ravel(), model_image(moved).ravel())[0, 1] < 0.5


def model_image(frames: np.ndarray) -> np.ndarray:
    """The image without a crop, 16 x 16."""
    import cv2

    small = np.stack([cv2.resize(f, (16, 16), interpolation=cv2.INTER_AREA) for f in frames])
    return active_image(torch.from_numpy(small), normalize="minmax").numpy()


def test_without_a_face_there_is_an_error_of_its_own(face_model, tmp_path):
    frames = random_frames(5, (64, 64))
    with pytest.raises(NoFaceError, match="no face found in 5 sampled frames"):
        face_model.predict(frames)
    with pytest.raises(NoFaceError, match=str(tmp_path)):
        face_model.predict(write_folder(tmp_path / "clip", frames))


def test_clips_of_another_rate_are_brought_to_that_of_the_training(model, tmp_path):
    frames = random_frames(16, (16, 16))
    slow = dataclasses.replace(model, fps=25.0)
    picked = list(at_rate(((k, k / 50) for k in range(16)), 25))
    expected = model.image(frames[picked])
    np.testing.assert_array_equal(slow.image(frames, fps=50), expected)
    np.testing.assert_array_equal(
        slow.image(write_folder(tmp_path / "c", frames), fps=50), expected
    )
    video = write_video(tmp_path / "clip.avi", frames, fps=50)
    assert (slow.image(video) != model.image(video)).any()
    # The same rate, or one that nobody knows, takes every frame.
    for clip, fps in ((frames, 25), (frames, None), (frames, 25.5)):
        np.testing.assert_array_equal(slow.image(clip, fps=fps), model.image(clip))
    notes = [slow.predict(clip, fps=fps).note for clip, fps in ((video, None), (frames, 25))]
    assert notes == ["frames picked at 25/s, for which the model was made, from 50/s", ""]
    assert slow.predict(frames).note.startswith("frame rate unknown, every frame taken")
    assert model.predict(frames).note == ""


def test_a_model_moves_to_a_device(model):
    assert model.to("cpu") is model


@pytest.mark.needs_landmarks
def test_landmarks_are_followed_in_memory_as_in_files(model, tmp_path):
    cut = Settings(("cumulative",), 16, crop_face=True, face_by="landmarks")
    boxed = dataclasses.replace(cut, face_by="viola-jones")
    model = dataclasses.replace(model, settings=cut)
    frames = np.stack([np.roll(close_up(), k, 1) for k in range(5)])
    folder = write_folder(tmp_path / "clip", frames)
    greys = np.stack([read_image(path) for path in sorted(folder.iterdir())])
    np.testing.assert_array_equal(model.image(folder), model.image(greys))
    assert model.image(frames).std() > 0  # in colour
    assert not np.array_equal(
        model.image(folder), dataclasses.replace(model, settings=boxed).image(folder)
    )
    with pytest.raises(NoFaceError):
        model.predict(random_frames(5, (64, 64)))


@pytest.fixture(scope="module")
def flow_model(clips, tmp_path_factory):
    """A model of an active image and a flow, of random numbers."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (24, 16, 16, 1)).astype(np.float32)
    flow = rng.normal(0, 2, (24, 16, 16, 3)).astype(np.float32)
    images = {"rank,dis": np.concatenate([grey, flow], axis=-1)}
    table = clips.table.assign(frames=[("a.avi",)] * 24, apex=None)
    out = tmp_path_factory.mktemp("models") / "flow"
    config = dataclasses.replace(QUICK, method="rank,dis", epochs=1)
    with held(out) as place:
        train_model(sort_clips(table, images, 16), config, place, device=torch.device("cpu"))
    return load_model(out)


def test_a_model_of_channels_makes_them_of_a_clip(flow_model, tmp_path):
    assert flow_model.method == "rank,dis" and flow_model.folded == (False,)
    assert "u and v by one deviation" in flow_model.card["normalisation"]
    x, y = grid(16)
    frames = np.stack([texture(x - np.sin(np.pi * t / 6), y) for t in range(7)])
    made = flow_model.image(frames)
    assert made.shape == (16, 16, 4) and made.dtype == np.float32
    rank = active_image(torch.from_numpy(frames), None, "rank", "minmax").round()
    np.testing.assert_array_equal(made[..., 0], rank)
    np.testing.assert_array_equal(made[..., 1:], flow(frames[0], frames[3]))
    folder = write_folder(tmp_path / "clip", frames)
    np.testing.assert_array_equal(flow_model.image(folder), made)
    expected = predict(flow_model.networks[0], made[None], device="cpu")
    assert scaling.is_attached(flow_model.networks[0])
    answer = flow_model.predict(folder)
    np.testing.assert_allclose([*answer.probabilities.values()], expected[0], atol=1e-6)


def test_a_model_of_channels_refuses_other_images(flow_model, model, tmp_path):
    grey = np.zeros((1, 16, 16), np.uint8)
    with pytest.raises(InputError, match=r"takes images by rank,dis, got \[1, 16, 16\] uint8"):
        flow_model.probabilities(grey)
    with pytest.raises(InputError, match="must have the 4 channels rank, dis-u"):
        flow_model.probabilities(np.zeros((1, 16, 16, 3), np.float32))
    with pytest.raises(InputError, match=r"takes images by cumulative, got \[1, 16, 16, 3\]"):
        model.probabilities(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(InputError, match="export takes one grey image a clip, not the channels of"):
        export_model(flow_model, "aoti", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_three_grey_channels_are_not_one_that_is_repeated(model):
    cut = Settings(("rank", "onset", "apex"), 16)
    several = dataclasses.replace(model, settings=cut)
    assert several.folded == (False, False) and model.folded == (True, True)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    each = [predict(network, images, device="cpu") for network in model.networks]
    np.testing.assert_allclose(several.probabilities(images), np.mean(each, axis=0), atol=1e-6)
