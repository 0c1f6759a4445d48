"""Micro-expression recognition with active images and OrigiNet.

A name is imported when it is first asked for, so that what needs none of torch, such as the help of
the command line, does not wait for it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from originet.datasets import load_dataset
    from originet.datasets.prepare import active_images
    from originet.evaluation.loso import LosoResult, run_loso
    from originet.system.errors import InputError
    from originet.training.config import Config
    from originet.training.model import OrigiNet
    from originet.training.predict import predict
    from originet.training.train import fit
else:
    _HOMES = {
        "Config": "training.config",
        "InputError": "system.errors",
        "LosoResult": "evaluation.loso",
        "OrigiNet": "training.model",
        "active_images": "datasets.prepare",
        "fit": "training.train",
        "load_dataset": "datasets",
        "predict": "training.predict",
        "run_loso": "evaluation.loso",
    }

    def __getattr__(name):
        """Imports a public name, or a module, as `originet.training.weights`; see PEP 562."""
        if name in _HOMES:
            found = getattr(importlib.import_module(f"originet.{_HOMES[name]}"), name)
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
    "predict",
    "run_loso",
]
