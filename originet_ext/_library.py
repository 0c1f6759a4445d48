"""Loads the compiled libraries, which register the ops `torch.ops.originet`."""

import importlib.metadata
import importlib.util
import os
from pathlib import Path
from typing import Any

import torch  # loads libtorch, which _C needs

import originet_ext


def _use_installed_package() -> None:
    """Takes submodules from the installed package because this folder has no compiled library.

    That happens in the root of a source tree, which shadows the installed package for
    `python -c "import originet_ext"`.
    """
    # A build may have left metadata in the source tree, so look at all distributions.
    for distribution in importlib.metadata.distributions(name="originet"):
        for file in distribution.files or []:
            if file.match("originet_ext/_C.*"):
                originet_ext.__path__[:] = [str(Path(file.locate()).parent)]
                return
    raise ImportError(
        f"originet_ext has no compiled library in {originet_ext.__path__[0]} and is not "
        "installed; run `pip install .` in the source tree"
    )


if importlib.util.find_spec("originet_ext._C") is None:
    _use_installed_package()

_C = importlib.import_module("originet_ext._C")
ops = torch.ops.originet


def _load_autograd() -> tuple[Any, str]:
    """Loads the C++ autograd kernels if they fit this torch; returns them or None, and why."""
    wish = os.environ.get("ORIGINET_AUTOGRAD", "auto")
    if wish not in ("auto", "cpp", "python"):
        raise ImportError(f"ORIGINET_AUTOGRAD must be auto, cpp or python, got {wish!r}")
    if wish == "python":
        return None, "Python, because ORIGINET_AUTOGRAD=python"
    built_with, running = _C.build_info()["torch_headers"], torch.__version__
    if importlib.util.find_spec("originet_ext._autograd_cpp") is None:
        reason = f"the C++ library was {_C.build_info()['autograd_decision']}"
    elif _release(built_with) != _release(running):
        reason = f"the C++ library was built with torch {built_with}, and this is {running}"
    else:
        try:
            native = importlib.import_module("originet_ext._autograd_cpp")
        except ImportError as error:  # a torch that was built differently
            reason = f"the C++ library does not load: {error}"
        else:
            native.use_cpu_kernel(_C.rrelu_cpu)
            return native, f"C++, built with torch {built_with}"
    if wish == "cpp":
        raise ImportError(f"ORIGINET_AUTOGRAD=cpp, but {reason}")
    return None, f"Python, because {reason}"


def _release(version: str) -> str:
    """Drops the label of a release, which names hardware; before a release, it names the commit."""
    public = version.split("+")[0]
    return public if public.replace(".", "").isdigit() else version


native, _autograd = _load_autograd()


def build_info() -> dict[str, Any]:
    """Reports what was built and what of it can run here.

    Returns:
        A dict with `version`; `cuda_decision`, one line on why CUDA kernels were built or not;
        `cuda_archs`, the compute capabilities built for ("" for none); `nvcc`, its version;
        `cuda_symbols_resolved`, whether this torch exports what the CUDA kernels call;
        `cpu_dispatch_level`, the instruction set that the CPU kernels use on this processor;
        `autograd`, whether the derivatives in use are in C++ or Python, and why;
        `autograd_decision`, whether those in C++ were built; `compiler` and `torch_headers`, the
        versions at build time.
    """
    return {**_C.build_info(), "autograd": _autograd}
