"""Augmentation on images whose result is known."""

import cv2
import numpy as np
import pytest

from originet.augment import ROTATIONS, augment, rotate
from originet.errors import InputError


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


def test_copies_stand_beside_their_source() -> None:
    images = noise(3)
    copies, source = augment(images, (0, 90), equalize=True)
    assert copies.shape == (12, 16, 16)
    assert copies.dtype == np.uint8
    np.testing.assert_array_equal(source, np.repeat([0, 1, 2], 4))
    for index, image in enumerate(images):
        equalized = cv2.equalizeHist(image)
        expected = [image, np.rot90(image), equalized, np.rot90(equalized)]
        np.testing.assert_array_equal(copies[source == index], expected)


def test_equalisation_spreads_two_levels_to_the_ends() -> None:
    image = np.full((1, 16, 16), 100, dtype=np.uint8)
    image[0, 8:] = 110
    copies, _ = augment(image, (0,), equalize=True)
    np.testing.assert_array_equal(np.unique(copies[0]), [100, 110])
    np.testing.assert_array_equal(np.unique(copies[1]), [0, 255])


def test_without_rotation_and_equalisation_nothing_changes() -> None:
    images = noise()
    copies, source = augment(images, (0,), equalize=False)
    np.testing.assert_array_equal(copies, images)
    np.testing.assert_array_equal(source, [0, 1])


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match=r"images must be \[N, S, S\] uint8.*float32"):
        augment(noise().astype(np.float32))
    with pytest.raises(InputError, match=r"images must be .*\(16, 16\) uint8"):
        augment(noise()[0])
    with pytest.raises(InputError, match="rotations must name at least one angle"):
        augment(noise(), ())
