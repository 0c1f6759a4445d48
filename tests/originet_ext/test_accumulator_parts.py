"""ActiveImageAccumulator: merging, pickling, copies and errors."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import EXACT, HARMONIC, accumulate, assert_is_image_of, random_frames

from originet_ext import METHODS, ActiveImageAccumulator
from originet_ext.accumulator import MAX_WEIGHTED_FRAMES

# Parts


def summed_in_parts(frames, method, cuts, through_pickle=False):
    parts = []
    for begin, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        part = accumulate(frames[begin:end], method, start=begin)
        parts.append(pickle.loads(pickle.dumps(part)) if through_pickle else part)
    return parts


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_parts_merged_in_any_order_of_merging_equal_the_whole(data):
    method = data.draw(st.sampled_from(METHODS))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint8, np.float32, np.float64]))
    n = data.draw(st.integers(1, 80))
    frames = random_frames(n, (2, 3), dtype, seed=data.draw(st.integers(0, 2**20)))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))  # empty parts as well
    parts = summed_in_parts(frames, method, cuts, data.draw(st.booleans()))
    while len(parts) > 1:  # any two neighbours first: merging nests
        at = data.draw(st.integers(0, len(parts) - 2))
        second = parts.pop(at + 1)
        before = pickle.dumps(second)
        parts[at].merge(second)
        assert pickle.dumps(second) == before
    assert_is_image_of(parts[0], frames)
    # and it goes on
    more = random_frames(20, (2, 3), dtype, seed=1)
    for frame in more:
        parts[0].update(frame)
    assert_is_image_of(parts[0], np.concatenate([frames, more]))


@pytest.mark.parametrize("method", METHODS)
def test_merged_parts_do_not_share_memory(method):
    frames = random_frames(40)
    for cut in (0, 20):
        first, second = summed_in_parts(frames, method, [cut])
        first.merge(second)
        for frame in frames[:5]:
            second.update(frame)
        assert_is_image_of(first, frames)
        if method in EXACT:
            assert_is_image_of(second, np.concatenate([frames[cut:], frames[:5]]))


@pytest.mark.parametrize("method", EXACT)
def test_start_does_not_matter_to_other_methods(method):
    frames = random_frames(12)
    first = accumulate(frames[:5], method, start=99)
    first.merge(accumulate(frames[5:], method))
    assert first.start == 99
    assert_is_image_of(first, frames)


@pytest.mark.parametrize("method", EXACT)
def test_a_part_can_be_appended_to_itself(method):
    frames = random_frames(9)
    images = accumulate(frames, method)
    images.merge(images)
    assert_is_image_of(images, np.concatenate([frames, frames]))


@pytest.mark.parametrize("method", HARMONIC)
def test_parts_out_of_place_are_refused(method):
    frames = random_frames(12)
    first, second = summed_in_parts(frames, method, [5])
    with pytest.raises(ValueError, match=f"start 5 has no image of its own under '{method}'"):
        second.result()
    with pytest.raises(ValueError, match=r"second part must have start 5, .* got 0"):
        first.merge(accumulate(frames[5:], method))
    with pytest.raises(ValueError, match=r"second part must have start 12, .* got 0"):
        second.merge(first)
    first.merge(second)
    assert_is_image_of(first, frames)


def test_parts_that_do_not_fit_are_refused_and_leave_the_state():
    frames = random_frames(6)
    for method in METHODS:
        images = accumulate(frames, method)
        before = pickle.dumps(images)
        for other, error, message in (
            (frames, TypeError, "cannot merge ndarray"),
            (ActiveImageAccumulator("rank"), ValueError, f"cannot merge 'rank' into '{method}'"),
            (
                accumulate(random_frames(2, (7, 5)), method, start=6),
                ValueError,
                r"cannot merge frames of \[7, 5\] uint8 into \[5, 7\] uint8",
            ),
            (
                accumulate(random_frames(2, dtype=np.float32), method, start=6),
                ValueError,
                r"cannot merge frames of \[5, 7\] float32 into \[5, 7\] uint8",
            ),
        ):
            if getattr(other, "method", "") == method == "rank":
                continue
            with pytest.raises(error, match=message):
                images.merge(other)
            assert pickle.dumps(images) == before
        assert_is_image_of(images, frames)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
)
@pytest.mark.parametrize("method", METHODS)
def test_copies_are_independent(method, copied):
    frames = random_frames(40, (3, 4, 3))
    for n in (0, 1, 2, 20):
        images = accumulate(frames[:n], method, "minmax", start=0)
        twin = copied(images)
        assert repr(twin) == repr(images) and twin.count == n
        for frame in frames[n:]:
            twin.update(frame)
        assert images.count == n
        want = accumulate(frames, method, "minmax").result()
        np.testing.assert_array_equal(twin.result(), want)
        for frame in frames[n:]:
            images.update(frame)
        np.testing.assert_array_equal(images.result(), want)


# Errors


@pytest.mark.parametrize("method", METHODS)
def test_bad_frames_are_named_and_leave_the_state(method):
    bad_always = (
        (None, TypeError, "frame must be a numpy.ndarray, got NoneType"),
        (torch.zeros(5, 7), TypeError, "got Tensor"),
        (np.zeros((5, 7), np.int32), TypeError, r"got int32"),
        (np.zeros((5, 7), np.float16), TypeError, "got float16"),
        (np.zeros((5, 7), ">f4"), TypeError, "got >f4"),
        (np.zeros(35, np.uint8), ValueError, r"got \[35\]"),
        (np.zeros((1, 5, 7, 3), np.uint8), ValueError, r"got \[1, 5, 7, 3\]"),
        (np.zeros((0, 7), np.uint8), ValueError, r"got \[0, 7\]"),
    )
    images = ActiveImageAccumulator(method)
    for frame, error, message in bad_always:
        with pytest.raises(error, match=message):
            images.update(frame)
    assert images.count == 0
    with pytest.raises(ValueError, match="no frame has been seen yet"):
        images.result()

    frames = random_frames(20)
    for frame in frames[:17]:
        images.update(frame)
    before = pickle.dumps(images)
    for frame, error, message in (
        *bad_always,
        (np.zeros((5, 7), np.float32), TypeError, "of the first frame, uint8, got float32"),
        (np.zeros((7, 5), np.uint8), ValueError, r"of the first frame, \[5, 7\], got \[7, 5\]"),
        (np.zeros((5, 7, 3), np.uint8), ValueError, r"\[5, 7\], got \[5, 7, 3\]"),
    ):
        with pytest.raises(error, match=message):
            images.update(frame)
        assert pickle.dumps(images) == before
    for frame in frames[17:]:
        images.update(frame)
    assert_is_image_of(images, frames)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"cumulative, telescoped, .*learnet, got 'paper'"):
        ActiveImageAccumulator("paper")
    with pytest.raises(ValueError, match="none, clip, minmax, got 'max'"):
        ActiveImageAccumulator(normalize="max")
    with pytest.raises(ValueError, match=r"start must be 0 or more.* got -1"):
        ActiveImageAccumulator(start=-1)
    for start in (1.0, True, "1"):
        with pytest.raises(TypeError, match="start must be an integer"):
            ActiveImageAccumulator(start=start)


@pytest.mark.parametrize("method", ["authors", "rank-simple"])
def test_sums_are_exact_up_to_the_stated_length_and_refused_beyond(method):
    # A stream of 255 up to the limit, by the state that it would have left.
    n = MAX_WEIGHTED_FRAMES - 1
    assert 255 * (n + 1) * (n + 2) < 2**63 <= 255 * int(1.01 * n) ** 2
    state = accumulate(np.full((3, 1, 1), 255, np.uint8), method).__getstate__()
    sums = np.array([255 * n, 255 * n * (n + 1) // 2]).reshape(2, 1, 1)
    images = ActiveImageAccumulator()
    images.__setstate__(state | {"count": n, "sums": sums})
    assert (images.result() == 0).all()
    images.update(np.zeros((1, 1), np.uint8))
    # n + 1 frames: all weights sum to 0, and the last frame, which is black, has weight n.
    want = -255 * n + (255 if method == "authors" else 0)
    assert images.result() == np.float32(want)
    before = pickle.dumps(images)
    with pytest.raises(ValueError, match=rf"'{method}' takes at most 190000000 frames of uint8"):
        images.update(np.zeros((1, 1), np.uint8))
    with pytest.raises(ValueError, match="got 190000001"):
        images.merge(accumulate(np.zeros((1, 1, 1), np.uint8), method))
    assert pickle.dumps(images) == before


def test_cumulative_sums_are_exact_over_longer_streams_than_there_are():
    # 10^15 frames, 255 after a black or 0 after a white first one, by the state they would leave.
    n = 10**15
    for first, rest in ((0, 255), (255, 0)):
        frames = np.full((3, 1, 1), rest, np.uint8)
        frames[0] = first
        images = ActiveImageAccumulator()
        sums = np.array([(rest - first) * (n - 2)]).reshape(1, 1, 1)
        state = accumulate(frames, "cumulative").__getstate__()
        images.__setstate__(state | {"count": n, "sums": sums})
        assert images._image() == (rest - first) * (2 * n - 3)  # before it is rounded to float32
        images.update(frames[0])
        assert images.result() == np.float32((rest - first) * (2 * n - 2))
