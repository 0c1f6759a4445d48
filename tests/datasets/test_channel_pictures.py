"""How channels are drawn."""

import numpy as np

from originet.datasets.channel_pictures import picture_of

GREY = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)


def test_one_image_is_drawn_as_it_is():
    assert picture_of(GREY, "rank") is GREY


def test_images_stand_side_by_side_in_rows():
    images = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
    picture = picture_of(images, "rank,onset,apex")
    assert picture.shape == (16, 16) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[:8, :8], GREY)
    np.testing.assert_array_equal(picture[:8, 8:], GREY // 2)
    np.testing.assert_array_equal(picture[8:, :8], GREY // 3)
    assert (picture[8:, 8:] == 255).all()


def test_a_flow_is_colours_by_direction_beside_its_strain():
    flow = np.zeros((8, 8, 3), np.float32)
    flow[0, 0, :2], flow[1, 0, :2], flow[2, 0, :2] = (2, 0), (-2, 0), (0.5, 0)
    flow[..., 2] = np.linspace(0, 0.01, 64).reshape(8, 8)
    picture = picture_of(flow, "dis")
    assert picture.shape == (8, 16, 3)
    assert picture[0, 0].tolist() == [255, 0, 0]  # right
    assert picture[1, 0].tolist() == [0, 255, 255]  # left
    assert picture[2, 0].tolist() == [255, 191, 191]  # a quarter as far
    assert (picture[4:, :8] == 255).all()
    assert (picture[0, 8, 0], picture[7, 15, 0]) == (0, 255)


def test_what_is_the_same_everywhere_can_be_drawn():
    assert (picture_of(np.zeros((8, 8, 3), np.float32), "dis")[:, :8] == 255).all()
    assert (picture_of(np.full((8, 8, 1), 7, np.uint8), "own:a") == 0).all()
