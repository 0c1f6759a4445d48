"""Mistakes that the emulator must find: each is planted in a kernel that is right without it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiled import Library, compile_ptx
from ptx_text import PtxError
from ptx_translate import translate
from test_threads import BLOCK_SUM, KERNELS, kernel

# Copies words; blocks of 32 take 32 words each.
COPY = kernel(
    "copy",
    """mov.u32 %r1, %ctaid.x; mul.wide.u32 %rd1, %r1, 128; add.s64 %in, %in, %rd1;
    add.s64 %out, %out, %rd1; ld.global.nc.u32 %r2, [%in]; st.global.u32 [%out], %r2;""",
)
NEIGHBOURS = next(text for text in KERNELS if "warp_neighbours" in text)
ASYNC = next(text for text in KERNELS if "async_copies" in text)
GRID_CONSTANT = next(text for text in KERNELS if "grid_constant" in text)
LOCAL = next(text for text in KERNELS if "local_memory" in text)
SHUFFLE = kernel(
    "shuffle",
    """ld.global.u32 %r1, [%in]; setp.lt.u32 %p1, %r0, 16; mov.u32 %r3, -1;
    shfl.sync.bfly.b32 %r2, %r1, 16, 31, %r3; st.global.u32 [%out], %r2;""",
)
READ_BACK = kernel(
    "read_back",
    "ld.global.u32 %r1, [%in]; st.global.u32 [%out], %r1; ld.global.u32 %r2, [%out];",
)

# The kernel, what is replaced in it, by what, and what the emulator says.
MISTAKES = {
    "no barrier before the sum": (
        BLOCK_SUM, "st.shared.u32 [%r5], %r1; bar.sync 0;", "st.shared.u32 [%r5], %r1;",
        "race|shared memory that was never written",
    ),
    "no barrier in the loop": (BLOCK_SUM, "SKIP: bar.sync 0;", "SKIP:", "race"),
    "two barriers at once": (
        COPY, "ret;", "setp.lt.u32 %p1, %r0, 16; @%p1 bra LEFT; bar.sync 0; bra END;\n"
        "LEFT: bar.sync 0; END: ret;", "waits at another barrier than",
    ),
    "a barrier that some never reach": (BLOCK_SUM, "@%p1 bra SKIP;", "@%p1 ret;", "ended without"),
    "shared memory that nobody wrote": (
        BLOCK_SUM, "mov.u32 %r6, 32;", "mov.u32 %r6, 64;",
        "outside of shared memory|never written",
    ),
    "a store beyond a shared array": (
        BLOCK_SUM, "room[256]", "room[252]", "outside of shared memory",
    ),
    "words at odd addresses": (COPY, "[%in]", "[%in+2]", "misaligned load of 4 bytes at global"),
    "a vector that is not aligned": (
        COPY, "ld.global.nc.u32 %r2, [%in]", "ld.global.v2.u32 {%r2, %r3}, [%in]", "misaligned",
    ),
    "blocks that write the same words": (
        COPY, "add.s64 %out, %out, %rd1;", "", "race: written by another thread",
    ),
    "a read of what another thread writes": (
        READ_BACK, "ld.global.u32 %r2, [%out]", "ld.global.u32 %r2, [%out+4]", "race",
    ),
    "ld.global.nc of what is written": (
        READ_BACK, "ld.global.u32 %r2", "ld.global.nc.u32 %r2", "ld.global.nc of what the kernel",
    ),
    "a write to what ld.global.nc has read": (
        COPY, "st.global.u32 [%out]", "st.global.u32 [%in]", "write to what the kernel has read",
    ),
    "no barrier of the warp": (NEIGHBOURS, "bar.warp.sync -1; xor", "xor", "race|never written"),
    "a barrier for a part of a warp": (
        NEIGHBOURS, "bar.warp.sync -1; xor", "bar.warp.sync 65535; xor", "not emulated",
    ),
    "a copy that nobody waited for": (ASYNC, "cp.async.wait_group 1;", "", "cp.async has not"),
    "a parameter's end": (GRID_CONSTANT, "%tid.x;", "%tid.x; add.u32 %r1, %r1, 1;", "outside of"),
    "the end of local memory": (LOCAL, "and.b32 %r2, %r0, 7", "mov.u32 %r2, 10", "local memory"),
    "a shuffle that half a warp left": (
        SHUFFLE, "shfl", "@%p1 ret; shfl", "which has ended",
    ),
    "a shuffle in two branches": (
        SHUFFLE, "shfl.sync.bfly.b32 %r2, %r1, 16, 31, %r3;",
        "@%p1 shfl.sync.bfly.b32 %r2, %r1, 16, 31, %r3;\n"
        "@!%p1 shfl.sync.bfly.b32 %r2, %r1, 16, 31, %r3;", "which waits at line",
    ),
    "a shuffle from outside of its mask": (
        SHUFFLE, "mov.u32 %r3, -1", "mov.u32 %r3, 65535; @!%p1 ret", "not hold|outside of its mask",
    ),
    "trap": (COPY, "ret;", "trap;", "executed trap"),
}  # fmt: skip


def renamed(text: str, name: str) -> str:
    return re.sub(r"\.entry \w+", f".entry {name}", text)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    kernels = []
    for i, (text, right, wrong, _) in enumerate(MISTAKES.values()):
        assert right in text
        kernels += [renamed(text, f"right_{i}")]
        kernels += [renamed(text.replace(right, wrong, 1), f"mistake_{i}")]
    return compile_ptx("\n".join(kernels), tmp_path_factory.mktemp("mistakes"))


def launch(library: Library, name: str, text: str) -> str:
    if text == GRID_CONSTANT:
        table = np.arange(8, dtype=np.uint32)
        return library.launch(name, table, np.zeros(16, np.uint32), block=8, by_value=(0,))
    given, out = np.arange(130, dtype=np.uint32), np.zeros(130, np.uint32)
    sizes = {BLOCK_SUM: {"block": 64}, COPY: {"grid": 2}}
    return library.launch(name, given, out, **sizes.get(text, {}))


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found(library: Library, mistake: str) -> None:
    number = list(MISTAKES).index(mistake)
    text, *_, message = MISTAKES[mistake]
    assert launch(library, f"right_{number}", text) == ""
    assert re.search(message, launch(library, f"mistake_{number}", text))
    assert launch(library, f"right_{number}", text) == ""  # it harms no later launch


@pytest.mark.slow
def test_the_order_of_threads_and_blocks_depends_on_the_seed(tmp_path: Path) -> None:
    text = kernel(
        "order",
        """ld.param.u64 %rd1, [order_0]; atom.global.add.u32 %r1, [%rd1], 1;
        mov.u32 %r2, %ctaid.x; mul.wide.u32 %rd1, %r2, 128; add.s64 %out, %out, %rd1;
        st.global.u32 [%out], %r1;""",
    )
    path = compile_ptx(text, tmp_path).path
    program = f"""
import numpy as np
from compiled import Library, compile_ptx
out, counter = np.zeros(256, np.uint32), np.zeros(1, np.uint32)
assert Library({str(path)!r}).launch("order", counter, out, grid=8) == ""
print(out.tolist())"""
    printed = [
        subprocess.check_output(
            [sys.executable, "-c", program],
            env=os.environ | {"PTX_SEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            text=True,
        )
        for seed in ("1", "1", "2")
    ]
    assert printed[0] == printed[1] != printed[2]
    order = np.array(json.loads(printed[0]))
    assert sorted(order) == list(range(256))
    assert not np.array_equal(np.argsort(order[::32]), np.arange(8))  # blocks
    assert (np.diff(order[:32]) < 0).any()  # threads


@pytest.mark.slow
def test_a_store_beyond_a_buffer_is_found_by_the_address_sanitizer(tmp_path: Path) -> None:
    asan = subprocess.check_output(["g++", "-print-file-name=libasan.so"], text=True).strip()
    if not Path(asan).is_file():
        pytest.skip("g++ has no libasan.so")
    # Python does not load libstdc++, in which the sanitizer looks for what throws exceptions.
    standard = subprocess.check_output(["g++", "-print-file-name=libstdc++.so"], text=True).strip()
    off_by_one = renamed(COPY.replace("st.global.u32 [%out]", "st.global.u32 [%out+4]"), "off")
    texts = f"{COPY}\n{off_by_one}\n{BLOCK_SUM}"
    path = compile_ptx(texts, tmp_path).path
    program = f"""
import sys
import numpy as np
from compiled import Library, compile_ptx
given, out = np.arange(64, dtype=np.uint32), np.zeros(64, np.uint32)
grid, block = (1, 64) if sys.argv[1] == "block_sum" else (2, 32)
print(Library({str(path)!r}).launch(sys.argv[1], given, out, grid=grid, block=block), out.sum())"""

    def run(name: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", program, name],
            env=os.environ
            | {"LD_PRELOAD": f"{asan} {standard}", "ASAN_OPTIONS": "detect_leaks=0"}
            | {"PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
        )
        return result.stdout + result.stderr

    assert run("copy").split() == [str(64 * 63 // 2)]
    assert run("block_sum").split() == [str(64 * 64 * 63 // 2)]
    assert "outside of any allocation" in run("off")


UNKNOWN = {
    "a modifier": ("ld.global.u32 %r1", "ld.global.mmio.u32 %r1", "unknown modifier .mmio"),
    "an instruction": ("st.global.u32 [%out], %r2", "wgmma.fence", "unknown instruction: 'wgmma"),
    "a type": ("ld.global.nc.u32", "ld.global.nc.b128", "unknown type"),
    "an operand": ("add.s64 %in, %in, %rd1", "add.s64 %in, %in, %envreg1", "unknown operand"),
    "a register": ("ld.global.nc.u32 %r2", "ld.global.nc.u32 %q2", "unknown register"),
    "a rounding": ("mul.wide.u32", "cvt.rni.relu.s32.f32 %r1, %f1; mul.wide.u32", "unknown"),
    "a conversion without rounding": (
        "mul.wide.u32", "cvt.s32.f32 %r1, %f1; mul.wide.u32", "no rounding",
    ),
    "a barrier": ("mul.wide.u32", "bar.sync 1, 64; mul.wide.u32", "operands instead|barrier other"),
    "a comparison": ("mul.wide.u32", "setp.foo.s32 %p1, %r1, %r2; mul.wide.u32", "comparison"),
    "a directive": (".reg .pred", ".branchtargets A, B; .reg .pred", "unknown directive"),
    "a kernel's directive": ("{", ".explicitcluster\n{", "unknown directive"),
    "a module's directive": (".visible", ".alias a, b;\n.visible", "unknown directive"),
    "the end of a parameter": ("[copy_0]", "[copy_0+4]", "beyond the end of copy_0"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_unknown_is_an_error_that_names_it(what: str) -> None:
    right, wrong, message = UNKNOWN[what]
    text = COPY.replace("ld.global.nc.u32 %r2", "ld.global.u32 %r1, [%in]; ld.global.nc.u32 %r2")
    assert "kernel" in translate(text)
    with pytest.raises(PtxError, match=message) as error:
        translate(text.replace(right, wrong, 1))
    assert "the module" in str(error.value) or "copy" in str(error.value)
