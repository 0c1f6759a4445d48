"""Devices: choosing one, and its random numbers, arithmetic and streams."""

import contextlib
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

from originet.system.errors import InputError


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
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled,
            deterministic=True,
            allow_tf32=precision == "tf32",
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


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
