"""Arguments that nobody should give: no op crashes, hangs, or shows memory that is not its own."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import originet_ext
from originet_ext import ActiveImageAccumulator, build_info
from originet_ext.accumulator import _harmonic

HOSTILE = Path(__file__).parents[1] / "helpers" / "hostile_calls.py"
LARGEST = 2**63 - 1
ops = torch.ops.originet
knows_why = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13),
    reason="before torch 2.13 the stable ABI does not say why a function of torch failed",
)


@pytest.mark.slow
@pytest.mark.parametrize("autograd", ["cpp", "python"])
def test_calls_with_any_arguments_are_refused_or_right(device, autograd):
    if autograd == "cpp" and not build_info()["autograd"].startswith("C++"):
        pytest.skip("the derivatives in C++ are not built for this torch")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", HOSTILE, device, str(int(autograd == "cpp")), "100"],
        env=os.environ | {"ORIGINET_AUTOGRAD": autograd},
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    tail = "\n".join(run.stdout.splitlines()[-1:])
    assert run.returncode == 0, f"exit status {run.returncode} in {tail}\n{run.stderr[-3000:]}"
    # Every op by its name, and nothing left out.
    assert "run_op('temporal_pool'" in run.stdout
    kinds = 12 + (3 + len(originet_ext.METHODS) if device == "cpu" else 0)
    assert tail == f"{100 * kinds} cases of {kinds} kinds"


def temporal(index: list[int], clips: list[list[int]], frames=None, total: int | None = None):
    frames = torch.ones(4, 3) if frames is None else frames
    weights = torch.ones(len(index), dtype=torch.int64)
    total = sum(end - begin for _, begin, end in clips) if total is None else total
    return ops.temporal_pool(
        [frames], torch.tensor(clips), torch.tensor(index), weights, total, "none"
    )


@pytest.mark.parametrize("wrong", [4, 2**31, 2**40, LARGEST, -1, -(2**63)])
def test_index_outside_of_the_frames_is_refused(wrong):
    with pytest.raises(RuntimeError, match=rf"^temporal_pool: index\[1\] = {wrong} is outside of"):
        temporal([0, wrong], [[0, 0, 2]])


@pytest.mark.parametrize("first", [3, 4, LARGEST, -1, -(2**63)])
def test_clip_outside_of_the_frames_is_refused(first):
    message = rf"clips\[0\] reads 2 frames from frame {first} on, outside of the 4 frames$"
    with pytest.raises(RuntimeError, match=f"^temporal_pool: {message}"):
        temporal([0, 1], [[first, 0, 2]])
    with pytest.raises(RuntimeError, match=f"^motion_pool: {message}"):
        ops.motion_pool([torch.ones(4, 3)], torch.tensor([[first, 2]]), 2, True, "none")


def test_sums_beyond_64_bits_are_refused():
    many = torch.zeros(1, 1).expand(2**62, 1)
    with pytest.raises(RuntimeError, match=r"^temporal_pool: the number of frames does not fit"):
        ops.temporal_pool(
            [many, many], torch.tensor([[0, 0, 1]]), torch.tensor([0]), torch.tensor([1]), 1, "none"
        )
    # Of no frames, and so of no elements in all.
    none = torch.empty(1, 0).as_strided((1, 0), (2**62, 2**62)).expand(2**62, 0)
    assert ops.sliding_pool(none, 2, 1, "cumulative", "minmax").shape == (2**62 - 1, 0)


def test_clips_that_would_never_end_are_refused():
    endless = torch.zeros(1, 1).expand(2**62, 1)
    with pytest.raises(RuntimeError, match=r"^motion_pool: clips\[0\] must have 1 to 2147483647"):
        ops.motion_pool([endless], torch.tensor([[0, 2**62]]), 2**62, True, "none")
    for frames in (endless, torch.zeros(1, 1, requires_grad=True).expand(2**62, 1)):
        with pytest.raises(RuntimeError, match=r"^sliding_pool: window must be at most 2147483647"):
            ops.sliding_pool(frames, 2**61, 2**61, "absolute", "none")


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (2, 0, "stride must be 1 or more, got 0"),
        (2, -(2**63), "stride must be 1 or more"),
        (-(2**63), 1, "window must be 1 or more"),
        (LARGEST, 1, "window must be at most 4 frames"),
    ],
)
def test_windows_and_strides_are_checked_before_they_divide(requires_grad, window, stride, message):
    frames = torch.ones(4, 3, requires_grad=requires_grad)
    with pytest.raises(RuntimeError, match=f"^sliding_pool: {message}"):
        ops.sliding_pool(frames, window, stride, "cumulative", "none")


def test_join_of_vectors_is_refused_in_forward_mode_too():
    with torch.autograd.forward_ad.dual_level():
        a = torch.autograd.forward_ad.make_dual(torch.ones(3), torch.ones(3))
        with pytest.raises(RuntimeError, match=r"a must be \[N, C, ...\]"):
            ops.rrelu_add_norm_forward(a, a, *[None] * 6, 1e-5, 0.1)
        x = torch.autograd.forward_ad.make_dual(torch.ones(2, 3), torch.ones(2, 3))
        with pytest.raises(RuntimeError, match=r"mean and var must be given together"):
            ops.rrelu_add_norm_forward(x, x, *[None] * 4, torch.ones(3), None, 1e-5, 0.1)


def test_meta_tensors_go_with_meta_tensors_alone():
    x, meta = torch.ones(2, 3), torch.ones(2, 3, device="meta")
    for call in (
        lambda: ops.rrelu_backward(x, meta, 0.1),
        lambda: ops.rrelu_backward(meta, x, 0.1),
        lambda: ops.rrelu_add_forward(x, meta, 0.1),
        lambda: ops.rrelu_add_norm_forward(x, x, meta[0], *[None] * 5, 1e-5, 0.1),
    ):
        with pytest.raises(RuntimeError, match=r"must be on the same device, got .*(meta|cpu)"):
            call()
    clips, index, weights = torch.tensor([[0, 0, 2]]), torch.tensor([0, 1]), torch.ones(2)
    on_cpu = [x, clips, index, weights]
    for k in range(4):
        mixed = [arg.to("meta") if j == k else arg for j, arg in enumerate(on_cpu)]
        if k == 0:
            mixed[3] = weights
        with pytest.raises(RuntimeError, match=r"^temporal_pool: (weights|clips|index)"):
            ops.temporal_pool([mixed[0]], *mixed[1:], 2, "none")
    frames, *rest = (arg.to("meta") for arg in on_cpu)
    image = ops.temporal_pool([frames], *rest, 2, "none")
    assert image.is_meta and image.shape == (1, 3)


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(2, 3).to_sparse(),
        torch.ones(2, 3).to_sparse_csr(),
        torch.ones(2, 3).to_mkldnn(),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    ],
    ids=["sparse", "csr", "mkldnn", "nested"],
)
def test_other_layouts_are_refused_in_one_line(x):
    with pytest.raises(
        NotImplementedError, match=r"^rrelu_forward: tensors must be dense, got .+$"
    ):
        ops.rrelu_forward(x, 0.1)


def test_tensors_that_lost_their_memory_are_refused():
    x = torch.ones(8)
    x.untyped_storage().resize_(16)
    for call in (
        lambda: ops.rrelu_forward(x, 0.1),
        lambda: ops.rrelu_forward_(x, 0.1),
        lambda: ops.rrelu_add_forward(torch.ones(8), x, 0.1),
        lambda: temporal([0], [[0, 0, 1]], x.view(4, 2)),
    ):
        with pytest.raises(RuntimeError, match=r"lie outside of its storage$"):
            call()


@knows_why
def test_want_of_memory_says_so():
    with pytest.raises(RuntimeError, match=r"tried to allocate|calculation overflowed") as error:
        ops.rrelu_forward(torch.ones(1).expand(2**62), 0.1)
    assert "API call failed" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_other_dtypes_are_refused_without_the_place_of_the_source(dtype):
    with pytest.raises(RuntimeError, match=r"^rrelu_forward: x must be float16, bfloat16, float"):
        ops.rrelu_forward(torch.ones(3, dtype=dtype), 0.1)
    with pytest.raises(RuntimeError, match=r"^sliding_pool: frames must be uint8 or floating"):
        ops.sliding_pool(torch.ones(3, 2, dtype=dtype), 1, 1, "cumulative", "none")


@pytest.mark.parametrize("alpha", [math.nan, math.inf, -math.inf])
def test_alpha_must_be_finite(alpha):
    for x in (torch.ones(3), torch.ones(3, 4).T):
        with pytest.raises(RuntimeError, match=r"^rrelu_forward: alpha must be finite"):
            ops.rrelu_forward(x, alpha)


# The accumulator.


def state_of(method: str = "cumulative", dtype: type = np.uint8, count: int = 3) -> dict:
    images = ActiveImageAccumulator(method)
    for k in range(count):
        images.update(np.full((2, 3), k, dtype))
    return images.__getstate__()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"count": LARGEST}, ValueError, r"at most 2\^53 frames"),
        ({"count": -1}, ValueError, "count must be 0 or more"),
        ({"count": 2.5}, TypeError, "count must be an int"),
        ({"start": LARGEST}, ValueError, r"start must be .* below 2\^53"),
        ({"start": math.nan}, TypeError, "start must be an integer"),
        ({"method": "no such"}, ValueError, "method must be one of"),
        ({"normalize": None}, ValueError, "normalize must be one of"),
        ({"shape": (2**40, 2**40)}, ValueError, "ends must be"),
        ({"shape": (-2, -3)}, ValueError, r"frames must be \[H, W\]"),
        ({"dtype": "<f8"}, TypeError, "ends must be an array of float64"),
        ({"dtype": "|O"}, TypeError, "frames must be uint8, float32 or float64"),
        ({"first": None}, TypeError, "first must be an array of uint8, got NoneType"),
        ({"sums": np.zeros((1, 2, 3))}, TypeError, "sums must be an array of int64"),
        ({"sums": np.zeros((1, 9, 9), np.int64)}, ValueError, r"sums must be \[1, 2, 3\]"),
        ({"sums": np.full((1, 2, 3), LARGEST)}, ValueError, "no 3 frames of uint8 have the sums"),
        ({"ends": np.zeros((1, 2, 3), np.uint8)}, ValueError, r"ends must be \[2, 2, 3\]"),
    ],
)
def test_states_that_no_stream_leaves_are_refused(changes, error, message):
    images = ActiveImageAccumulator("rank")
    images.update(np.ones((4, 4)))
    before = images.result()
    with pytest.raises(error, match=message):
        images.__setstate__(state_of() | changes)
    np.testing.assert_array_equal(images.result(), before)
    for wrong in (None, [], {"count": 1}):
        with pytest.raises(TypeError, match=r"state is not one of an accumulator"):
            images.__setstate__(wrong)


def test_state_of_the_longest_stream_is_worked_with_at_once():
    state = state_of("rank", np.float64) | {"count": 2**53 - 2}
    longest = ActiveImageAccumulator("rank")
    longest.__setstate__(state)
    longest.update(np.ones((2, 3)))
    longest.result()
    with pytest.raises(ValueError, match=r"at most 2\^53 frames"):
        longest.update(np.ones((2, 3))), longest.update(np.ones((2, 3)))
    # As many terms of the harmonic series as nobody could add up.
    whole = ActiveImageAccumulator("rank")
    whole.update(np.ones((2, 3)))
    later = ActiveImageAccumulator("rank", start=1)
    later.__setstate__(state | {"start": 1, "count": 2**53 - 3})
    whole.merge(later)
    assert whole.count == 2**53 - 2


@pytest.mark.parametrize("start", [0, 5, 65_000, 65_536, 10**6])
@pytest.mark.parametrize("count", [0, 1, 100, 70_000, 300_000])
def test_harmonic_sums_are_those_of_all_terms(start, count):
    terms = math.fsum(1 / k for k in range(start + 1, start + count + 1))
    assert _harmonic(start, count) == pytest.approx(terms, rel=1e-14, abs=0)


def test_sums_over_a_stream_check_what_they_are_given():
    accumulate = originet_ext._sums.accumulate_sums
    frames, sums = np.ones((4, 2, 3), np.uint8), np.zeros((2, 2, 3), np.int64)
    for begin, end in ((LARGEST - 1, LARGEST), (2**53, 2**53 + 1), (-1, 0), (2, 1)):
        with pytest.raises(ValueError, match=r"begin and end must name frames of the ring"):
            accumulate(frames, begin, end, 0, sums)
    for start in (-1, LARGEST):
        with pytest.raises(ValueError, match=r"start must be 0 to 2\^53"):
            accumulate(frames, 0, 1, start, sums)
    with pytest.raises(ValueError, match=r"must not share memory"):
        shared = np.zeros(2 * 8 * 6, np.uint8)
        accumulate(shared.reshape(16, 2, 3), 0, 1, 0, shared.view(np.int64).reshape(2, 2, 3))
    with pytest.raises(ValueError, match=r"sums must be dense"):
        odd = np.zeros(sums.nbytes + 1, np.uint8)[1:].view(np.int64).reshape(sums.shape)
        accumulate(frames, 0, 1, 0, odd)
