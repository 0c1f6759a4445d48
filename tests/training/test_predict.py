"""Prediction: what a network is given, and what it answers."""

import numpy as np
import torch

from originet.training.predict import to_input

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
