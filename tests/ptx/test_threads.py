"""Memory, barriers and warps of the emulator, on kernels written by hand."""

import numpy as np
import pytest
from compiled import Library, compile_ptx

pytestmark = pytest.mark.slow

LANES = np.arange(32, dtype=np.uint32)


def kernel(name: str, body: str, parameters: int = 2, outside: str = "") -> str:
    """A kernel with pointers %in and %out to this thread's word, and registers for all."""
    declared = ", ".join(f".param .u64 {name}_{i}" for i in range(parameters))
    return f"""{outside}
.visible .entry {name}({declared})
{{
.reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<40>; .reg .f32 %f<9>; .reg .b64 %rd<9>, %in, %out;
ld.param.u64 %in, [{name}_0]; ld.param.u64 %out, [{name}_{parameters - 1}];
mov.u32 %r0, %tid.x; mad.wide.u32 %in, %r0, 4, %in; mad.wide.u32 %out, %r0, 4, %out;
{body}
ret;
}}
"""


def shuffle(mode: str, b: int, c: int, mask: int = 0xFFFFFFFF) -> str:
    return kernel(
        f"{mode}_{b}_{c}_{mask}",
        f"""ld.global.u32 %r1, [%in]; shr.b32 %r2, {mask}, %r0; and.b32 %r2, %r2, 1;
        setp.eq.u32 %p2, %r2, 0; @%p2 bra DONE;
        shfl.sync.{mode}.b32 %r3|%p1, %r1, {b}, {c}, {mask}; selp.u32 %r4, 1000, 0, %p1;
        add.u32 %r3, %r3, %r4; st.global.u32 [%out], %r3; DONE:""",
    )


SHUFFLES = [
    ("down", 1, 31), ("down", 16, 31), ("down", 3, 31 | 24 << 8), ("up", 1, 0), ("up", 4, 24 << 8),
    ("bfly", 16, 31), ("bfly", 1, 31), ("bfly", 12, 31 | 16 << 8), ("idx", 0, 31), ("idx", 37, 31),
    ("idx", 5, 31 | 24 << 8),
]  # fmt: skip


def shuffled(mode: str, b: int, c: int) -> np.ndarray:
    """The value of lane i is 5 i; 1000 more if the source is in the segment."""
    result = []
    width = 32 - (c >> 8 & 31)
    for lane in range(32):
        first = lane - lane % width
        source = {
            "down": lane + b,
            "up": lane - b,
            "bfly": lane ^ b,
            "idx": first + b % width,
        }[mode]
        inside = first <= source < first + width
        result.append(5 * source + 1000 if inside else 5 * lane)
    return np.array(result, np.uint32)


# Sums a block's words in shared memory.
BLOCK_SUM = kernel(
    "block_sum",
    """.shared .align 4 .b8 room[256];
    mov.u32 %r5, room; mad.lo.u32 %r5, %r0, 4, %r5;
    ld.global.u32 %r1, [%in]; st.shared.u32 [%r5], %r1; bar.sync 0;
    mov.u32 %r6, 32;
    NEXT: setp.ge.u32 %p1, %r0, %r6; @%p1 bra SKIP;
    mad.lo.u32 %r7, %r6, 4, %r5; ld.shared.u32 %r8, [%r7]; ld.shared.u32 %r9, [%r5];
    add.u32 %r9, %r9, %r8; st.shared.u32 [%r5], %r9;
    SKIP: bar.sync 0;
    shr.b32 %r6, %r6, 1; setp.ne.u32 %p2, %r6, 0; @%p2 bra.uni NEXT;
    mov.u32 %r10, room; ld.shared.u32 %r11, [%r10]; st.global.u32 [%out], %r11;""",
)

KERNELS = [
    BLOCK_SUM,
    *[shuffle(*arguments) for arguments in SHUFFLES],
    kernel(
        "votes",
        """ld.global.u32 %r1, [%in]; setp.gt.u32 %p1, %r1, 50;
        vote.sync.ballot.b32 %r2, %p1, -1; vote.sync.all.pred %p2, %p1, -1;
        vote.sync.any.pred %p3, %p1, -1; vote.sync.uni.pred %p4, !%p1, -1;
        selp.u32 %r3, 1, 0, %p2; selp.u32 %r4, 2, 0, %p3; selp.u32 %r5, 4, 0, %p4;
        or.b32 %r3, %r3, %r4; or.b32 %r3, %r3, %r5; setp.eq.u32 %p5, %r0, 0;
        @%p5 st.global.u32 [%out], %r2; @!%p5 st.global.u32 [%out], %r3;""",
    ),
    kernel(
        "reductions",
        """ld.global.u32 %r1, [%in]; redux.sync.add.u32 %r2, %r1, -1;
        redux.sync.max.s32 %r3, %r1, -1; redux.sync.min.u32 %r4, %r1, -1;
        redux.sync.xor.b32 %r5, %r1, -1; redux.sync.and.b32 %r6, %r1, -1;
        redux.sync.or.b32 %r7, %r1, -1; setp.eq.u32 %p1, %r0, 0; setp.eq.u32 %p2, %r0, 1;
        setp.eq.u32 %p3, %r0, 2; setp.eq.u32 %p4, %r0, 3; setp.eq.u32 %p5, %r0, 4;
        @%p1 st.global.u32 [%out], %r2; @%p2 st.global.u32 [%out], %r3;
        @%p3 st.global.u32 [%out], %r4; @%p4 st.global.u32 [%out], %r5;
        @%p5 st.global.u32 [%out], %r6; setp.eq.u32 %p6, %r0, 5; @%p6 st.global.u32 [%out], %r7;""",
    ),
    kernel(
        "masks",
        """activemask.b32 %r1; mov.u32 %r2, %laneid; mov.u32 %r3, %lanemask_lt;
        mov.u32 %r4, %lanemask_ge; xor.b32 %r3, %r3, %r4; not.b32 %r3, %r3;
        shr.b32 %r1, %r1, %r2; sub.u32 %r1, %r1, 1; or.b32 %r1, %r1, %r3;
        st.global.u32 [%out], %r1;""",
    ),
    kernel(
        "warp_neighbours",
        """.shared .align 4 .b8 row[128];
        mov.u32 %r5, row; mad.lo.u32 %r5, %r0, 4, %r5; ld.global.u32 %r1, [%in];
        st.shared.u32 [%r5], %r1; bar.warp.sync -1; xor.b32 %r6, %r0, 1; mov.u32 %r7, row;
        mad.lo.u32 %r6, %r6, 4, %r7; ld.shared.u32 %r8, [%r6]; bar.warp.sync -1;
        st.shared.u32 [%r5], 0; st.global.u32 [%out], %r8;""",
    ),
    kernel(
        "async_copies",
        """.shared .align 16 .b8 tile[1024];
        mov.u32 %r5, tile; mad.lo.u32 %r5, %r0, 4, %r5; add.u32 %r7, %r5, 128;
        cp.async.ca.shared.global [%r5], [%in], 4; cp.async.commit_group;
        shr.b32 %r6, %r0, 3; and.b32 %r6, %r6, 3;
        cp.async.ca.shared.global [%r7], [%in], 4, %r6; cp.async.commit_group;
        cp.async.wait_group 1; ld.shared.u32 %r1, [%r5];
        cp.async.wait_all; ld.shared.u32 %r2, [%r7];
        xor.b32 %r1, %r1, %r2; st.global.u32 [%out], %r1;""",
    ),
    kernel(
        "atomics",
        """ld.global.u32 %r1, [%in]; red.global.add.u32 [%rd1], %r1;
        atom.global.max.u32 %r2, [%rd2], %r1; red.relaxed.gpu.global.add.f32 [%rd3], 0f3F000000;
        atom.global.cas.b32 %r3, [%rd4], 7, 8; atom.global.exch.b32 %r4, [%rd5], %r1;
        atom.global.or.b32 %r5, [%rd6], %r1; st.global.u32 [%out], %r3;""".replace(
            "ld.global.u32 %r1", """ld.param.u64 %rd1, [atomics_1]; add.s64 %rd2, %rd1, 4;
            add.s64 %rd3, %rd1, 8; add.s64 %rd4, %rd1, 12; add.s64 %rd5, %rd1, 16;
            add.s64 %rd6, %rd1, 20; ld.global.u32 %r1""", 1),
        parameters=3,
    ),
    kernel(
        "vectors",
        """mul.wide.u32 %rd1, %r0, 12; add.s64 %in, %in, %rd1; add.s64 %out, %out, %rd1;
        ld.global.nc.L1::no_allocate.v4.u32 {%r1, %r2, %r3, %r4}, [%in];
        st.global.cs.v4.u32 [%out], {%r4, %r3, %r2, %r1};""",
    ),
    kernel(
        "small_types",
        """ld.global.s8 %r1, [%in+3]; ld.global.u8 %h1, [%in]; cvt.u32.u16 %r2, %h1;
        add.s32 %r3, %r1, %r2; st.global.u16 [%out], %r3; st.global.u8 [%out+2], %h1;""",
    ),
    kernel(
        "local_memory",
        """.local .align 8 .b8 depot[40]; .reg .b64 %SP, %SPL;
        mov.u64 %SPL, depot; cvta.local.u64 %SP, %SPL; ld.global.u32 %r1, [%in];
        and.b32 %r2, %r0, 7; mul.wide.u32 %rd1, %r2, 4; add.u64 %rd2, %SP, %rd1;
        st.u32 [%rd2], %r1; add.u64 %rd3, %SPL, %rd1; ld.local.u32 %r3, [%rd3];
        st.global.u32 [%out], %r3;""",
    ),
    kernel(
        "constants",
        """and.b32 %r1, %r0, 7; mov.u64 %rd1, primes; cvt.u64.u32 %rd2, %r1;
        add.s64 %rd1, %rd1, %rd2; ld.const.u8 %h1, [%rd1]; ld.const.u8 %h2, [primes+7];
        mul.wide.u16 %r2, %h1, %h2; st.global.u32 [%out], %r2;""",
        outside=".const .align 1 .b8 primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};",
    ),
    kernel(
        "dynamic_memory",
        """mov.u32 %r1, rest; mad.lo.u32 %r1, %r0, 4, %r1; ld.global.u32 %r2, [%in];
        st.shared.u32 [%r1], %r2; barrier.sync 0; mov.u32 %r3, rest; ld.shared.u32 %r4, [%r3+4];
        st.global.u32 [%out], %r4;""",
        outside=".extern .shared .align 16 .b8 rest[];",
    ),
    """.visible .entry grid_constant(.param .align 8 .b8 table[32], .param .u64 target)
{ .reg .b32 %r<9>; .reg .b64 %rd<9>;
  mov.b64 %rd1, table; mov.u64 %rd2, %rd1; cvta.param.u64 %rd3, %rd2; mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd4, %r1, 4; add.s64 %rd5, %rd2, %rd4; ld.param.u32 %r2, [%rd5];
  add.s64 %rd6, %rd3, %rd4; ld.u32 %r3, [%rd6]; ld.param.u32 %r4, [table+4];
  add.u32 %r2, %r2, %r3; add.u32 %r2, %r2, %r4; ld.param.u64 %rd7, [target];
  add.s64 %rd7, %rd7, %rd4; st.global.u32 [%rd7], %r2; exit; }""",
    """.visible .entry places(.param .u64 target) .maxntid 64, 1, 1 .minnctapersm 1
{ .reg .b32 %r<20>; .reg .b64 %rd<4>; .pragma "nounroll";
  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ctaid.y; mov.u32 %r3, %nctaid.x; mov.u32 %r4, %ntid.x;
  mad.lo.u32 %r5, %r2, %r3, %r1; mov.u32 %r6, %tid.y; mov.u32 %r7, %tid.x;
  mad.lo.u32 %r8, %r6, %r4, %r7; mov.u32 %r9, %ntid.y; mul.lo.u32 %r10, %r4, %r9;
  mad.lo.u32 %r11, %r5, %r10, %r8; ld.param.u64 %rd1, [target];
  mad.wide.u32 %rd1, %r11, 4, %rd1; st.global.u32 [%rd1], %r11; ret; }""",
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    return compile_ptx("\n".join(KERNELS), tmp_path_factory.mktemp("threads"))


def run(library: Library, name: str, given: np.ndarray, **options) -> np.ndarray:
    out = np.zeros_like(given)
    assert library.launch(name, given, out, **options) == ""
    return out


@pytest.mark.parametrize("arguments", SHUFFLES)
def test_shuffles(library: Library, arguments: tuple[str, int, int]) -> None:
    name = "_".join(map(str, (*arguments, 0xFFFFFFFF)))
    assert run(library, name, 5 * LANES).tolist() == shuffled(*arguments).tolist()


def test_threads_of_a_block_meet_at_its_barriers(library: Library) -> None:
    values = np.arange(64, dtype=np.uint32)
    assert run(library, "block_sum", values, block=64).tolist() == [64 * 63 // 2] * 64


@pytest.mark.parametrize(
    ("values", "flags"),
    [(LANES * 3, 2), (LANES + 51, 7), (LANES, 4)],
    ids=["some", "all", "none"],
)
def test_votes(library: Library, values: np.ndarray, flags: int) -> None:
    out = run(library, "votes", values)
    assert out[0] == sum(1 << i for i in range(32) if values[i] > 50)
    assert set(out[1:].tolist()) == {flags}


def test_reductions(library: Library) -> None:
    values = np.random.default_rng(0).integers(0, 2**32, 32, np.uint32)
    with np.errstate(over="ignore"):
        expected = [
            values.sum(dtype=np.uint32), values.view(np.int32).max().view(np.uint32), values.min(),
            np.bitwise_xor.reduce(values), np.bitwise_and.reduce(values),
            np.bitwise_or.reduce(values),
        ]  # fmt: skip
    assert run(library, "reductions", values)[:6].tolist() == [int(v) for v in expected]


def test_masks_of_lanes(library: Library) -> None:
    assert run(library, "masks", LANES).tolist() == [0] * 32


def test_barriers_of_a_warp_order_its_shared_memory(library: Library) -> None:
    assert run(library, "warp_neighbours", LANES).tolist() == (LANES ^ 1).tolist()


def test_asynchronous_copies_arrive_and_fill_with_zeros(library: Library) -> None:
    values = np.random.default_rng(0).integers(0, 2**32, 32, np.uint32)
    kept = np.array([(1 << 8 * (i // 8)) - 1 for i in range(32)], np.uint32)
    assert run(library, "async_copies", values).tolist() == (values ^ (values & kept)).tolist()


def test_atomics(library: Library) -> None:
    cells = np.array([0, 0, 0, 7, 0, 0], np.uint32)
    out = np.zeros(32, np.uint32)
    assert library.launch("atomics", LANES, cells, out) == ""
    assert cells[:2].tolist() == [32 * 31 // 2, 31]
    assert cells[2:3].view(np.float32)[0] == 16.0
    assert cells[3] == 8 and sorted(out.tolist()) == [7] + [8] * 31
    assert cells[4] in LANES and cells[5] == 31


def test_vectors_and_cache_hints(library: Library) -> None:
    values = np.arange(128, dtype=np.uint32)
    out = run(library, "vectors", values)
    assert out.tolist() == values.reshape(32, 4)[:, ::-1].ravel().tolist()


def test_small_types_extend_their_sign(library: Library) -> None:
    values = np.frombuffer(np.random.default_rng(0).bytes(128), np.uint32)
    first = values.view(np.uint8).reshape(32, 4)[:, 0].astype(np.int32)
    last = values.view(np.int8).reshape(32, 4)[:, 3].astype(np.int32)
    expected = ((first + last) & 0xFFFF) + (first << 16)
    assert run(library, "small_types", values).tolist() == expected.tolist()


def test_local_memory_is_each_threads_own(library: Library) -> None:
    assert run(library, "local_memory", LANES * 9).tolist() == (LANES * 9).tolist()


def test_constants(library: Library) -> None:
    primes = np.array([2, 3, 5, 7, 11, 13, 17, 19])
    assert run(library, "constants", LANES).tolist() == [int(primes[i % 8]) * 19 for i in range(32)]


def test_dynamic_shared_memory(library: Library) -> None:
    assert run(library, "dynamic_memory", LANES * 3, shared=128).tolist() == [3] * 32


def test_parameters_by_name_and_by_address(library: Library) -> None:
    table = np.arange(10, 18, dtype=np.uint32)
    out = np.zeros(8, np.uint32)
    assert library.launch("grid_constant", table, out, block=8, by_value=(0,)) == ""
    assert out.tolist() == (2 * table + 11).tolist()


def test_blocks_and_threads_in_two_dimensions(library: Library) -> None:
    out = np.zeros(2 * 3 * 4 * 16, np.uint32)
    assert library.launch("places", out, grid=(2, 3), block=(16, 4)) == ""
    assert out.tolist() == list(range(out.size))
