"""What is handed over as another kind of array: taken as what it is, or told what is wanted."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import originet_ext
from originet import Config, InputError, fit, predict
from originet.evaluation.splits import sort_clips
from originet_ext import reference

QUICK = Config(epochs=1, batch_size=4, rotations=(0,), equalize=False, select="last")
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
ONES = torch.ones(6)

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))


def images(count: int = 12) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 16, 16), dtype=np.uint8)


# Training and prediction


LABELS = np.arange(12) % 2


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        LABELS.astype(np.uint8),
        LABELS.astype(np.float32),  # whole numbers all the same
        LABELS.astype(bool),
        torch.from_numpy(LABELS),
        pd.Series(LABELS, dtype=object),
    ],
    ids=["list", "uint8", "float32", "bool", "tensor", "objects"],
)
def test_labels_of_any_kind_train_alike(labels):
    weights = []
    for pixels, classes in ((images(), LABELS), (torch.from_numpy(images()), labels)):
        model = tiny()
        fit(model, pixels, classes, QUICK, device="cpu")
        weights.append(model[1].weight.detach().clone())
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["sad", "happy"] * 6, "got 'sad'; np.unique(labels, return_inverse=True) converts names"),
        (pd.Series(["sad", "happy"] * 6), "got 'sad'; np.unique"),
        (["0", "1"] * 6, "got '0'; np.unique"),
        (np.where(LABELS == 1, 0.5, 1), "got 0.5"),
        (np.where(LABELS == 1, np.nan, 1), "got nan"),
        (LABELS - 1, "got -1"),
        ([None, 1] * 6, "got None"),
        (torch.from_numpy(LABELS - 1), "got -1"),
    ],
)
def test_labels_that_are_no_class_indices_are_told(labels, message):
    with pytest.raises(InputError) as refused:
        fit(tiny(), images(), labels, QUICK, device="cpu")
    told = str(refused.value)
    assert told.startswith("labels must be class indices, whole numbers from 0, ")
    assert message in told and "\n" not in told


def test_what_the_message_proposes_for_names_works():
    names, indices = np.unique(["sad", "happy"] * 6, return_inverse=True)
    fit(tiny(), images(), indices, QUICK, device="cpu")
    assert names.tolist() == ["happy", "sad"]


def test_predict_takes_tensors(recwarn):
    want = predict(tiny(), images(), device="cpu")
    got = predict(tiny(), torch.from_numpy(images()), device="cpu")
    assert isinstance(got, np.ndarray) and np.array_equal(got, want)
    assert not [each for each in recwarn if "torch.tensor" in str(each.message)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_predict_says_what_it_wants_in_place_of_floating_images(dtype):
    clip = torch.from_numpy(FRAMES)
    image = originet_ext.active_image(clip, normalize="minmax")[None].to(dtype)
    with pytest.raises(InputError, match=r"got \[1, 5, 7\] float32; round 0..255 to uint8 first"):
        predict(tiny(), image, device="cpu")
    with pytest.raises(InputError, match=r"N at least 1, got \[5, 7\] uint8$"):
        predict(tiny(), torch.from_numpy(FRAMES[0]), device="cpu")


def test_images_of_a_run_may_be_a_tensor():
    table = pd.DataFrame(
        {
            "dataset": "x",
            "subject": list("aabbcc"),
            "clip": list("uvuvuv"),
            "label": ["sad", "happy"] * 3,
        }
    )
    table = table.assign(frames=[("a.png",)] * 6, onset=None, offset=None, apex=None)
    clips = [
        sort_clips(table, {"rank": each}, 16) for each in (images(6), torch.from_numpy(images(6)))
    ]
    assert clips[0].images_sha256 == clips[1].images_sha256


# Active images


CALLS = {
    "active_image": lambda frames: originet_ext.active_image(frames),
    "reference": lambda frames: reference.active_image(frames),
    "temporal_pool": lambda frames: originet_ext.temporal_pool(frames, torch.ones(len(frames))),
    "sliding_active_images": lambda frames: originet_ext.sliding_active_images(frames, 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_numpy_frames_are_told_what_makes_a_tensor_of_them(name):
    with pytest.raises(TypeError, match=r"must be a torch\.Tensor, got ndarray: torch"):
        CALLS[name](FRAMES)
    CALLS[name](torch.from_numpy(FRAMES))


def test_other_numpy_arguments_are_told_likewise():
    clip, hint = torch.from_numpy(FRAMES), "got ndarray: torch.from_numpy makes a tensor of it"
    x = np.zeros(3, np.float32)
    for call in (
        lambda: originet_ext.active_image([FRAMES, FRAMES]),
        lambda: originet_ext.active_image(clip, np.array([0, 6])),
        lambda: originet_ext.temporal_pool(clip, np.ones(6)),
        lambda: originet_ext.fused_rrelu(x),
        lambda: originet_ext.fused_rrelu_add(torch.zeros(3), x),
        lambda: originet_ext.FusedRReLU()(x),
    ):
        with pytest.raises(TypeError, match=hint):
            call()


BATCHES = [(4, 16, 9, 8), (2, 5, 6, 7), (4, 16, 9, 8, 3), (4, 16, 3, 9, 8), (4, 16, 1, 9, 8)]
CLIPS = [(6, 9, 8), (6, 9, 8, 3), (6, 3, 9, 8), (6, 9, 3, 8), (6, 1, 9, 8), (6, 9, 8, 4), (6, 2)]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", BATCHES, ids=str)
def test_a_batch_is_not_taken_for_a_clip_in_silence(name, shape):
    frames = torch.zeros(shape, dtype=torch.uint8)
    text = rf"frames \[{shape[0]}, .* are treated as one clip of {shape[0]} frames .*list\(frames\)"
    with pytest.warns(UserWarning, match=text) as told:
        image = CALLS[name](frames)
    assert image.shape[-len(shape) + 1 :] == shape[1:]  # as it was; feature maps are frames too
    assert len(told) == 1
    if name != "reference":  # which has a function in between
        assert told[0].filename == __file__


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", CLIPS, ids=str)
def test_a_clip_is_taken_without_a_warning(name, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CALLS[name](torch.zeros(shape))


def test_what_says_that_it_is_a_batch_is_taken_without_a_warning():
    frames = torch.from_numpy(np.stack([FRAMES] * 3))  # [B, T, H, W]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = originet_ext.active_image(list(frames))
        packed = originet_ext.active_image(frames.flatten(0, 1), torch.tensor([0, 6, 12, 18]))
        mapped = torch.vmap(originet_ext.active_image)(frames)
        volumes = torch.zeros(6, 5, 6, 7)
        originet_ext.active_image(volumes, torch.tensor([0, 3, 6]))
    assert torch.equal(images, packed) and torch.equal(images, mapped)
