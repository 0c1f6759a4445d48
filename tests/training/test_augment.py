"""Augmentation on images whose result is known."""

import cv2
import numpy as np
import pytest
from moving import grid, moved, shift, texture, turn

from originet.clips.flow import flow
from originet.system.channels import channels_of
from originet.system.errors import InputError
from originet.training.augment import ROTATIONS, augmented_views, rotate, warp_channels
from originet.training.config import Config


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


def test_channels_have_the_views_of_their_images() -> None:
    images = noise(3)
    both = np.stack([images, images[::-1]], axis=-1)
    views = augmented_views(both, (0, 30), True, channels_of("rank,onset"))
    assert views.shape == (3, 5, 16, 16, 2) and views.dtype == np.uint8
    np.testing.assert_array_equal(views[..., 0], augmented_views(images, (0, 30), True))
    np.testing.assert_array_equal(views[..., 1], augmented_views(images[::-1], (0, 30), True))


def test_a_flow_beside_a_grey_image_is_turned_and_not_equalised() -> None:
    images = noise(1)
    mixed = np.concatenate(
        [images[..., None].astype(np.float32), np.ones((1, 16, 16, 3), np.float32)], axis=-1
    )
    views = augmented_views(mixed, (90,), True, channels_of("rank,dis"))[0]
    assert views.shape == (3, 16, 16, 4) and views.dtype == np.float32
    np.testing.assert_array_equal(views[..., 0], augmented_views(images, (90,), True)[0])
    # A quarter turn, counter-clockwise: what went right and down goes right and up.
    for turned in views[1:]:
        np.testing.assert_allclose(turned[8, 8, 1:], [1, -1, 1], atol=1e-6)
    assert augmented_views(mixed[..., 1:], (90, 0), True, channels_of("dis")).shape[1] == 3
    assert Config(method="dis").copies == 7 and Config(method="rank,dis").copies == 14


@pytest.mark.parametrize("angle", [-45, -15, 30, 90])
def test_turning_a_flow_is_the_flow_of_turned_images(angle: float) -> None:
    """Frames of a movement, seen at an angle, have the flow that augmentation makes."""
    side, motion = 96, shift(1.5, -0.5)
    onset, apex, _ = moved(side, motion)
    x, y = grid(side)
    back = turn(-angle)  # the texture turned by the angle, from its formula
    places = [row[0] * x + row[1] * y for row in back]
    seen = texture(*places), texture(places[0] - 1.5, places[1] + 0.5)
    want = flow(*seen)
    plain = flow(onset, apex)[None]
    turned = augmented_views(plain, (angle,), False, channels_of("dis"))[0, 1]
    inside = slice(24, -24)  # of which no corner is turned out
    assert np.abs(turned - want)[inside, inside, :2].max() < 0.1
    assert np.abs(turned - want)[inside, inside, 2].mean() < 0.01
    assert np.median(turned[inside, inside, 0]) == pytest.approx(
        1.5 * np.cos(np.radians(angle)) - 0.5 * np.sin(np.radians(angle)), abs=0.05
    )


def test_a_mirror_changes_the_sign_of_u() -> None:
    onset, apex, _ = moved(64, np.array([[1.01, 0.02, 0.8], [0.0, 0.99, -0.6]]))
    mirror = np.array([[-1.0, 0, 63], [0, 1, 0]])
    found = warp_channels(flow(onset, apex), mirror, channels_of("dis"))
    want = flow(onset[:, ::-1].copy(), apex[:, ::-1].copy())
    assert np.abs(found - want)[8:-8, 8:-8, :2].max() < 0.1
    np.testing.assert_allclose(found[..., 0], -flow(onset, apex)[:, ::-1, 0], atol=1e-5)
    np.testing.assert_allclose(found[..., 1:], flow(onset, apex)[:, ::-1, 1:], atol=1e-5)


def test_beyond_a_flow_there_is_no_motion() -> None:
    still = np.full((32, 32, 2), 3, np.float32)
    channels = channels_of("own:u,v")
    assert (warp_channels(still, shift(8, 0), channels)[:, :8] == 0).all()
    heat = warp_channels(still[..., :1], shift(8, 0), channels_of("own:heat"))
    assert (heat == 3).all()  # its median
