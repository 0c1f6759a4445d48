"""Prediction: what a network is given, and what it answers."""

import numpy as np
import pytest
import torch
from torch import nn

from originet.system.errors import InputError
from originet.training import predict as predict_module
from originet.training.predict import as_array, check_images, predict, to_input

SIZE = 16


def bars(count: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of a bright upper (class 0) or lower (class 1) half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 120, (count, SIZE, SIZE))
    for image, label in zip(images, labels, strict=True):
        image[label * SIZE // 2 : (label + 1) * SIZE // 2] += 100
    return images.astype(np.uint8), labels


def test_input_is_standardised_image_by_image() -> None:
    images = torch.from_numpy(bars(4)[0])
    x = to_input(images)
    assert x.shape == (4, 3, SIZE, SIZE)
    torch.testing.assert_close(x.mean(dim=(1, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(x[:, 0].std(dim=(1, 2), correction=0), torch.ones(4))
    assert torch.equal(x[:, 0], x[:, 2])
    # Neither the other images nor a change of gain and offset that loses no level has a say.
    torch.testing.assert_close(x[:1], to_input(images[:1]))
    torch.testing.assert_close(to_input(images // 2), to_input((images // 2) * 2 + 1))
    assert (to_input(torch.full((1, 8, 8), 7, dtype=torch.uint8)) == 0).all()


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE), np.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 4))
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    whole = predict(model, images, device="cpu")
    monkeypatch.setattr(predict_module, "PREDICTION_BATCH", 3)
    in_parts = predict(model, torch.from_numpy(images), device="cpu")
    assert sizes == [7, 3, 3, 1]
    assert whole.dtype == np.float32 and whole.shape == (7, 4)
    np.testing.assert_allclose(in_parts, whole, atol=1e-6)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)


def test_a_network_predicts_in_evaluation_mode() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE), np.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * SIZE * SIZE, 4)).train()
    first, second = (predict(model, images, device="cpu") for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((0, 4, 4), np.uint8), r"N at least 1, got \[0, 4, 4\] uint8$"),
        (np.zeros((4, 4), np.uint8), r"got \[4, 4\] uint8$"),
        (np.zeros((1, 4, 4), np.int64), r"got \[1, 4, 4\] int64$"),
        (torch.zeros(1, 4, 4), r"got \[1, 4, 4\] float32; round 0\.\.255 to uint8 first$"),
    ],
)
def test_images_of_another_shape_or_kind_are_refused(images: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_images(images)


def test_values_become_an_array_whatever_holds_them() -> None:
    want = np.array([1.0, 2.5])
    for values in ([1.0, 2.5], want, torch.tensor([1.0, 2.5], requires_grad=True)):
        np.testing.assert_array_equal(as_array(values), want)
    half = as_array(torch.tensor([1.0, 2.5], dtype=torch.bfloat16))  # which NumPy does not have
    assert half.dtype == np.float32 and half.tolist() == [1.0, 2.5]
