"""Augmentation on images whose result is known."""

import cv2
import numpy as np
import pytest

from originet.system.errors import InputError
from originet.training.augment import ROTATIONS, augmented_views, rotate


def noise(count: int = 2, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size), dtype=np.uint8)


def test_rotations_are_the_papers() -> None:
    assert ROTATIONS == tuple(range(-45, 46, 15))


def test_right_angle_is_counter_clockwise_and_exact() -> None:
    image = noise()[0]
    np.testing.assert_array_equal(rotate(image, 90), np.rot90(image))
    np.testing.assert_array_equal(rotate(image, 180), np.rot90(image, 2))


def test_zero_degrees_copies() -> None:
    image = noise()[0]
    turned = rotate(image, 0)
    np.testing.assert_array_equal(turned, image)
    assert not np.shares_memory(turned, image)


def test_corners_take_the_median() -> None:
    image = np.full((32, 32), 90, dtype=np.uint8)
    image[14:18, 14:18] = 250
    turned = rotate(image, 45)
    assert (turned[0, 0], turned[-1, -1]) == (90, 90)
    assert turned[16, 16] == 250


def test_views_are_the_image_and_its_copies() -> None:
    images = noise(3)
    views = augmented_views(images, (0, 90), equalize=True)
    assert views.shape == (3, 5, 16, 16)
    assert views.dtype == np.uint8
    for image, own in zip(images, views, strict=True):
        equalized = cv2.equalizeHist(image)
        expected = [image, image, np.rot90(image), equalized, np.rot90(equalized)]
        np.testing.assert_array_equal(own, expected)


def test_equalisation_spreads_two_levels_to_the_ends() -> None:
    image = np.full((1, 16, 16), 100, dtype=np.uint8)
    image[0, 8:] = 110
    as_it_is, copy, equalized = augmented_views(image, (0,), equalize=True)[0]
    np.testing.assert_array_equal(np.unique(as_it_is), [100, 110])
    np.testing.assert_array_equal(np.unique(copy), [100, 110])
    np.testing.assert_array_equal(np.unique(equalized), [0, 255])


def test_without_rotation_and_equalisation_nothing_changes() -> None:
    images = noise()
    views = augmented_views(images, (0,), equalize=False)
    np.testing.assert_array_equal(views, np.stack([images, images], axis=1))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match=r"images must be \[N, S, S\] uint8.*float32"):
        augmented_views(noise().astype(np.float32))
    with pytest.raises(InputError, match=r"images must be .*\[16, 16\] uint8"):
        augmented_views(noise()[0])
    with pytest.raises(InputError, match="rotations must name at least one angle"):
        augmented_views(noise(), ())
