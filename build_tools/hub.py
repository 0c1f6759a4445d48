"""Lays the installed kernels out as huggingface/kernels loads them.

    python build_tools/hub.py OUT [--version N]

writes OUT/build/<variant>/ from the installed `originet_ext`: one variant for CPUs and, if it has
CUDA kernels, one for the CUDA that it was built with. `kernels.get_local_kernel(OUT)` loads the one
that fits. Each build is a package of another name, with ops in a namespace of their own, so that
several can be loaded in one process, beside `originet_ext` too:

- the Python files import one another relatively, and name the ops by the new namespace, which is
  also in `_ops.py`;
- the library is a copy that holds the new namespace (csrc/registration.h);
- `layers.py` has the layers, which have no state, as the mapping of layers wants them.

The C++ autograd libraries, bound to single versions of torch, stay behind.
"""

import argparse
import base64
import hashlib
import json
import platform
import re
import shutil
from pathlib import Path

import originet_ext

NAME = "originet-ext"
STABLE_ABI = "211"  # setup.py's TORCH_TARGET
MARK = b"originet-ops-namespace:"
ROOM = 64 - len(MARK)  # csrc/ops.cpp

LAYERS = '''"""The layers, without state of their own: the slope below zero is the default, 0.1."""

from torch import Tensor, nn

from .rrelu import fused_rrelu


class FusedRReLU(nn.Module):
    """The refined ReLU, in place of activations such as `torch.nn.SiLU`."""

    can_torch_compile = True
    has_backward = True

    def forward(self, input: Tensor) -> Tensor:
        """Applies psi to a tensor of any shape."""
        return fused_rrelu(input)


__all__ = ["FusedRReLU"]
'''

OPS = '''"""The ops of this build."""

import torch

ops = torch.ops.{namespace}


def add_op_namespace_prefix(op_name: str) -> str:
    """Names an op of this build as torch.library does."""
    return f"{namespace}::{{op_name}}"
'''


def relative(source: str, namespace: str) -> str:
    """Rewrites a Python file of `originet_ext` for a package of any name.

    Raises:
        ValueError: It imports `originet_ext` in a way that is not known here.
    """
    for pattern, replacement in (
        (r"^(\s*)from originet_ext import", r"\1from . import"),
        (r"^(\s*)from originet_ext\.(\w+) import", r"\1from .\2 import"),
        (r"^import originet_ext$", "import sys"),
        (r"\boriginet_ext\.__path__", "sys.modules[__package__].__path__"),
        (r'"originet_ext(\.\w+)"', r'f"{__package__}\1"'),
        (r"\btorch\.ops\.originet\b", f"torch.ops.{namespace}"),
        (r'"originet::', f'"{namespace}::'),
        (r'Library\("originet"', f'Library("{namespace}"'),
    ):
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    if left := re.search(r"^\s*(import|from) originet_ext.*", source, re.MULTILINE):
        raise ValueError(f"cannot make this import relative: {left[0].strip()}")
    return source


def renamed(library: bytes, namespace: str) -> bytes:
    """Writes a namespace into a library.

    Raises:
        ValueError: The library has no place for it, or several.
    """
    if library.count(MARK) != 1:
        raise ValueError(f"the library has {library.count(MARK)} places for a namespace, not one")
    start = library.index(MARK) + len(MARK)
    text = namespace.encode()
    if len(text) >= ROOM:
        raise ValueError(f"namespace {namespace!r} has more than {ROOM - 1} bytes")
    return library[:start] + text.ljust(ROOM, b"\0") + library[start + ROOM :]


def write_variant(folder: Path, package: Path, name: str, version: int, backend: dict) -> None:
    """Writes a build of the kernel, of the name of its package and namespace."""
    folder.mkdir(parents=True)
    for path in sorted(package.glob("*.py")):
        (folder / path.name).write_text(relative(path.read_text(), name))
    with open(folder / "__init__.py", "a") as file:
        file.write("\nfrom . import _ops, layers  # noqa: E402, F401\n")
    (folder / "layers.py").write_text(LAYERS)
    (folder / "_ops.py").write_text(OPS.format(namespace=name))
    shutil.copy(package / "py.typed", folder)
    for library in package.glob("_C*.so"):
        (folder / library.name).write_bytes(renamed(library.read_bytes(), name))
    digests = {
        str(path.relative_to(folder)): base64.b64encode(hashlib.sha256(path.read_bytes()).digest())
        for path in sorted(folder.rglob("*"))
    }
    metadata = {
        "id": name,
        "name": NAME,
        "version": version,
        "license": "Apache-2.0",
        "python-depends": [],
        "backend": backend,
        "digest": {
            "algorithm": "sha256",
            "files": {path: digest.decode() for path, digest in digests.items()},
        },
    }
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")


def variants(info: dict[str, str]) -> dict[str, dict]:
    """The variants that a build serves, by name, and their backends as metadata has them."""
    system = f"{platform.machine()}-{platform.system().lower()}"
    backends = {"cpu": {"type": "cpu"}}
    if info["cuda_archs"]:
        backends["cu" + info["nvcc"].replace(".", "")] = {
            "type": "cuda",
            "archs": info["cuda_archs"].split(";"),
        }
    return {
        f"torch-stable-abi{STABLE_ABI}-{backend}-{system}": about
        for backend, about in backends.items()
    }


def write_hub(out: Path, version: int) -> list[Path]:
    """Writes all variants.

    Args:
        out: The repository's folder; its `build` folder must not exist.
        version: The kernel's version on the Hub.

    Returns:
        The variants' folders.
    """
    package = Path(originet_ext.__path__[0])
    digest = hashlib.sha256(str(version).encode())
    for path in sorted([*package.glob("*.py"), *package.glob("_C*.so")]):
        digest.update(path.read_bytes())
    folders = []
    for variant, backend in variants(originet_ext.build_info()).items():
        folders.append(out / "build" / variant)
        name = f"originet_ext_{digest.hexdigest()[:8]}_{backend['type']}"
        write_variant(folders[-1], package, name, version, backend)
    return folders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", type=int, default=1)
    args = parser.parse_args()
    for folder in write_hub(args.out, args.version):
        print(folder)


if __name__ == "__main__":
    main()
