"""Builds the CUDA runtime without a device, and the extension as it runs on it.

    python build.py [FOLDER]

compiles what is not up to date in FOLDER (default: build/fake_gpu) and prints what LD_PRELOAD and
PYTHONPATH must name. The Python that runs this needs a CUDA build of torch and ninja.

The extension is compiled as setup.py does it, except that its kernels are nvcc's PTX translated to
C++ (tests/ptx), and that it takes CUDA's runtime from outside.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import ninja
from ninja import ninja_syntax

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parents[1]
PTX = ROOT / "tests" / "ptx"
sys.path.insert(0, str(ROOT / "build_tools"))
from backend import find_torch, read_torch_version  # noqa: E402
from flags import OPTIMISE_GCC  # noqa: E402

# Only PTX, for the GPU that the project is measured on; no machine code is needed.
ARCHITECTURE = "-gencode=arch=compute_90,code=compute_90"
TRANSLATED = "-O1 -fno-strict-aliasing -ffp-contract=off -w"
TRANSLATOR = [str(path) for path in sorted(PTX.glob("ptx_*.py"))]
PTX_RUNTIME = ("runtime.cpp", "shadow.cpp", "fiber.cpp", "registration.cpp")


def build(folder: Path) -> tuple[list[Path], Path]:
    """Builds what is not up to date.

    Returns:
        The libraries to preload, in their order, and the folder to import originet_ext from.

    Raises:
        subprocess.CalledProcessError: a compiler failed; it has said why.
    """
    torch_dir = find_torch()
    if torch_dir is None:
        sys.exit("torch was not found")
    torch_version = read_torch_version(torch_dir)
    if torch_version["cuda"] is None:
        sys.exit(f"torch {torch_version['__version__']} is not a CUDA build")
    package = folder / "python" / "originet_ext"
    for path in (package, folder / "ptx"):
        path.mkdir(parents=True, exist_ok=True)
    _write_if_new(folder / "build_config.h", _config_header(torch_version["__version__"]))
    _write_if_new(folder / "absent.cpp", _absent(torch_dir))
    with open(folder / "build.ninja", "w") as file:
        writer = ninja_syntax.Writer(file, width=200)
        _write_rules(writer, torch_dir)
        preloaded = _write_runtime(writer)
        _write_extension(writer, torch_version["__version__"])
    command = [str(Path(ninja.BIN_DIR) / "ninja"), "-C", str(folder)]
    jobs = ["-j", os.environ["MAX_JOBS"]] if "MAX_JOBS" in os.environ else []
    subprocess.run([*command, *jobs], check=True, stdout=sys.stderr)
    for module in (ROOT / "originet_ext").glob("*.py"):
        shutil.copy2(module, package)
    return [folder / name for name in preloaded], package.parent


def _write_if_new(file: Path, text: str) -> None:
    if not file.is_file() or file.read_text() != text:
        file.write_text(text)


def _absent(torch_dir: Path) -> str:
    """Stands for every function of CUDA's that torch's libraries name: see runtime/absent.h."""
    libraries = sorted((torch_dir / "lib").glob("*.so"))
    command = ["nm", "-D", "--undefined-only", *map(str, libraries)]
    symbols = subprocess.check_output(command, text=True)
    names = sorted(set(re.findall(r" U (\w+)@libcudart", symbols)))
    return "".join(['#include "absent.h"\n', *(f"ABSENT({name})\n" for name in names)])


def _config_header(torch_version: str) -> str:
    strings = {
        "VERSION": "fake GPU",
        "CUDA_DECISION": "yes because the kernels are translated PTX",
        "CUDA_ARCHS": "9.0",
        "NVCC_VERSION": "PTX",
        "TORCH_HEADERS": torch_version,
        "AUTOGRAD_DECISION": f"built with torch {torch_version}",
        "AUTOGRAD_TORCH": torch_version,
    }
    lines = [f"#define ORIGINET_{name} {json.dumps(text)}\n" for name, text in strings.items()]
    return "".join(["#pragma once\n", *lines, "#define ORIGINET_WITH_CUDA\n"])


def _write_rules(writer: ninja_syntax.Writer, torch_dir: Path) -> None:
    nvcc = Path(os.environ.get("CUDA_HOME", "")) / "bin" / "nvcc"
    if not nvcc.is_file():
        found = shutil.which("nvcc")
        if found is None:
            sys.exit("nvcc was not found")
        nvcc = Path(found)
    system = (torch_dir / "include", sysconfig.get_path("include"))
    writer.variable("cxx", os.environ.get("CXX", "g++"))
    writer.variable("includes", [f"-isystem {shlex.quote(str(path))}" for path in system])
    writer.variable("stable", "-DTORCH_TARGET_VERSION=0x020b000000000000")
    host = "$cxx -MMD -MF $out.d -std=c++20 -fPIC"
    torch_libraries = f"-L{torch_dir / 'lib'}"
    commands = {
        "nvcc": f"{nvcc} -MMD -MF $out.d -O3 --keep --keep-dir ptx -ccbin $cxx {ARCHITECTURE} "
        "-std=c++20 -Xcompiler -fPIC,-fvisibility=hidden $includes -I. $stable -c $in -o $out",
        "kernels_cpu": f"{host} {' '.join(OPTIMISE_GCC)} -fvisibility=hidden $includes -I. $stable "
        "-c $in -o $out",
        "autograd": f"{host} -O1 -DAT_PER_OPERATOR_HEADERS -fvisibility=hidden $includes -I. "
        "-c $in -o $out",
        "translated": f"{host} {TRANSLATED} -I{PTX} -c $in -o $out",
        # By nvcc, which knows where CUDA's headers are.
        "runtime": f"{nvcc} -MMD -MF $out.d -O2 -std=c++20 -ccbin $cxx -Xcompiler -fPIC,-Wall "
        f"-I{PTX} -I{HERE / 'runtime'} -c $in -o $out",
    }
    for name, command in commands.items():
        writer.rule(name, command, depfile="$out.d", deps="gcc")
    writer.rule("translate", f"{sys.executable} {PTX / 'ptx_translate.py'} $in $out")
    # A library of CUDA's name, loaded first, is what torch's libraries then find they need.
    writer.rule(
        "link_runtime",
        f"$cxx -shared -Wl,-soname,$out -Wl,--version-script={HERE / 'versions.txt'} $in -ldl "
        "-o $out",
    )
    writer.rule(
        "link_driver",
        "$cxx -shared -Wl,-soname,$out $in -o $out",
    )
    # As setup.py links.
    writer.rule(
        "link_kernels",
        f"$cxx -shared $in -Wl,--no-as-needed {torch_libraries} -ltorch -Wl,--as-needed "
        "-ltorch_cpu -o $out",
    )
    writer.rule(
        "link_autograd",
        f"$cxx -shared $in {torch_libraries} -ltorch_python -ltorch_cpu -lc10 -o $out",
    )


def _write_runtime(writer: ninja_syntax.Writer) -> list[str]:
    """The libraries that are preloaded."""
    objects = writer.build("absent.o", "runtime", "absent.cpp")
    for source in [*sorted((HERE / "runtime").glob("*.cpp")), *(PTX / n for n in PTX_RUNTIME)]:
        objects += writer.build(f"{source.parent.name}/{source.stem}.o", "runtime", str(source))
    runtime = writer.build("libcudart.so.13", "link_runtime", objects)
    driver = writer.build("driver.o", "runtime", str(HERE / "driver.cpp"))
    return [*runtime, *writer.build("libcuda.so.1", "link_driver", driver)]


def _write_extension(writer: ninja_syntax.Writer, torch_version: str) -> None:
    objects = []
    for source in sorted((ROOT / "csrc").glob("*.cu")):
        name = source.stem
        objects += writer.build(
            f"{name}.o", "nvcc", str(source), implicit_outputs=f"ptx/{name}.ptx"
        )
        writer.build(f"ptx/{name}.kernels.cpp", "translate", f"ptx/{name}.ptx", TRANSLATOR)
        objects += writer.build(f"ptx/{name}.o", "translated", f"ptx/{name}.kernels.cpp")
    for source in sorted((ROOT / "csrc").glob("*.cpp")):
        objects += writer.build(f"{source.stem}.o", "kernels_cpu", str(source))
    writer.build("python/originet_ext/_C.so", "link_kernels", objects)
    autograd = ["old_systems.o"]
    for source in sorted((ROOT / "csrc" / "autograd").glob("*.cpp")):
        autograd += writer.build(f"autograd/{source.stem}.o", "autograd", str(source))
    version = "".join(torch_version.split(".")[:2])
    name = f"python/originet_ext/_autograd_torch{version}.abi3.so"
    writer.build(name, "link_autograd", autograd)


if __name__ == "__main__":
    libraries, python = build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/fake_gpu"))
    print(f"LD_PRELOAD={':'.join(map(str, libraries))} PYTHONPATH={python}")
