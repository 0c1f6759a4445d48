"""A network of the user's own, named as `module:function`."""

import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from originet.system.errors import InputError, one_line
from originet.training.networks.entry import Network


def own_network(name: str) -> Network:
    """Imports the module of a user's network, also from the current directory.

    Args:
        name: As `module:function`; the function is called as
            function(in_channels=3, classes=5, image_size=128) and returns a new network.

    Returns:
        Its entry, known by the hash of the module's source.

    Raises:
        InputError: If the module cannot be imported, or has no such function.
    """
    here = str(Path.cwd())
    _function(name, here)
    source = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    if source is None:
        raise InputError(f"{name}: the module has no source file by which to know it again")

    def again(**arguments: Any) -> nn.Module:
        # By its name, since another process may not have imported the module yet.
        network: nn.Module = _function(name, here)(**arguments)
        return network

    facts = {"source_sha256": hashlib.sha256(Path(source).read_bytes()).hexdigest()}
    return Network(name, again, "the user's own", foreign=True, facts=facts)


def _function(name: str, folder: str) -> Callable[..., Any]:
    """Finds what `module:function` names, in a folder or among what is installed."""
    module_name, _, words = name.partition(":")
    # First during the import, so that a file here wins over an installed module of its name; then
    # last, where it shadows nothing that is imported later.
    sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        why = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{name}: cannot import {module_name} in {folder}: {why}") from error
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)
    for word in words.split("."):
        if not hasattr(found, word):
            where = getattr(sys.modules[module_name], "__file__", "built in")
            raise InputError(f"{name}: {module_name} ({where}) has no {word}")
        found = getattr(found, word)
    if not callable(found):
        raise InputError(f"{name} must be a function or a class, got {type(found).__name__}")
    made: Callable[..., Any] = found
    return made
