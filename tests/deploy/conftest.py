"""A small data set and a model of it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from folds import QUICK, small_set

from originet import load_model
from originet.deploy.model import Model
from originet.deploy.train_model import train_model
from originet.evaluation.splits import SortedClips, sort_clips
from originet.system.lock import held

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def small() -> tuple[pd.DataFrame, np.ndarray]:
    return small_set()


@pytest.fixture(scope="session")
def clips(small) -> SortedClips:
    table, images = small
    return sort_clips(table, {QUICK.method: images}, QUICK.image_size)


@pytest.fixture(scope="session")
def folder(clips, tmp_path_factory):
    """A model of two networks, trained on 4 subjects with 6 clips each."""
    out = tmp_path_factory.mktemp("models") / "model"
    config = dataclasses.replace(QUICK, seeds=(0, 1))
    with held(out) as place:
        train_model(clips, config, place, device=CPU)
    return out


@pytest.fixture(scope="session")
def model(folder) -> Model:
    return load_model(folder)
