"""What nvcc made of the CUDA kernels, read from the library: no GPU is needed."""

import re
from collections import Counter

import pytest
from machine_code import CUOBJDUMP, NVDISASM, Kernel, read_kernels

import originet_ext
from originet_ext import build_info

LIBRARY = originet_ext._library.LIBRARY


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
    return {name: kernel.code for name, kernel in read_kernels(LIBRARY, arch).items()}


def test_every_kernel_is_inside_with_and_without_vectors(kernels):
    count = Counter(re.search(r"([a-z_]+_kernel)I", name)[1] for name in kernels)
    assert count["elementwise_kernel"] == 2 * 16  # 4 dtypes x 4 functors
    assert count["temporal_pool_kernel"] == 2 * 7  # combinations of types
    assert count["motion_pool_kernel"] == 2 * 6 * 2  # motions of bytes are integers
    assert count["finish_pool_kernel"] == 4 and count["stretch_kernel"] == 2 * 2
    # A sum, a ramp and 2 motions, 5 type combinations with and without vectors, 1 without
    assert count["sliding_pool_kernel"] == 4 * (2 * 5 + 1)
    # 5 kernels x 4 dtypes: vectors along planes, vectors along channels, none. With a gradient in
    # another layout, 2 of them: vectors along channels, none
    assert sum("norm_" in name for name in kernels) == 3 * 20 + 2 * 8


def test_no_kernel_uses_local_memory(kernels):
    assert [name for name, code in kernels.items() if re.search(r"\b(LDL|STL)\b", code)] == []


def loops(code: str) -> list[list[str]]:
    """The instructions of each loop of a kernel that contains no other loop."""
    return [list(loop.body) for loop in Kernel("", code, 0, 0).innermost]


def count(body: list[str], name: str) -> int:
    return sum(text.startswith(name) for text in body)


def test_vector_kernels_load_16_bytes_at_a_time(kernels):
    vector = {
        name: code
        for name, code in kernels.items()
        if re.search(r"(?<!sliding_pool)_kernelI.*?Li(?!1E)\d+E", name)
    }
    assert len(vector) == (16 + 7 + 12 + 2) + 2 * 20 + 8
    # The last kernel of the norm reads partial sums, one a channel.
    narrow = [name for name, code in vector.items() if "LDG.E.128" not in code]
    assert all("norm_biases_kernel" in name for name in narrow)


def test_loops_that_load_16_bytes_at_a_time_store_as_many(kernels):
    storing = 0
    for name, code in kernels.items():
        for body in loops(code):
            if count(body, "LDG.E.128"):
                assert count(body, "STG") == count(body, "STG.E.128"), name
                storing += count(body, "STG") > 0
    assert storing >= 16 + 2 * 8  # psi, and the norm's kernels that store images


def test_sliding_kernels_load_and_store_16_bytes_at_a_time(kernels):
    slide = {name: code for name, code in kernels.items() if "sliding_pool_kernel" in name}
    vector = [code for name, code in slide.items() if not re.search("Li1E", name)]
    assert len(vector) == 4 * 5
    assert all("LDG.E.128" in code and "STG.E.128" in code for code in vector)


def test_psi_at_16_bits_leaves_memory_the_bottleneck(kernels):
    """An H200 moves 2 * 10^12 16-bit elements a second and issues 33 instructions for two."""
    unroll, vector = 2, 8  # rrelu_cuda.cu
    most = {"RReluForward": 14, "RReluBackward": 20, "RReluAddForward": 25, "RReluAddBackward": 36}
    for name, bound in most.items():
        for dtype in ("BFloat16", "Half"):
            (code,) = [
                code
                for kernel, code in kernels.items()
                if re.search(f"elementwise_kernelI.*{dtype}ELi{vector}E.*{name}I", kernel)
            ]
            (body,) = [body for body in loops(code) if count(body, "LDG.E.128")]
            assert len(body) / (unroll * vector) <= bound, (name, dtype)


def test_norm_kernels_meet_at_few_barriers(kernels):
    """One merge is two barriers, whatever the number of channels; norm_grad_kernel merges twice.

    A table of the parameters of several channels is two more.
    """
    for name, code in kernels.items():
        if "norm_" in name:
            merges = 2 if "norm_grad_kernel" in name else 1
            shared = bool(re.search(r"norm_(apply|sums|grad)_kernel.*Li[248]ELb1E", name))
            assert len(re.findall(r"BAR\.SYNC", code)) <= 2 * (merges + shared), name


def test_pools_of_bytes_leave_memory_the_bottleneck(kernels):
    """An H200 moves 3 * 10^11 vectors of 16 bytes a second and issues 95 instructions for each."""
    pools = "(motion_pool_kernelIhif|temporal_pool_kernelIh[if]f).*Li16E"
    codes = [code for name, code in kernels.items() if re.search(pools, name)]
    assert len(codes) == 2 + 2
    for code in codes:
        inner = min(len(body) for body in loops(code) if count(body, "LDG.E.128") == 4)
        assert inner / 4 <= 59  # that of float weights
