"""Reads results that were damaged, and renders what could be read."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from mutations import mutate_json

from originet.drawing.page import Page
from originet.system.errors import InputError


def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have their texts and tables; what figures show is computed, and not drawn."""
    figure, axes = MagicMock(), MagicMock()
    figure.add_subplot.return_value, figure.subplots.return_value = axes, (axes, axes)
    axes.get_legend_handles_labels.return_value = [], []
    for package in ("drawing", "evaluation"):
        monkeypatch.setattr(f"originet.{package}.figures.new_figure", lambda *_, **__: figure)
    monkeypatch.setattr(Page, "figure", lambda *_: None)


def outcomes(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read_and_render: Callable[[], None],
    count: int,
) -> tuple[int, int]:
    """Mutates a file so many times; counts how often it was read and how often refused."""
    without_drawing(monkeypatch)
    text = path.read_text()
    rng, read, refused = random.Random(0), 0, 0
    for _ in range(count):
        values = mutate_json(json.loads(text), rng)
        path.write_text(json.dumps(values))
        try:
            read_and_render()
            read += 1
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), error
            assert len(str(error)) < 2000
    return read, refused
