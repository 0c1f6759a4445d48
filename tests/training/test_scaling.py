"""Flows are scaled by the training clips, and by nothing else."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from folds import QUICK
from torch import nn

from originet.system.channels import channels_of
from originet.system.errors import InputError
from originet.training import scaling
from originet.training.model import OrigiNet
from originet.training.predict import check_channels, check_images, predict, to_input
from originet.training.train import fit
from originet.training.weights import load_fold_weights, to_safetensors

RNG = np.random.default_rng(0)
CONFIG = dataclasses.replace(QUICK, method="rank,dis", epochs=2)


def clips(count: int = 12, size: int = 16) -> np.ndarray:
    """[N, S, S, 4] float32: grey levels, and a flow of the size 3."""
    grey = RNG.integers(0, 256, (count, size, size, 1)).astype(np.float32)
    motion = RNG.normal(0, 3, (count, size, size, 2)).astype(np.float32)
    strain = RNG.normal(0.5, 0.1, (count, size, size, 1)).astype(np.float32)
    return np.concatenate([grey, motion, strain], axis=-1)


def scaled(images: np.ndarray, by: np.ndarray, method: str = "rank,dis") -> torch.Tensor:
    """What a network sees of images after calibration by others."""
    network = nn.Identity()
    scaling.attach(network, images.shape[-1])
    scaling.calibrate(network, torch.tensor(by), channels_of(method))
    return network(to_input(torch.tensor(images)))


def test_grey_channels_are_standardised_as_uint8_images_are() -> None:
    images = clips()
    x = scaled(images, images)
    grey = to_input(torch.tensor(images[..., 0]).to(torch.uint8))
    torch.testing.assert_close(x[:, 0], grey[:, 0], rtol=1e-5, atol=1e-5)


def test_a_vector_is_divided_by_one_number_and_keeps_its_zero() -> None:
    images, by = clips(), clips()
    x = scaled(images, by)
    size = np.sqrt(np.square(by[..., 1:3], dtype=np.float64).mean())
    expected = np.moveaxis(images[..., 1:3] / size, -1, 1)
    np.testing.assert_allclose(x[:, 1:3], expected, rtol=1e-5)
    images[0, ..., 1:3] = 0
    assert (scaled(images, by)[0, 1:3] == 0).all()


def test_another_channel_gets_mean_0_and_deviation_1() -> None:
    images = clips()
    strain = scaled(images, images)[:, 3].double()
    assert abs(strain.mean()) < 1e-5 and strain.std(correction=0) == pytest.approx(1, abs=1e-5)
    images[..., 3] = 7
    assert (scaled(images, images)[:, 3] == 0).all()
    images[..., 1:3] = 0
    assert (scaled(images, images)[:, 1:3] == 0).all()


def test_validation_clips_have_no_part_in_it() -> None:
    labels = np.arange(12) % 2
    images = clips()
    seen = OrigiNet(2, 4, image_size=16)
    history = fit(seen, images, labels, CONFIG, device="cpu")
    changed = images.copy()
    changed[history.validation] *= 100
    other = OrigiNet(2, 4, image_size=16)
    fit(other, changed, labels, CONFIG, device="cpu")
    assert len(history.validation)
    assert torch.equal(seen.get_buffer(scaling.SCALE), other.get_buffer(scaling.SCALE))
    changed[history.training[0]] *= 100
    fit(other, changed, labels, CONFIG, device="cpu")
    assert not torch.equal(seen.get_buffer(scaling.SCALE), other.get_buffer(scaling.SCALE))


def test_the_scale_travels_with_the_weights(tmp_path) -> None:
    images, labels = clips(), np.arange(12) % 2
    network = OrigiNet(2, 4, image_size=16)
    fit(network, images, labels, CONFIG, device="cpu")
    assert type(network) is OrigiNet and scaling.is_attached(network)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(to_safetensors(network))
    fresh, wrong = OrigiNet(2, 4, image_size=16), OrigiNet(2, image_size=16)
    load_fold_weights(path, fresh)
    want = predict(network, images, device="cpu")
    np.testing.assert_array_equal(predict(fresh, images, device="cpu"), want)
    np.testing.assert_array_equal(predict(copy.deepcopy(fresh), images, device="cpu"), want)
    load_fold_weights(path, fresh)  # once more, now that it scales
    with pytest.raises(InputError, match="does not fit the model"):
        load_fold_weights(path, wrong)
    assert not scaling.is_attached(wrong)


def test_images_of_uint8_channels_are_standardised_channel_by_channel() -> None:
    images = RNG.integers(0, 256, (3, 16, 16, 2), np.uint8)
    x = to_input(torch.tensor(images))
    assert x.shape == (3, 2, 16, 16)
    for place in range(2):
        alone = to_input(torch.tensor(images[..., place]))[:, 0]
        torch.testing.assert_close(x[:, place], alone, rtol=0, atol=0)
    network = OrigiNet(2, 2, image_size=16)
    config = dataclasses.replace(CONFIG, method="rank,onset")
    fit(network, np.repeat(images, 4, axis=0), np.arange(12) % 2, config, device="cpu")
    assert not scaling.is_attached(network)


def test_bad_channels_are_refused_in_one_line() -> None:
    images = clips(2)
    for value in (np.nan, np.inf):
        bad = images.copy()
        bad[1, 2, 3, 1] = value
        with pytest.raises(InputError, match="images must be finite, got NaN or infinity"):
            check_images(bad)
    with pytest.raises(InputError, match=r"1 to 16 channels, got \[1, 4, 4, 17\]"):
        check_images(np.zeros((1, 4, 4, 17), np.uint8))
    with pytest.raises(InputError, match="the 3 channels dis-u, dis-v, dis-strain, got 4: method"):
        check_channels(images, channels_of("dis"))
    with pytest.raises(InputError, match="a vector, u and v, must be float32, got uint8"):
        check_channels(np.zeros((1, 4, 4, 2), np.uint8), channels_of("own:u,v"))
    with pytest.raises(InputError, match=r"\[N, S, S, C\] for method 'dis', got \[N, S, S\]"):
        fit(
            nn.Identity(),
            np.zeros((4, 16, 16), np.uint8),
            np.arange(4) % 2,
            dataclasses.replace(CONFIG, method="dis"),
        )
