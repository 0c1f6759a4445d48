"""Builds a package `originet_ext` whose CUDA kernels run on CPU tensors, without a GPU.

nvcc compiles csrc/*.cu to PTX and host code, ptx_translate.py writes the kernels in C++, and the
runtime of this folder takes the place of CUDA's. The ops are registered for the CPU, so everything
in originet_ext works as on a GPU; derivatives are those in Python.

    python tests/ptx/emulator.py

builds in build/emulated what is not up to date, and prints the folder to put into PYTHONPATH.
CXXFLAGS are for the translated code; by default, they fuse products and sums.
"""

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ninja
from ninja import ninja_syntax
from ptx_translate import translate

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "build_tools"))
from backend import find_torch, read_torch_version  # noqa: E402

# No machine code: the PTX for the GPU that the project is measured on, and for all later ones.
ARCHITECTURE = "-gencode=arch=compute_90,code=compute_90"
# The sources that the kernels need, besides those in CUDA.
HOST_SOURCES = ("ops.cpp", "library.cpp", "frame_accumulator.cpp")
RUNTIME = ("runtime.cpp", "shadow.cpp", "fiber.cpp", "registration.cpp", "cudart.cpp")
TRANSLATOR = [str(path) for path in sorted(HERE.glob("ptx_*.py"))]
# What ptxas does by default.
FUSED = "-ffp-contract=fast -mfma"
OPTIMISE = "-O1 -fno-strict-aliasing -ffp-contract=off"


class EmulatorError(RuntimeError):
    """The emulated kernels cannot be built; the message says why."""


def build(folder: Path = ROOT / "build" / "emulated") -> Path:
    """Builds what is not up to date, with CXXFLAGS for the translated code.

    Returns:
        The folder to import `originet_ext` from. There is one for each compiler, Python, torch and
        CXXFLAGS, and what does not depend on CXXFLAGS is shared.

    Raises:
        EmulatorError: there is no nvcc or no torch, or a compiler failed.
    """
    nvcc, torch_dir = _find_nvcc(), _find_torch()
    torch_version = read_torch_version(torch_dir)["__version__"]
    nvcc_version = subprocess.check_output([nvcc, "--version"], text=True)
    flags = os.environ.get("CXXFLAGS", FUSED)
    place = folder / _key(torch_version, nvcc_version, sys.version, str(torch_dir))
    package = place / _key(flags) / "originet_ext"
    package.mkdir(parents=True, exist_ok=True)
    with _locked(place):
        config = place / "build_config.h"
        text = _config_header(nvcc_version, torch_version)
        if not config.is_file() or config.read_text() != text:
            config.write_text(text)
        file = place / f"{package.parent.name}.ninja"
        with open(file, "w") as out:
            _write_rules(ninja_syntax.Writer(out, width=200), nvcc, torch_dir, flags)
            _write_builds(ninja_syntax.Writer(out, width=200), package)
        _run_ninja(file)
        _link_python(package)
    return package.parent


def build_changed(source: Path, place: Path) -> Path:
    """Builds the kernels of a changed CUDA source, in the folder where it lies.

    Where the library is loaded after the emulated originet_ext, whose symbols it must find, they
    take the place of the kernels of their names.

    Args:
        source: A copy of a file of csrc, with all that it includes beside it.
        place: What `build` returned.

    Raises:
        EmulatorError: as of `build`.
    """
    ptx, code, library = (source.with_suffix(end) for end in (".ptx", ".kernels.cpp", ".so"))
    cxx = os.environ.get("CXX", "g++")
    nvcc = [_find_nvcc(), "--ptx", "-ccbin", cxx, ARCHITECTURE, "-DORIGINET_EMULATED"]
    _run([*nvcc, *_options(_find_torch()), "-o", str(ptx), str(source)])
    text, right = ptx.read_text(), (place.parent / "ptx" / ptx.name).read_text()
    code.write_text(translate(text.replace(_anonymous(text), _anonymous(right))))
    options = f"-std=c++20 {OPTIMISE} -w -fPIC -shared -I{HERE}".split()
    _run([cxx, *options, str(code), "-o", str(library)])
    return library


def _anonymous(ptx: str) -> str:
    """The mangled name of originet's anonymous namespace; each call of nvcc makes another."""
    match = re.search(r"_ZN8originet((\d+)_GLOBAL__N_)", ptx)
    return ptx[match.start(1) :][: len(match[2]) + int(match[2])]


def _run(command: list[str]) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise EmulatorError(result.stdout)


def _find_torch() -> Path:
    torch_dir = find_torch()
    if torch_dir is None:
        raise EmulatorError("torch was not found")
    return torch_dir


def _find_nvcc() -> str:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = shutil.which("nvcc", path=f"{home}/bin" if home else None)
    if nvcc is None:
        raise EmulatorError("nvcc was not found")
    return nvcc


def _key(*values: str) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time build in a folder."""
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _config_header(nvcc_version: str, torch_version: str) -> str:
    strings = {
        "VERSION": "emulated",
        "CUDA_DECISION": "yes because the kernels are emulated",
        "CUDA_ARCHS": "9.0",
        "NVCC_VERSION": nvcc_version.splitlines()[-1],
        "TORCH_HEADERS": torch_version,
        "AUTOGRAD_DECISION": "not built because the kernels are emulated",
        "AUTOGRAD_TORCH": "",
    }
    return "".join(
        f"#define ORIGINET_{name} {json.dumps(text)}\n" for name, text in strings.items()
    )


def _options(torch_dir: Path) -> list[str]:
    """What the compilers need for csrc, besides build_config.h."""
    includes = ["-isystem", str(torch_dir / "include")]
    return ["-std=c++20", "-DTORCH_TARGET_VERSION=0x020b000000000000", *includes]


def _write_rules(writer: ninja_syntax.Writer, nvcc: str, torch_dir: Path, flags: str) -> None:
    writer.variable("cxx", os.environ.get("CXX", "g++"))
    writer.variable("flags", flags)
    writer.variable("common", f"{shlex.join(_options(torch_dir))} -I.")
    writer.rule(
        "nvcc",
        f"{shlex.quote(nvcc)} -MMD -MF $out.d --keep --keep-dir ptx -ccbin $cxx {ARCHITECTURE} "
        f"-Xcompiler -fPIC,-fvisibility=hidden -DORIGINET_EMULATED $common -c $in -o $out",
        depfile="$out.d",
        deps="gcc",
    )
    writer.rule(
        "host",
        f"$cxx -MMD -MF $out.d -O0 -fPIC -fvisibility=hidden -I{ROOT / 'csrc'} $common "
        "-c $in -o $out",
        depfile="$out.d",
        deps="gcc",
    )
    writer.rule("translate", f"{sys.executable} {HERE / 'ptx_translate.py'} $in $out", restat=True)
    for rule, options in (("emulated", f"{OPTIMISE} -w $flags"), ("runtime", "-O2")):
        writer.rule(
            rule,
            f"$cxx -MMD -MF $out.d -std=c++20 {options} -fPIC -I{HERE} -c $in -o $out",
            depfile="$out.d",
            deps="gcc",
        )
    # --no-as-needed -ltorch: as setup.py links. -Bsymbolic: a CUDA torch loads a true cudart.
    libraries = f"-L{torch_dir / 'lib'} -Wl,--no-as-needed,-ltorch,--as-needed -ltorch_cpu"
    writer.rule("link", f"$cxx -shared -Wl,-Bsymbolic $in {libraries} -o $out")


def _write_builds(writer: ninja_syntax.Writer, package: Path) -> None:
    own = package.parent.name
    objects = []
    (package.parents[1] / "ptx").mkdir(exist_ok=True)
    for source in sorted((ROOT / "csrc").glob("*.cu")):
        name = source.stem
        objects += writer.build(
            f"host/{name}.o", "nvcc", str(source), implicit_outputs=f"ptx/{name}.ptx"
        )
        writer.build(f"ptx/{name}.kernels.cpp", "translate", f"ptx/{name}.ptx", TRANSLATOR)
        objects += writer.build(f"{own}/{name}.o", "emulated", f"ptx/{name}.kernels.cpp")
    for name in HOST_SOURCES:
        objects += writer.build(f"host/{name}.o", "host", str(ROOT / "csrc" / name))
    objects += writer.build("host/cpu_backend.o", "host", str(HERE / "cpu_backend.cpp"))
    for name in RUNTIME:
        objects += writer.build(f"runtime/{name}.o", "runtime", str(HERE / name))
    writer.build(f"{own}/originet_ext/_C.so", "link", objects)


def _run_ninja(file: Path) -> None:
    command = [str(Path(ninja.BIN_DIR) / "ninja"), "-C", str(file.parent), "-f", file.name]
    command += ["-j", os.environ.get("MAX_JOBS") or str(os.cpu_count())]
    if "no work to do" in subprocess.run([*command, "-n"], capture_output=True, text=True).stdout:
        return
    print(f"building the emulated kernels in {file.parent}", file=sys.stderr, flush=True)
    _run(command)


def _link_python(package: Path) -> None:
    """Puts the modules of originet_ext beside the library, such that later changes show."""
    for link in package.glob("*.py"):
        link.unlink()
    for module in (ROOT / "originet_ext").glob("*.py"):
        (package / module.name).symlink_to(module)


if __name__ == "__main__":
    try:
        print(build())
    except EmulatorError as error:
        sys.exit(str(error))
