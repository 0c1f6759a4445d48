"""bench/machine_code.py and bench/gpu_model.py: reading machine code, and the model of a GPU."""

import csv

import pytest
from gpu_model import (
    MACHINES,
    RESULT,
    Work,
    below_target,
    beside_measured,
    blocks_of,
    cycles_a_warp,
    row_of,
    target_of,
    work_of,
)
from machine_code import Kernel

H200 = MACHINES[0]

CODE = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;                   /* 0x00000a00ff017b82 */
        /*0010*/              @!P0 LDG.E.U8 R9, desc[UR4][R2.64] ;          /* 0x0000000402097981 */
        /*0020*/                   LDG.E.128 R4, desc[UR4][R2.64] ;         /* 0x0000000402047981 */
        /*0030*/                   LDG.E R8, desc[UR4][R2.64+0x20] ;        /* 0x0000000402087981 */
        /*0040*/                   MUFU.EX2 R4, R4 ;                        /* 0x0000000400047308 */
        /*0050*/              @P1  DFMA R6, R6, R6, R6 ;                    /* 0x000000060606722b */
        /*0060*/                   STG.E.64 desc[UR4][R2.64], R4 ;          /* 0x0000000402007986 */
        /*0070*/              @!P2 BRA 0x20 ;                              /* 0xfffffffc00a42947 */
        /*0080*/              @!P3 BRA 0x10 ;                              /* 0xfffffffc00a42947 */
        /*0090*/                   EXIT ;                                   /* 0x000000000000794d */
"""


def kernel(name: str = "_Z11some_kernelIfEvv", code: str = CODE, registers: int = 40) -> Kernel:
    return Kernel(name, code, registers=registers, shared_bytes=1024)


def work(**values) -> Work:
    usual = {
        "kernel": "some_kernel<float32, 4>",
        "registers": 32,
        "shared_bytes": 0,
        "elements": 4,
        "bytes_read": 16,
        "bytes_written": 16,
        "instructions": 20,
        "mufu": 0,
        "fp64": 0,
    }
    return Work(**usual | values)


def test_a_kernels_loops_are_jumps_back_and_the_inner_one_is_found():
    found = kernel()
    assert [(loop.start, loop.end) for loop in found.loops] == [(0x20, 0x70), (0x10, 0x80)]
    (inner,) = found.innermost
    assert len(inner.body) == 6
    assert inner.bytes_moved("LDG") == 20 and inner.bytes_moved("LDG", widest=True) == 16
    assert inner.bytes_moved("STG") == 8
    assert inner.count("MUFU") == 1 and inner.count("D(FMA|ADD)") == 1


def test_names_are_those_of_torchs_types_without_namespaces():
    name = (
        "_ZN8originet12_GLOBAL__N_118elementwise_kernelIN3c108BFloat16ELi8ENS_12RReluForwardIfLb1EEE"
        "EEvT1_S4_"
    )
    assert kernel(name).short_name == "elementwise_kernel<bfloat16, 8, RReluForward<float32, true>>"


def test_the_work_of_a_turn_is_that_of_the_main_loop():
    found = work_of(kernel())
    assert found == work(
        kernel="some_kernel<float32>",
        registers=40,
        shared_bytes=1024,
        elements=4,
        bytes_read=16,
        bytes_written=8,
        instructions=6,
        mufu=1,
        fp64=1,
    )
    assert work_of(kernel(code="/*0000*/ EXIT ; ")) is None


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ({"registers": 32}, 8),  # 2,048 threads
        ({"registers": 33}, 6),  # registers are given out by eights: 65536 / (40 * 256) = 6.4
        ({"registers": 255}, 1),
        ({"shared_bytes": 56 * 1024}, 3),  # 227 / 57
    ],
)
def test_blocks_of_a_multiprocessor(values, blocks):
    assert blocks_of(work(**values), H200) == blocks


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({}, "memory"),
        ({"instructions": 2000}, "issue"),
        ({"mufu": 200}, "MUFU"),
        ({"fp64": 200}, "FP64"),
        ({"registers": 255}, "latency"),
    ],
)
def test_what_a_kernel_has_too_much_of_limits_it(values, limit):
    row = row_of(work(**values), H200)
    assert row.limit == limit
    assert (row.share_of_copy == 1) == (limit == "memory")


def test_a_gathered_array_counts_although_its_loads_are_narrow():
    """Two of three arrays in 16 bytes, the third in four times 4."""
    loads = [f"LDG.E.128 R{r}, desc[UR4][R2.64]" for r in (4, 8)]
    loads += [f"LDG.E R{r}, desc[UR4][R2.64]" for r in (12, 13, 14, 15)]
    body = "\n".join(f"/*{16 * i:04x}*/ {each} ;" for i, each in enumerate([*loads, "BRA 0x0"]))
    sums = "_ZN8originet16norm_sums_kernelIfLi4ELb1ELb{}EEEvv"
    gathers, reads = (work_of(kernel(sums.format(b), code=body)) for b in (1, 0))
    assert (gathers.bytes_read, gathers.elements) == (48, 4)
    assert reads.bytes_read == 32


def test_memory_takes_the_time_of_a_copy():
    moved = 32 * 32 * 1e9  # bytes of 10^9 warps
    cycles = 1e9 * cycles_a_warp(work(), H200)["memory"] / H200.multiprocessors
    assert moved / (cycles / (H200.clock_ghz * 1e9)) == pytest.approx(H200.copy_gb_s * 1e9)


def test_targets_are_of_kernels_with_vectors():
    assert target_of("elementwise_kernel<float16, 8, RReluForward<float32, true>>") == 0.95
    assert target_of("motion_pool_kernel<uint8, int32, float32, true, 16>") == 0.9
    assert target_of("norm_grad_kernel<float32, 4, true, false>") == 0.85
    walk = "MotionPixelWalk<true, bfloat16, float64, 8>, 8, bfloat16, float64, float32, float32"
    assert target_of(f"sliding_pool_kernel<{walk}>") == 0.9
    assert target_of("norm_sums_kernel<float64, 2, false, false>") is None
    assert target_of("elementwise_kernel<float16, 1, RReluForward<float32, true>>") is None
    assert target_of("stretch_kernel<float32>") is None
    assert target_of("norm_biases_kernel<float32, 4, true>") is None
    slow = row_of(work(kernel="norm_grad_kernel<float32, 4, false>", registers=255), H200)
    assert below_target([slow]) == [slow]


def test_what_was_measured_stands_beside_the_model(tmp_path):
    header = "benchmark,provider,mode,device,device_name,dtype,shape,bytes,copy_ratio"
    lines = (
        "rrelu,fused,forward,cuda,NVIDIA H200,float16,1024,4096,0.5",
        "rrelu,fused,forward,cuda,NVIDIA H200,float16,1048576,4194304,0.93",
        "rrelu,eager,forward,cuda,NVIDIA H200,float16,1048576,4194304,0.2",
        "rrelu,fused,forward,cpu,AMD EPYC,float16,1048576,4194304,0.7",
    )
    (tmp_path / "rrelu.csv").write_text("\n".join((header, *lines)))
    (tmp_path / "active_image.csv").write_text(header)
    modelled = [
        row_of(work(kernel=name), machine)
        for machine in MACHINES
        for name in (
            "elementwise_kernel<float16, 8, RReluForward<float32, true>>",
            "elementwise_kernel<float16, 1, RReluForward<float32, true>>",
            "elementwise_kernel<bfloat16, 8, RReluForward<float32, true>>",
        )
    ]
    assert beside_measured(modelled, tmp_path) == [
        "rrelu forward float16 1048576: modelled 1.00 (memory), measured 0.93 on NVIDIA H200"
    ]


def test_the_committed_table_holds_every_machine_and_no_kernel_below_its_target():
    with RESULT.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["machine"] for row in rows} == {machine.name for machine in MACHINES}
    shares = {r["kernel"]: float(r["share_of_copy"]) for r in rows if r["machine"] == H200.name}
    targets = {name: least for name in shares if (least := target_of(name)) is not None}
    assert len(targets) >= 50
    short = {name: shares[name] for name, least in targets.items() if shares[name] < least}
    assert short == {}
