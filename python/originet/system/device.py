"""Devices: choosing one, and its random numbers, arithmetic and streams."""

import contextlib
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from originet.system.errors import InputError

T = TypeVar("T")


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Returns the device that the user asked for.

    Args:
        device: "cpu", "cuda", "cuda:1", ...; None takes the GPU if there is one.

    Returns:
        A usable device.

    Raises:
        InputError: If this machine has no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {str(device)!r} cannot be used: {reason}") from error
    return picked


def set_seed(seed: int) -> None:
    """Seeds every generator that training draws from: Python's, NumPy's, torch's on every device.

    Args:
        seed: 0..2^32 - 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """On a GPU, computes float32 in full precision and picks the same kernels in every run.

    Args:
        precision: One of `originet.training.config.PRECISIONS`; only "tf32" allows products of
            reduced precision.
        device: The device that computes; on a CPU nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    tf32, cudnn = precision == "tf32", torch.backends.cudnn
    deterministic, before = cudnn.deterministic, _Float32.now()
    try:
        cudnn.deterministic = True
        name = "tf32" if tf32 else "ieee"
        _Float32("high" if tf32 else "highest", tf32, (name, name, name)).set()
        yield
    finally:
        cudnn.deterministic = deterministic
        before.set()


@dataclass(frozen=True)
class _Float32:
    """How torch computes float32 on a GPU, by both of its interfaces.

    Once the newer one, `fp32_precision`, says something that the older one, `allow_tf32`, cannot
    express, the older one raises when it is read. So what it said then is not known here.
    """

    matmul: str | None
    convolutions_in_tf32: bool | None
    newer: tuple[str, ...]
    """`fp32_precision` of matrix products, convolutions and recurrent layers."""

    @staticmethod
    def _places() -> tuple[Any, ...]:
        cudnn: Any = torch.backends.cudnn  # types know nothing of its parts
        return torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn

    @classmethod
    def now(cls) -> "_Float32":
        """Reads the settings."""
        return cls(
            _answer(torch.get_float32_matmul_precision),
            _answer(lambda: torch.backends.cudnn.allow_tf32),
            tuple(place.fp32_precision for place in cls._places()),
        )

    def set(self) -> None:
        """Makes these the settings."""
        if self.matmul is not None:
            torch.set_float32_matmul_precision(self.matmul)
        if self.convolutions_in_tf32 is not None:
            torch.backends.cudnn.allow_tf32 = self.convolutions_in_tf32
        # Last, because the two above set the newer interface as well, to "none" for False, which
        # would follow `torch.backends.fp32_precision`.
        for place, value in zip(self._places(), self.newer, strict=True):
            place.fp32_precision = value


def _answer(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except RuntimeError:
        return None


def own_stream(device: torch.device) -> AbstractContextManager[object]:
    """Makes a stream that starts after the work already queued.

    Args:
        device: The device of the stream.

    Returns:
        A context that sends its work to the stream; on a CPU, one that does nothing. It may be
        entered more than once.
    """
    if device.type != "cuda":
        return contextlib.nullcontext()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    return torch.cuda.stream(stream)
