"""Devices: which is taken, and what is set for it and put back. No GPU is needed."""

import random
from functools import partial

import numpy as np
import pytest
import torch

from originet.system.device import arithmetic, own_stream, pick_device, set_seed
from originet.system.errors import InputError

CUDA = torch.device("cuda")  # only its type is looked at
MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn

USERS = {
    "nothing": lambda: None,
    "products in TF32": partial(setattr, MATMUL, "fp32_precision", "tf32"),
    "exact convolutions": partial(setattr, CUDNN.conv, "fp32_precision", "ieee"),
    "all exact": partial(setattr, torch.backends, "fp32_precision", "ieee"),
    "all in TF32": partial(setattr, torch.backends, "fp32_precision", "tf32"),
    "products in TF32, older": partial(torch.set_float32_matmul_precision, "high"),
    "exact convolutions, older": partial(setattr, CUDNN, "allow_tf32", False),
}


def newer() -> list[str]:
    return [each.fp32_precision for each in (torch.backends, MATMUL, CUDNN.conv, CUDNN.rnn)]


def older() -> list[str | bool | None]:
    """What the older interface answers; None where it refuses to."""
    found = []
    for ask in (torch.get_float32_matmul_precision, lambda: CUDNN.allow_tf32):
        try:
            found.append(ask())
        except RuntimeError:
            found.append(None)
    return found


@pytest.fixture(autouse=True)
def as_torch_starts():
    yield
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    CUDNN.allow_tf32 = True
    MATMUL.fp32_precision, CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision = (
        *("none", "tf32", "tf32"),
    )


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("precision", "expected"), [("float32", "ieee"), ("tf32", "tf32")])
def test_arithmetic_is_as_asked_whatever_the_user_set_and_restored(user, precision, expected):
    USERS[user]()
    before, said = newer(), older()
    with arithmetic(precision, CUDA):
        assert newer()[1:] == [expected] * 3
        # Libraries that still ask the older interface, as torch.compile does, get an answer.
        assert older() == ["high" if expected == "tf32" else "highest", expected == "tf32"]
        assert CUDNN.deterministic
    assert newer() == before
    assert all(now == then for now, then in zip(older(), said, strict=True) if then is not None)
    assert not CUDNN.deterministic


def test_arithmetic_is_restored_after_an_error():
    before = newer()
    with pytest.raises(ZeroDivisionError), arithmetic("tf32", CUDA):
        raise ZeroDivisionError
    assert newer() == before and not CUDNN.deterministic


def test_on_a_cpu_nothing_is_touched():
    CUDNN.conv.fp32_precision = "ieee"
    before = newer()
    with arithmetic("tf32", torch.device("cpu")):
        assert newer() == before and not CUDNN.deterministic


def test_without_a_wish_the_gpu_is_taken_where_there_is_one(monkeypatch):
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device() == torch.device(name)


@pytest.mark.parametrize("name", ["nowhere", "", "cpu:x", "cuda:99"])
def test_devices_that_are_not_there_are_named_in_one_line(name):
    with pytest.raises(InputError, match=f"^device '{name}' cannot be used: ") as refused:
        pick_device(name)
    assert "\n" not in str(refused.value)


def test_a_seed_fixes_every_generator():
    def drawn(seed):
        set_seed(seed)
        return random.random(), np.random.random(), torch.rand(()).item()

    states = random.getstate(), np.random.get_state()
    first, again, other = drawn(2**32 - 1), drawn(2**32 - 1), drawn(0)
    random.setstate(states[0])
    np.random.set_state(states[1])
    assert first == again
    assert not set(first) & set(other)


def test_a_cpu_has_no_stream_and_its_context_may_be_entered_again():
    stream = own_stream(torch.device("cpu"))
    for _ in range(2):
        with stream:
            assert (torch.ones(2) + 1).tolist() == [2, 2]
