"""Builds the libraries of `originet_ext`; all else is in pyproject.toml.

`_C.so` holds the kernels and is bound to no version of torch; `_autograd_torch213.abi3.so` holds
their derivatives and serves torch 2.13 (docs/design.md, "Build"). Neither is bound to a version of
Python. Both need torch's headers and the names of its libraries, so this file does not import
torch. CUDA kernels are compiled wherever nvcc is found, with or without a GPU and for a CPU-only
torch too.
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

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent / "build_tools"))
from backend import BUILD_TORCH, find_torch, parse_version, read_torch_version
from flags import WARNINGS, optimise
from old_glibc import make_stubs
from wheel_command import Wheel

ROOT = Path(__file__).parent.resolve()
KERNELS = "originet_ext._C"
TORCH_TARGET = "0x020b000000000000"  # torch 2.11: the oldest that the library loads in
# The versions of torch whose C++ classes csrc/autograd is known to fit.
AUTOGRAD_TORCH = ((2, 11), (2, 14))
PLATFORM = os.environ.get("ORIGINET_PLATFORM", "")
# What is published goes without what only debuggers read.
STRIP = ["--strip-all"] if PLATFORM else []
# Code for 8.6 runs on 8.9 too, where nvcc would make nearly the same.
DEFAULT_ARCHS = "7.5;8.0;8.6;9.0;10.0;12.0"
# For each of a family, nvcc's front end makes the same PTX; it takes twice as long as ptxas.
PTX_FAMILIES = (("8.0", "8.6", "8.7", "8.9"), ("10.0", "10.3", "11.0", "12.0", "12.1"))


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


def compiler_name(command: str) -> str:
    """What the C++ compiler prints of itself in one line, or "unknown"."""
    printed = subprocess.run(
        [*shlex.split(command), "--version"], capture_output=True, text=True, check=False
    ).stdout
    return printed.partition("\n")[0] or "unknown"


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


def gencode(archs: tuple[str, ...]) -> list[str]:
    """The options of nvcc that compile for a list of architectures.

    Those of one family share the PTX of its first in the list.
    """
    plain = [arch.removesuffix("+PTX") for arch in archs]
    codes: dict[str, list[str]] = {}
    for arch, name in zip(archs, plain, strict=True):
        family = next((family for family in PTX_FAMILIES if name in family), (name,))
        first = next(member for member in family if member in plain).replace(".", "")
        code = codes.setdefault(first, [])
        code.append(f"sm_{name.replace('.', '')}")
        if arch.endswith("+PTX") and f"compute_{first}" not in code:
            code.append(f"compute_{first}")
    return [
        f"-gencode=arch=compute_{first},code=[{','.join(code)}]" for first, code in codes.items()
    ]


def check_platform() -> None:
    if sys.platform != "linux":
        raise BuildError(
            f"the kernels are built on Linux only, by GCC or clang, and this is {sys.platform}; "
            "use Linux in a container, a virtual machine or WSL"
        )


@dataclass(frozen=True)
class Compiler:
    """What $CXX says: a compiler, and perhaps a cache before it (`ccache g++`)."""

    path: str
    launcher: str
    cuda_launcher: str


def find_compiler() -> Compiler:
    """Applies CXX, and the variables by which CMake and torch are told of ccache or sccache."""
    words = shlex.split(os.environ.get("CXX", "g++"))
    launcher = ""
    if Path(words[0]).name in ("ccache", "sccache"):
        launcher = words.pop(0)
    launcher = os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER", launcher)
    cuda_launcher = os.environ.get("CMAKE_CUDA_COMPILER_LAUNCHER", launcher)
    for program in (*words[:1], launcher, cuda_launcher):
        if program and shutil.which(program) is None:
            raise BuildError(
                f"{program} was not found; install it, or name another compiler by CXX"
            )
    return Compiler(shlex.join(words), launcher, cuda_launcher)


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


def torch_version_of(folder: Path) -> str:
    return read_torch_version(folder)["__version__"] or "0.0"


def autograd_name(torch_version: str) -> str:
    major, minor = parse_version(torch_version)
    return f"originet_ext._autograd_torch{major}{minor}"


def decide_autograd() -> tuple[dict[str, Path], str]:
    """Applies ORIGINET_AUTOGRAD=auto|cpp|python.

    Returns:
        The package folders of torch to build C++ autograd for, by version, and why those.
        ORIGINET_AUTOGRAD_TORCH lists them like PATH; by default it is the torch of the build.
    """
    wish = os.environ.get("ORIGINET_AUTOGRAD", "auto")
    if wish not in ("auto", "cpp", "python"):
        raise BuildError(f"ORIGINET_AUTOGRAD must be auto, cpp or python, got {wish!r}")
    if wish == "python":
        return {}, "not built because ORIGINET_AUTOGRAD=python"
    listed = os.environ.get("ORIGINET_AUTOGRAD_TORCH")
    folders = [Path(name) for name in listed.split(os.pathsep)] if listed else [find_torch()]
    versions = {torch_version_of(folder): folder for folder in folders if folder is not None}
    oldest, newest = AUTOGRAD_TORCH
    fitting = {
        version: folder
        for version, folder in versions.items()
        if wish == "cpp" or oldest <= parse_version(version) <= newest
    }
    if fitting:
        return fitting, f"built with torch {', '.join(fitting)}"
    known = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    return {}, (f"not built because it is written for torch {known}, not for {', '.join(versions)}")


def config_header(version: str, cuda: Cuda, torch_headers: str, autograd: str) -> str:
    """The text of build_config.h, which library.cpp reports through build_info()."""
    strings = {
        "VERSION": version,
        "CUDA_DECISION": cuda.decision,
        "CUDA_ARCHS": ";".join(cuda.archs),
        "NVCC_VERSION": cuda.version,
        "TORCH_HEADERS": torch_headers,
        "AUTOGRAD_DECISION": autograd,
        "AUTOGRAD_TORCH": ";".join(AUTOGRAD_FOLDERS),
    }
    lines = [f"#define ORIGINET_{name} {json.dumps(value)}" for name, value in strings.items()]
    if cuda.nvcc:
        lines.append("#define ORIGINET_WITH_CUDA")
    return "\n".join(["#pragma once", *lines, ""])


def size(path: Path) -> int:
    return path.stat().st_size


class NinjaBuildExt(build_ext):
    """Compiles with ninja, in parallel; MAX_JOBS limits the number of compilers at a time.

    With ORIGINET_PLATFORM=manylinux_2_28_x86_64, say, what is built runs on any such system.
    """

    def get_ext_filename(self, fullname: str) -> str:
        # `_C` is a plain library (csrc/exported.h), the others are modules of the stable ABI.
        suffix = ".so" if fullname.split(".")[-1] == KERNELS.split(".")[-1] else ".abi3.so"
        return fullname.replace(".", os.sep) + suffix

    def build_extensions(self) -> None:
        import ninja
        from ninja import ninja_syntax

        check_platform()
        compiler = find_compiler()
        torch_dir = find_torch()
        if torch_dir is None:
            raise BuildError(f"torch >= 2.11 was not found; run pip install {BUILD_TORCH}")
        torch_version = read_torch_version(torch_dir)
        torch_headers = torch_version["__version__"] or "unknown"
        cuda = decide_cuda(torch_version["cuda"], torch_version["hip"])
        headers = list(dict.fromkeys([torch_headers, *AUTOGRAD_FOLDERS]))
        name = compiler_name(compiler.path)
        self.inside = {"torch": headers, "cuda": cuda.version, "compiler": name}
        print(f"originet: CUDA kernels: {cuda.decision}", file=sys.stderr, flush=True)
        print(f"originet: C++ autograd: {AUTOGRAD_DECISION}", file=sys.stderr, flush=True)

        outputs = {
            ext.name: Path(self.get_ext_fullpath(ext.name)).resolve() for ext in self.extensions
        }
        build_dir = Path(self.build_temp).resolve()
        for folder in (build_dir, *(output.parent for output in outputs.values())):
            folder.mkdir(parents=True, exist_ok=True)
        header = config_header(
            self.distribution.get_version(), cuda, torch_headers, AUTOGRAD_DECISION
        )
        (build_dir / "build_config.h").write_text(header)
        stubs = []
        if PLATFORM.startswith("manylinux"):
            stubs = make_stubs(build_dir / "old_glibc", shlex.split(compiler.path))
        with open(build_dir / "build.ninja", "w") as file:
            writer = ninja_syntax.Writer(file, width=200)
            self.write_flags(writer, build_dir, torch_dir, compiler)
            # What takes longest comes first, since ninja starts in the order of the file.
            kernels = self.write_cuda(writer, cuda)
            for version, folder in AUTOGRAD_FOLDERS.items():
                output = outputs[autograd_name(version)]
                self.write_autograd(writer, output, build_dir, folder)
            self.write_kernels(writer, outputs[KERNELS], cuda, stubs, kernels)
        command = [str(Path(ninja.BIN_DIR) / "ninja"), "-C", str(build_dir)]
        if jobs := os.environ.get("MAX_JOBS"):
            command += ["-j", jobs]
        status = {"NINJA_STATUS": "originet: [%f/%t, %es] "} | os.environ
        try:
            subprocess.run(command, check=True, env=status)
        except subprocess.CalledProcessError as error:
            raise BuildError("the compiler failed; its output is above") from error

    def write_flags(self, writer, build_dir, torch_dir, compiler) -> None:
        includes, prefixes = self.includes(build_dir, (torch_dir / "include", "torch"))
        debug = ["-g"] if self.debug else []
        extra = os.environ.get("CXXFLAGS", "").split()
        writer.variable("cxx", compiler.path)
        writer.variable("launcher", compiler.launcher)
        writer.variable("cudalauncher", compiler.cuda_launcher)
        writer.variable("common", ["-std=c++20", f"-I{shlex.quote(str(build_dir))}"])
        writer.variable("includes", includes)
        writer.variable("stable", f"-DTORCH_TARGET_VERSION={TORCH_TARGET}")
        writer.variable("prefixes", prefixes)
        writer.variable("nvccprefixes", [f"-Xcompiler {prefix}" for prefix in prefixes])
        writer.variable(
            "cxxflags",
            [*WARNINGS, "-fPIC", "-fvisibility=hidden", *debug, "$common", *extra],
        )
        writer.variable("optimise", optimise(compiler.path))
        writer.variable("libraries", f"-L{shlex.quote(str(torch_dir / 'lib'))}")
        writer.rule(
            "cxx",
            "$launcher $cxx -MMD -MF $out.d $optimise $cxxflags $includes $prefixes $stable "
            "-c $in -o $out",
            description="$out",
            depfile="$out.d",
            deps="gcc",
        )

    @staticmethod
    def includes(build_dir: Path, *system: tuple[Path, str]) -> tuple[list[str], list[str]]:
        """The options for folders of headers, and for what __FILE__ calls them.

        It stands in error messages and is to say nothing of this machine. Of the latter options,
        the last that fits counts.
        """
        places = [(ROOT, "originet"), (build_dir, "build"), *system]
        prefixes = [shlex.quote(f"-fmacro-prefix-map={path}={name}") for path, name in places]
        return [f"-isystem {shlex.quote(str(path))}" for path, _ in system], prefixes

    def write_cuda(self, writer, cuda) -> list[str]:
        if cuda.nvcc is None:
            return []
        sources = sorted((ROOT / "csrc").glob("*.cu"), key=size, reverse=True)
        writer.variable("nvcc", str(cuda.nvcc))
        writer.variable(
            "nvccflags",
            [
                "-O3",
                # The host's part of these files checks arguments and launches kernels.
                "-Xcompiler -O1,-fPIC,-fvisibility=hidden,-Wall",
                "-ccbin $cxx",
                *gencode(cuda.archs),
                "$nvccprefixes",
                "$common",
            ],
        )
        writer.rule(
            "nvcc",
            "$cudalauncher $nvcc -MD -MF $out.d $nvccflags $includes $stable -c $in -o $out",
            description="$out",
            depfile="$out.d",
            deps="gcc",
        )
        return self.write_objects(writer, sources)

    def write_kernels(self, writer, output, cuda, stubs, objects) -> None:
        # `--no-as-needed -ltorch`: a CUDA torch resolves the weak CUDA shims only for a library
        # that names libtorch.so as needed.
        exports = f"--version-script={shlex.quote(str(ROOT / 'csrc' / 'exports'))}"
        paths = [shlex.quote(str(path)) for path in stubs]
        needed = ",".join([exports, *STRIP, "--no-as-needed", "-ltorch", *paths, "--as-needed"])
        sources = sorted((ROOT / "csrc").glob("*.cpp"), key=size, reverse=True)
        objects = [*objects, *self.write_objects(writer, sources)]
        if cuda.nvcc:
            # nvcc knows where its runtime is. Linked statically, none is needed at run time.
            link = f"$nvcc -shared -cudart static -ccbin $cxx $in -Xlinker {needed}"
        else:
            link = f"$cxx -shared $in -Wl,{needed}"
        writer.rule("link", f"{link} $libraries -ltorch_cpu -o $out", description="$out")
        writer.build(str(output), "link", objects)

    def write_autograd(self, writer, output, build_dir, torch_dir) -> None:
        name = output.name.split(".")[0]
        python = (Path(sysconfig.get_path("include")), "python")
        includes, prefixes = self.includes(build_dir, (torch_dir / "include", "torch"), python)
        libraries = f"-L{shlex.quote(str(torch_dir / 'lib'))} -ltorch_python -ltorch_cpu -lc10"
        # Without the sections that nothing needs, such as what torch's headers define of pybind11.
        gather = ",".join(["-Wl,--gc-sections", *STRIP])
        writer.rule(
            f"link{name}", f"$cxx -shared {gather} $in {libraries} -o $out", description="$out"
        )
        # One file, since reading torch's headers is most of the work.
        sources = sorted((ROOT / "csrc" / "autograd").glob("*.cpp"))
        joined = build_dir / name / "autograd.cpp"
        joined.parent.mkdir(exist_ok=True)
        joined.write_text("".join(f'#include "{source}"\n' for source in sources))
        # Calls of ops, which need no more than -O1, and torch's own classes.
        own = {
            "optimise": "-O1 -ffunction-sections -fdata-sections",
            "stable": "-DAT_PER_OPERATOR_HEADERS",
            "includes": includes,
            "prefixes": prefixes,
        }
        objects = self.write_objects(writer, [joined], own, f"{name}/")
        # The other object was made for the kernels.
        writer.build(str(output), f"link{name}", ["old_systems.cpp.o", *objects])

    def write_objects(self, writer, sources, variables=None, folder="") -> list[str]:
        objects = []
        for source in sources:
            rule = "nvcc" if source.suffix == ".cu" else "cxx"
            objects += writer.build(
                f"{folder}{source.name}.o", rule, str(source), variables=variables
            )
        return objects


AUTOGRAD_FOLDERS, AUTOGRAD_DECISION = decide_autograd()

setup(
    ext_modules=[
        Extension(name, sources=[]) for name in (KERNELS, *map(autograd_name, AUTOGRAD_FOLDERS))
    ],
    cmdclass={"build_ext": NinjaBuildExt, "bdist_wheel": Wheel},
)
