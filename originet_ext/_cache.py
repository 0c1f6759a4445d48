"""A cache of results that steps aside while compiling."""

import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch

R = TypeVar("R")


def cached(maxsize: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """`functools.lru_cache` for functions that Dynamo traces, which ignores caches and warns."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        keep = functools.lru_cache(maxsize)(function)

        @functools.wraps(function)
        def call(*args: Hashable) -> R:
            return function(*args) if torch.compiler.is_compiling() else keep(*args)

        return call

    return decorate
