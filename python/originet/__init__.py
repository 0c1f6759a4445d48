"""Micro-expression recognition with active images and OrigiNet."""

from originet.config import Config
from originet.datasets import load_dataset
from originet.errors import InputError
from originet.loso import LosoResult, run_loso
from originet.model import OrigiNet
from originet.predict import predict
from originet.prepare import active_images
from originet.train import fit

__all__ = [
    "Config",
    "InputError",
    "LosoResult",
    "OrigiNet",
    "active_images",
    "fit",
    "load_dataset",
    "predict",
    "run_loso",
]
