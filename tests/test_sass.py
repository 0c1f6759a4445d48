"""What nvcc made of the CUDA kernels, read from the library: no GPU is needed."""

import importlib.metadata
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import originet_ext
from originet_ext import build_info

LIBRARY = Path(originet_ext._library._C.__file__)


def tool(package: str, name: str) -> Path | None:
    """A program inside an installed package of NVIDIA's, or else of the CUDA toolkit."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == name]
    found = shutil.which(name)
    return next(filter(Path.is_file, paths), Path(found) if found else None)


CUOBJDUMP = tool("nvidia-cuda-cuobjdump", "cuobjdump")
NVDISASM = tool("nvidia-cuda-nvdisasm", "nvdisasm")
pytestmark = [
    pytest.mark.skipif(CUOBJDUMP is None or NVDISASM is None, reason="no cuobjdump, nvdisasm"),
    pytest.mark.skipif(not build_info()["cuda_archs"], reason="built without CUDA kernels"),
]


@pytest.fixture(scope="module")
def kernels() -> dict[str, str]:
    """The machine code of each kernel, by mangled name, for one of the architectures inside."""
    arch = "sm_" + re.match(r"[\d.]+", build_info()["cuda_archs"].split(";")[-1])[0].replace(
        ".", ""
    )
    printed = subprocess.check_output(
        [CUOBJDUMP, "-sass", "-arch", arch, LIBRARY],
        env=os.environ | {"PATH": f"{NVDISASM.parent}:{os.environ['PATH']}"},
        text=True,
    )
    parts = re.split(r"^\s*Function : (\S+)$", printed, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_kernel_is_inside_with_and_without_vectors(kernels):
    # 4 dtypes x 4 functors, 7 type combinations of the weighted pool, 7 x 2 of the motion pool
    plain = [name for name in kernels if not re.search("norm_|sliding_", name)]
    assert len(plain) == 2 * (16 + 7 + 14)
    # 4 kernels x 4 dtypes: vectors along planes, vectors along channels, none
    assert sum("norm_" in name for name in kernels) == 3 * 16


def test_no_kernel_uses_local_memory(kernels):
    assert [name for name, code in kernels.items() if re.search(r"\b(LDL|STL)\b", code)] == []


def test_vector_kernels_load_and_store_16_bytes_at_a_time(kernels):
    vector = {
        name: code
        for name, code in kernels.items()
        if "sliding_" not in name and int(re.search(r"_kernelI.*?Li(\d+)E", name)[1]) > 1
    }
    assert len(vector) == (16 + 7 + 14) + 2 * 16
    for name, code in vector.items():
        assert "LDG.E.128" in code, name
        # These two store one value a channel.
        if not re.search(r"norm_(moments|sums)_kernel", name):
            assert "STG.E.128" in code, name


def test_sliding_kernels_are_inside_with_16_byte_loads_and_stores(kernels):
    slide = {name: code for name, code in kernels.items() if "sliding_pool_kernel" in name}
    vector = [code for name, code in slide.items() if not re.search("Li1E", name)]
    # A ramp and 2 motions, 5 type combinations with and without vectors, 1 without
    assert len(slide) == 3 * (2 * 5 + 1) and len(vector) == 3 * 5
    assert all("LDG.E.128" in code and "STG.E.128" in code for code in vector)
    assert sum("sliding_stretch_kernel" in name for name in kernels) == 2


def test_psi_at_16_bits_leaves_memory_the_bottleneck(kernels):
    """An H200 moves 10^12 16-bit elements a second and issues 33 instructions for each."""
    unroll, vector = 2, 8  # rrelu_cuda.cu: elements of the main loop, and one beside it
    for name, most in (("RReluForward", 25), ("RReluBackward", 37)):
        for dtype in ("BFloat16", "Half"):
            (code,) = [
                code
                for kernel, code in kernels.items()
                if re.search(f"elementwise_kernelI.*{dtype}ELi{vector}E.*{name}I", kernel)
            ]
            instructions = len(re.findall(r"/\*[0-9a-f]{4}\*/ ", code))
            assert instructions / (unroll * vector + 1) <= most, (name, dtype)
