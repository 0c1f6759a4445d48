"""Micro-expression recognition with active images and OrigiNet.

A name is imported when it is first asked for, so that what needs none of torch, such as the help of
the command line, does not wait for it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from originet.datasets import load_dataset, synth
    from originet.datasets.prepare import active_images
    from originet.deploy.model_files import load_model
    from originet.evaluation.loso import LosoResult, run_loso
    from originet.spotting.spot import spot
    from originet.system.errors import InputError
    from originet.training.config import Config
    from originet.training.model import OrigiNet
    from originet.training.predict import predict
    from originet.training.train import fit
    from originet.training.weights import load_fold_weights
else:
    _HOMES = {
        "Config": "training.config",
        "InputError": "system.errors",
        "LosoResult": "evaluation.loso",
        "OrigiNet": "training.model",
        "active_images": "datasets.prepare",
        "fit": "training.train",
        "load_dataset": "datasets",
        "load_fold_weights": "training.weights",
        "load_model": "deploy.model_files",
        "predict": "training.predict",
        "run_loso": "evaluation.loso",
        "spot": "spotting.spot",
        "synth": "datasets",
    }

    def __getattr__(name):
        """Imports a public name, or a package, as `originet.training`; see PEP 562."""
        if name in _HOMES:
            home = f"originet.{_HOMES[name]}"
            found = getattr(importlib.import_module(home), name, None)
            found = found or importlib.import_module(f"{home}.{name}")  # a module, as synth
            globals()[name] = found  # the next look-up does not come here
            return found
        if not name.startswith("_"):
            try:
                return importlib.import_module(f"originet.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"originet.{name}":  # a package that it needs is missing
                    raise
        raise AttributeError(f"module 'originet' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "Config",
    "InputError",
    "LosoResult",
    "OrigiNet",
    "active_images",
    "fit",
    "load_dataset",
    "load_fold_weights",
    "load_model",
    "predict",
    "run_loso",
    "spot",
    "synth",
]
