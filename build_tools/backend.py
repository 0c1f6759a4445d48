"""PEP 517 backend: setuptools, plus torch as a build requirement only where none is installed.

The extension needs torch's headers alone, so a build in an isolated environment uses the torch
that stands in the target environment and never fetches a second one.
"""

import importlib.util
import re
import site
import sysconfig
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (the hooks that need no change)
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

MINIMUM_TORCH = (2, 11)
# Its headers are the tested ones; the built library serves MINIMUM_TORCH and later.
BUILD_TORCH = "torch==2.13.0"


def read_torch_version(torch_dir: Path) -> dict[str, str | None]:
    """Reads `__version__`, `cuda` and `hip` from torch/version.py without importing torch."""
    text = (torch_dir / "version.py").read_text()
    found: dict[str, str | None] = {}
    for key in ("__version__", "cuda", "hip"):
        match = re.search(rf"^{key}\b[^=\n]*=\s*'([^']*)'", text, re.MULTILINE)
        found[key] = match.group(1) if match else None
    return found


def parse_version(version: str) -> tuple[int, int]:
    """Gives the major and minor version, as numbers to compare."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def candidates() -> list[Path]:
    """Where torch may stand: what `import` finds, then the interpreter's own site directories.

    Build isolation hides the latter from `import`, but not from `sysconfig`.
    """
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.origin is not None:
        folders.insert(0, str(Path(spec.origin).parents[1]))
    return [Path(folder) / "torch" for folder in folders]


def find_torch() -> Path | None:
    """Finds the package folder of an installed torch that is new enough."""
    for torch_dir in candidates():
        if not (torch_dir / "version.py").is_file():
            continue
        if parse_version(read_torch_version(torch_dir)["__version__"] or "0.0") >= MINIMUM_TORCH:
            return torch_dir
    return None


def _with_torch(requirements: list[str]) -> list[str]:
    return requirements if find_torch() else [*requirements, BUILD_TORCH]


def get_requires_for_build_wheel(config_settings=None):
    return _with_torch(build_meta.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings=None):
    return _with_torch(build_meta.get_requires_for_build_editable(config_settings))
