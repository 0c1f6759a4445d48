"""Loads the compiled library, which registers the ops `torch.ops.originet`."""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import torch  # loads libtorch, which _C needs

import originet_ext


def _use_installed_package() -> None:
    """Takes submodules from the installed package where this folder has no compiled library.

    That is so in the root of a source tree, which shadows the installed package for
    `python -c "import originet_ext"`.
    """
    # The source tree may hold metadata of its own, left by a build, so look at all there are.
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
direct_call = _C.direct_call
direct_call_ = _C.direct_call_


def build_info() -> dict[str, Any]:
    """Tells what was built and what of it can run here.

    Returns:
        A dict with `version`; `cuda_decision`, one line on why CUDA kernels are inside or not;
        `cuda_archs`, the compute capabilities inside ("" for none); `nvcc`, its version;
        `cuda_symbols_resolved`, whether this torch exports what the CUDA kernels call;
        `cpu_dispatch_level`, the instruction set that the CPU kernels use on this processor;
        `direct_calls_unavailable`, why small tensors take the slower road through torch's
        dispatcher ("" where they need not); `compiler` and `torch_headers`, the versions at
        build time.
    """
    return _C.build_info()
