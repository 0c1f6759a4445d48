#!/usr/bin/env python3
"""Builds the wheel that is published, one for all versions of Python and torch.

    python3 build_tools/make_wheel.py [--cpu] [--arch x86_64|aarch64] [--torch VERSION] [--out DIR]

needs Linux with g++, Python's headers (Debian: python3-dev, python3-venv) and, unless `--cpu` is
given, nvcc. For aarch64, which gets no CUDA kernels, it needs Debian's g++-aarch64-linux-gnu. Every
`--torch` gets C++ autograd; other versions use that in Python, as `originet doctor` says. From PyPI
it takes build_tools/requirements.txt, by hash, and 0.5 GB for each torch, of which it keeps the
headers in build/wheel.

SOURCE_DATE_EPOCH, by default the time of the last commit, dates the files in the wheel: the same
source, compilers and torch give the same bytes. The last lines say the wheel's name, size and hash,
and the oldest Linux that auditwheel finds it to run on; a newer one than the name says is an error.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from backend import BUILD_TORCH

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "wheel"
# The last release of each version that csrc/autograd fits; patch releases share their classes.
TORCH = ["2.11.0", "2.12.1", BUILD_TORCH.split("==")[1], "2.14.1"]
PLATFORM = "manylinux_2_28"
MEGABYTES = 100
LIBRARIES = [f"torch/lib/lib{name}.so" for name in ("torch", "torch_cpu", "torch_python", "c10")]


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Runs a command that must succeed."""
    print("+", *(str(word).split("\n")[0] for word in command), flush=True)
    return subprocess.run(command, text=True, check=True, **options)


def make_tools() -> Path:
    """Makes a virtual environment with what builds the wheel; returns its Python."""
    python = FOLDER / "tools" / "bin" / "python"
    if not python.is_file():
        run(sys.executable, "-m", "venv", FOLDER / "tools")
    requirements = ROOT / "build_tools" / "requirements.txt"
    run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", requirements)
    return python


def fetch_torch(python: Path, version: str, arch: str) -> Path:
    """Unpacks what the build needs of a release of torch; returns the folder that holds `torch`."""
    target = FOLDER / "torch" / arch / version
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
        run(
            *(python, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"),
            # One Python's torch serves: its headers and the names of its libraries are the same.
            *("--python-version", "3.11", "--platform", f"manylinux_2_28_{arch}"),
            *("-d", temporary, f"torch=={version}"),
        )
        (wheel,) = Path(temporary).glob("torch-*.whl")
        unpacked = Path(temporary) / "unpacked"
        with zipfile.ZipFile(wheel) as archive:
            names = [
                name
                for name in archive.namelist()
                if name.startswith("torch/include/")
                or name in ("torch/__init__.py", "torch/version.py", *LIBRARIES)
            ]
            archive.extractall(unpacked, names)
        target.parent.mkdir(parents=True, exist_ok=True)
        unpacked.rename(target)
    return target


def date_of_source() -> str:
    """Gives SOURCE_DATE_EPOCH, or the time of the last commit, in seconds."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return given or subprocess.check_output(command, text=True).strip()


def build_wheel(python: Path, torch: list[Path], arguments: argparse.Namespace) -> Path:
    """Builds the wheel from the source distribution, which so proves to be complete."""
    os.umask(0o022)  # the modes of the files are in the wheel
    environment = {k: v for k, v in os.environ.items() if k not in ("CXXFLAGS", "PYTHONPATH")}
    environment |= {
        "SOURCE_DATE_EPOCH": date_of_source(),
        "ORIGINET_PLATFORM": f"{PLATFORM}_{arguments.arch}",
        "ORIGINET_CUDA": "0" if arguments.cpu or arguments.arch != "x86_64" else "1",
        "ORIGINET_AUTOGRAD": "auto",
        "ORIGINET_AUTOGRAD_TORCH": os.pathsep.join(str(folder / "torch") for folder in torch),
        # setup.py finds torch there, without importing it.
        "PYTHONPATH": str(fetch_torch(python, BUILD_TORCH.split("==")[1], arguments.arch)),
    }
    if arguments.arch != os.uname().machine:
        environment["CXX"] = f"{arguments.arch}-linux-gnu-g++"
    with tempfile.TemporaryDirectory() as temporary:
        make = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
        log = Path(temporary) / "sdist.log"
        with open(log, "w") as file:
            run(python, "-c", make, temporary, cwd=ROOT, env=environment, stdout=file)
        (source,) = Path(temporary).glob("originet-*.tar.gz")
        run(
            *(python, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"),
            *("-v", "-w", temporary, source),
            env=environment,
        )
        (wheel,) = Path(temporary).glob("originet-*.whl")
        arguments.out.mkdir(parents=True, exist_ok=True)
        target = arguments.out / wheel.name
        target.write_bytes(wheel.read_bytes())
    return target


def main() -> int:
    """Builds the wheel and looks at it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cpu", action="store_true", help="leave the CUDA kernels out")
    parser.add_argument("--arch", choices=("x86_64", "aarch64"), default="x86_64")
    parser.add_argument("--torch", action="append", metavar="VERSION", help=f"default: {TORCH}")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = make_tools()
    torch = [fetch_torch(python, version, arguments.arch) for version in arguments.torch or TORCH]
    wheel = build_wheel(python, torch, arguments)
    megabytes = wheel.stat().st_size / 1e6
    print(f"{wheel}: {megabytes:.1f} MB, sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    if megabytes > MEGABYTES:
        print(f"more than PyPI takes, {MEGABYTES} MB", file=sys.stderr)
        return 1
    audit = ROOT / "build_tools" / "audit.py"
    return subprocess.run([python, audit, wheel], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
