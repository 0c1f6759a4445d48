"""Builds `originet_ext._C` and `originet_ext._autograd_cpp`; all else is in pyproject.toml.

`_C` holds the kernels and is bound to no version of torch; `_autograd_cpp` holds their derivatives
and serves the torch that it was built with (docs/design.md, "Build"). Both need torch's headers and
the names of its libraries, so this file does not import torch. CUDA kernels are compiled wherever
nvcc is found, with or without a GPU and for a CPU-only torch too.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent / "build_tools"))
from backend import BUILD_TORCH, find_torch, parse_version, read_torch_version
from flags import OPTIMISE, WARNINGS

ROOT = Path(__file__).parent.resolve()
KERNELS = "originet_ext._C"
AUTOGRAD = "originet_ext._autograd_cpp"
TORCH_TARGET = "0x020b000000000000"  # torch 2.11: the oldest that the library loads in
# The versions of torch whose C++ classes csrc/autograd is known to fit.
AUTOGRAD_TORCH = ((2, 11), (2, 14))
DEFAULT_ARCHS = "7.5;8.0;8.6;8.9;9.0;10.0;12.0"


class BuildError(SystemExit):
    """Ends the build with one readable line."""

    def __init__(self, message: str) -> None:
        super().__init__(f"originet build error: {message}")


@dataclass(frozen=True)
class Cuda:
    """What the build decided about CUDA; `nvcc` is None for a CPU-only build."""

    decision: str
    nvcc: Path | None = None
    version: str = ""
    archs: tuple[str, ...] = ()


def find_nvcc() -> Path | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        nvcc = Path(home) / "bin" / "nvcc"
        return nvcc if nvcc.is_file() else None
    found = shutil.which("nvcc")
    return Path(found) if found else None


def cuda_archs(nvcc: Path) -> tuple[str, ...]:
    """The list of TORCH_CUDA_ARCH_LIST, or the default list cut to what this nvcc knows.

    The newest default architecture comes with PTX, which newer GPUs compile for themselves.
    """
    known = set(
        re.findall(r"sm_(\w+)", subprocess.check_output([nvcc, "--list-gpu-code"], text=True))
    )
    requested = os.environ.get("TORCH_CUDA_ARCH_LIST")
    archs = []
    for arch in re.split(r"[;,\s]+", (requested or DEFAULT_ARCHS).strip()):
        match = re.fullmatch(r"(\d+)\.(\d+)([af]?)(\+PTX)?", arch)
        if match is None:
            raise BuildError(
                f"TORCH_CUDA_ARCH_LIST: {arch!r} is not of the form 9.0, 9.0a or 9.0+PTX"
            )
        if match.group(1) + match.group(2) in known:
            archs.append(arch)
        elif requested:
            raise BuildError(
                f"TORCH_CUDA_ARCH_LIST: {nvcc} does not know {arch!r}; it knows {sorted(known)}"
            )
    if not requested:
        archs[-1] += "+PTX"
    return tuple(archs)


def decide_cuda(torch_cuda: str | None, torch_hip: str | None) -> Cuda:
    """Applies ORIGINET_CUDA=auto|0|1; both versions are None for a CPU-only torch."""
    wish = os.environ.get("ORIGINET_CUDA", "auto")
    if wish not in ("auto", "0", "1"):
        raise BuildError(f"ORIGINET_CUDA must be auto, 0 or 1, got {wish!r}")
    if wish == "0":
        return Cuda("no because ORIGINET_CUDA=0")
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "not set"
    nvcc = find_nvcc()
    if torch_hip is not None:
        # Such a torch calls AMD's GPUs "cuda" and would take the kernels for its own.
        reason = f"torch is built for ROCm (HIP {torch_hip}), for which there are no kernels"
    elif nvcc is None:
        reason = f"nvcc was not found (PATH, CUDA_HOME={home})"
    else:
        printed = subprocess.check_output([nvcc, "--version"], text=True)
        match = re.search(r"release (\d+\.\d+)", printed)
        version = match.group(1) if match else "unknown"
        if torch_cuda is None or torch_cuda.split(".")[0] == version.split(".")[0]:
            archs = cuda_archs(nvcc)
            built_for = f"torch's CUDA {torch_cuda}" if torch_cuda else "a CPU-only torch"
            return Cuda(
                f"yes because nvcc {version} was found at {nvcc} (with {built_for})",
                nvcc,
                version,
                archs,
            )
        reason = (
            f"nvcc {version} ({nvcc}, CUDA_HOME={home}) and torch's CUDA {torch_cuda} differ in "
            "the major version"
        )
    if wish == "1":
        raise BuildError(f"ORIGINET_CUDA=1, but {reason}")
    return Cuda(f"no because {reason}")


def decide_autograd(torch_version: str) -> tuple[bool, str]:
    """Applies ORIGINET_AUTOGRAD=auto|cpp|python: whether to build `_autograd_cpp`, and why."""
    wish = os.environ.get("ORIGINET_AUTOGRAD", "auto")
    if wish not in ("auto", "cpp", "python"):
        raise BuildError(f"ORIGINET_AUTOGRAD must be auto, cpp or python, got {wish!r}")
    if wish == "python":
        return False, "not built because ORIGINET_AUTOGRAD=python"
    oldest, newest = AUTOGRAD_TORCH
    if wish == "cpp" or oldest <= parse_version(torch_version) <= newest:
        return True, f"built with torch {torch_version}"
    known = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    return False, f"not built because it is written for torch {known}, not for {torch_version}"


def config_header(version: str, cuda: Cuda, torch_headers: str, autograd: str) -> str:
    """The text of build_config.h, which module.cpp reports through build_info()."""
    strings = {
        "VERSION": version,
        "CUDA_DECISION": cuda.decision,
        "CUDA_ARCHS": ";".join(cuda.archs),
        "NVCC_VERSION": cuda.version,
        "TORCH_HEADERS": torch_headers,
        "AUTOGRAD_DECISION": autograd,
    }
    lines = [f"#define ORIGINET_{name} {json.dumps(value)}" for name, value in strings.items()]
    if cuda.nvcc:
        lines.append("#define ORIGINET_WITH_CUDA")
    return "\n".join(["#pragma once", *lines, ""])


class NinjaBuildExt(build_ext):
    """Compiles with ninja, in parallel; MAX_JOBS limits the number of compilers at a time."""

    def build_extensions(self) -> None:
        import ninja
        from ninja import ninja_syntax

        torch_dir = find_torch()
        if torch_dir is None:
            raise BuildError(f"torch >= 2.11 was not found; run pip install {BUILD_TORCH}")
        torch_version = read_torch_version(torch_dir)
        torch_headers = torch_version["__version__"] or "unknown"
        cuda = decide_cuda(torch_version["cuda"], torch_version["hip"])
        with_autograd, autograd = decide_autograd(torch_headers)
        print(f"originet: CUDA kernels: {cuda.decision}", file=sys.stderr, flush=True)
        print(f"originet: C++ autograd: {autograd}", file=sys.stderr, flush=True)
        if not with_autograd:
            self.extensions[:] = [ext for ext in self.extensions if ext.name == KERNELS]

        outputs = {
            ext.name: Path(self.get_ext_fullpath(ext.name)).resolve() for ext in self.extensions
        }
        build_dir = Path(self.build_temp).resolve()
        for folder in (build_dir, *(output.parent for output in outputs.values())):
            folder.mkdir(parents=True, exist_ok=True)
        header = config_header(self.distribution.get_version(), cuda, torch_headers, autograd)
        (build_dir / "build_config.h").write_text(header)
        with open(build_dir / "build.ninja", "w") as file:
            writer = ninja_syntax.Writer(file, width=200)
            self.write_flags(writer, build_dir, torch_dir)
            self.write_kernels(writer, outputs[KERNELS], cuda)
            if with_autograd:
                self.write_autograd(writer, outputs[AUTOGRAD])
        command = [str(Path(ninja.BIN_DIR) / "ninja"), "-C", str(build_dir)]
        if jobs := os.environ.get("MAX_JOBS"):
            command += ["-j", jobs]
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError as error:
            raise BuildError("the compiler failed; its output is above") from error

    def write_flags(self, writer, build_dir, torch_dir) -> None:
        # pybind11 first: torch's include folder holds a copy that refuses the stable ABI.
        system = [pybind11.get_include(), torch_dir / "include", sysconfig.get_path("include")]
        includes = [f"-isystem {shlex.quote(str(path))}" for path in system]
        # What __FILE__ puts into error messages says nothing of this machine. The last that fits
        # counts.
        places = [(ROOT, "originet"), (build_dir, "build")]
        places += zip(system, ("pybind11", "torch", "python"), strict=True)
        prefixes = [shlex.quote(f"-fmacro-prefix-map={path}={name}") for path, name in places]
        debug = ["-g"] if self.debug else []
        extra = os.environ.get("CXXFLAGS", "").split()
        writer.variable("cxx", os.environ.get("CXX", "g++"))
        writer.variable("common", ["-std=c++20", *includes, f"-I{shlex.quote(str(build_dir))}"])
        writer.variable("stable", f"-DTORCH_TARGET_VERSION={TORCH_TARGET}")
        writer.variable("prefixes", prefixes)
        writer.variable("nvccprefixes", [f"-Xcompiler {prefix}" for prefix in prefixes])
        writer.variable(
            "cxxflags",
            [*WARNINGS, "-fPIC", "-fvisibility=hidden", *debug, "$prefixes", "$common", *extra],
        )
        writer.variable("optimise", OPTIMISE)
        writer.variable("libraries", f"-L{shlex.quote(str(torch_dir / 'lib'))}")
        writer.rule(
            "cxx",
            "$cxx -MMD -MF $out.d $optimise $cxxflags $stable -c $in -o $out",
            depfile="$out.d",
            deps="gcc",
        )

    def write_kernels(self, writer, output, cuda) -> None:
        # `--no-as-needed -ltorch`: a CUDA torch resolves the weak CUDA shims only for a library
        # that names libtorch.so as needed.
        needed = "--no-as-needed,-ltorch,--as-needed"
        sources = sorted((ROOT / "csrc").glob("*.cpp"))
        if cuda.nvcc:
            gencode = []
            for arch in cuda.archs:
                number = arch.removesuffix("+PTX").replace(".", "")
                gencode.append(f"-gencode=arch=compute_{number},code=sm_{number}")
                if arch.endswith("+PTX"):
                    gencode.append(f"-gencode=arch=compute_{number},code=compute_{number}")
            writer.variable("nvcc", str(cuda.nvcc))
            writer.variable(
                "nvccflags",
                [
                    "-O3",
                    "-Xcompiler -fPIC,-fvisibility=hidden,-Wall",
                    "-ccbin $cxx",
                    *gencode,
                    "$nvccprefixes",
                    "$common",
                ],
            )
            writer.rule(
                "nvcc",
                "$nvcc -MD -MF $out.d $nvccflags $stable -c $in -o $out",
                depfile="$out.d",
                deps="gcc",
            )
            sources += sorted((ROOT / "csrc").glob("*.cu"))
            # nvcc knows where its runtime is. Linked statically, none is needed at run time.
            link = f"$nvcc -shared -cudart static -ccbin $cxx $in -Xlinker {needed}"
        else:
            link = f"$cxx -shared $in -Wl,{needed}"
        writer.rule("link", f"{link} $libraries -ltorch_cpu -o $out")
        self.write_library(writer, "link", output, sources)

    def write_autograd(self, writer, output) -> None:
        writer.rule(
            "link_autograd",
            "$cxx -shared $in $libraries -ltorch_python -ltorch_cpu -lc10 -o $out",
        )
        sources = sorted((ROOT / "csrc" / "autograd").glob("*.cpp"))
        # Calls of ops, which need no more than -O1, and torch's own classes.
        own = {"optimise": "-O1", "stable": "-DAT_PER_OPERATOR_HEADERS"}
        self.write_library(writer, "link_autograd", output, sources, own)

    def write_library(self, writer, link, output, sources, variables=None) -> None:
        objects = []
        for source in sources:
            target = str(source.relative_to(ROOT / "csrc").with_suffix(f"{source.suffix}.o"))
            rule = "nvcc" if source.suffix == ".cu" else "cxx"
            objects += writer.build(target, rule, str(source), variables=variables)
        writer.build(str(output), link, objects)


setup(
    ext_modules=[Extension(KERNELS, sources=[]), Extension(AUTOGRAD, sources=[])],
    cmdclass={"build_ext": NinjaBuildExt},
)
