"""Loads the compiled libraries, which register the ops `torch.ops.originet`."""

import ctypes
import importlib.metadata
import importlib.util
import os
import sysconfig
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import torch  # loads libtorch, which the libraries need

import originet_ext


def _folder() -> Path:
    """The folder of the libraries: this package's, or that of the installed package.

    The latter in the root of a source tree, which shadows the installed package for
    `python -c "import originet_ext"` and has no compiled library.
    """
    folder = Path(originet_ext.__path__[0])
    if (folder / "_C.so").is_file():
        return folder
    # A build may have left metadata in the source tree, so look at all distributions.
    for distribution in importlib.metadata.distributions(name="originet"):
        for file in distribution.files or []:
            if file.match("originet_ext/_C.so"):
                installed = Path(str(file.locate())).parent
                originet_ext.__path__[:] = [str(installed)]  # its other modules, too
                return installed
    raise ImportError(
        f"originet_ext has no compiled library in {folder} and is not installed; run "
        "`pip install .` in the source tree"
    )


LIBRARY = _folder() / "_C.so"
# As Python loads its modules: torch.ops.load_library would let other libraries see the symbols.
kernels = ctypes.CDLL(str(LIBRARY))
kernels.originet_build_info.restype = ctypes.POINTER(ctypes.c_char_p)
kernels.originet_rrelu_cpu.restype = ctypes.c_void_p
ops = torch.ops.originet


def _built() -> dict[str, Any]:
    """What the library says of its build: a name, its value, and so on."""
    texts = []
    for text in kernels.originet_build_info():
        if text is None:
            break
        texts.append(text.decode())
    info: dict[str, Any] = dict(zip(texts[::2], texts[1::2], strict=True))
    return info | {"cuda_symbols_resolved": bool(info["cuda_symbols_resolved"])}


_info = _built()


def _load_autograd() -> tuple[Any, str]:
    """Loads the C++ autograd kernels that fit this torch; returns them or None, and why."""
    wish = os.environ.get("ORIGINET_AUTOGRAD", "auto")
    if wish not in ("auto", "cpp", "python"):
        raise ImportError(f"ORIGINET_AUTOGRAD must be auto, cpp or python, got {wish!r}")
    if wish == "python":
        return None, "Python, because ORIGINET_AUTOGRAD=python"
    built, running = _info["autograd_torch"].split(";"), torch.__version__
    fitting = [version for version in built if version and _serves(version, running)]
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        reason = "the C++ libraries need a Python with the GIL"
    elif built == [""]:
        reason = f"the C++ library was {_info['autograd_decision']}"
    elif not fitting:
        reason = f"the C++ library was built with torch {', '.join(built)}, and this is {running}"
    else:
        try:
            native = _load_module(fitting[0])
        except ImportError as error:  # a torch that was built differently
            reason = f"the C++ library does not load: {error}"
        else:
            native.use_cpu_kernel(kernels.originet_rrelu_cpu())
            return native, f"C++, built with torch {fitting[0]}"
    if wish == "cpp":
        raise ImportError(f"ORIGINET_AUTOGRAD=cpp, but {reason}")
    return None, f"Python, because {reason}"


def _serves(built: str, running: str) -> bool:
    """Whether a library that was built with one torch may be loaded into another.

    Releases that differ in the patch number have the same C++ classes. Labels of releases name
    hardware; before a release, they name the commit.
    """
    public = [version.split("+")[0] for version in (built, running)]
    if all(version.replace(".", "").isdigit() for version in public):
        return public[0].split(".")[:2] == public[1].split(".")[:2]
    return built == running


def _load_module(version: str) -> ModuleType:
    """Imports the autograd kernels that were built with a version of torch."""
    name = "originet_ext._autograd_cpp"
    file = LIBRARY.with_name(f"_autograd_torch{''.join(version.split('.')[:2])}.abi3.so")
    spec = importlib.util.spec_from_file_location(
        name, file, loader=ExtensionFileLoader(name, str(file))
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


native, _autograd = _load_autograd()


def build_info() -> dict[str, Any]:
    """Reports what was built and what of it can run here.

    Returns:
        A dict with `version`; `cuda_decision`, one line on why CUDA kernels were built or not;
        `cuda_archs`, the compute capabilities built for ("" for none); `nvcc`, its version;
        `cuda_symbols_resolved`, whether this torch exports what the CUDA kernels call;
        `cpu_dispatch_level`, the instruction set that the CPU kernels use on this processor;
        `autograd`, whether the derivatives in use are in C++ or Python, and why;
        `autograd_decision`, whether those in C++ were built, and `autograd_torch`, for which
        versions of torch, separated by semicolons; `compiler` and `torch_headers`, the versions at
        build time.
    """
    return {**_info, "autograd": _autograd}
