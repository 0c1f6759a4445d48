"""Models how close each CUDA kernel comes to the speed of a copy. No GPU is needed.

    python bench/gpu_model.py [--library FILE] [--out bench/results/studies/gpu_model.csv] [--check]

Reads the main loop of each kernel from the machine code (sm_90): of the innermost loops with loads
or stores of 16 bytes, if there are any, the one that moves the most bytes. On each machine a kernel
then takes the longest of

- memory: its bytes, at the rate at which a copy moves them;
- issue: its instructions, four a cycle and multiprocessor;
- MUFU (exponentials, reciprocals, conversions to FP64) and FP64: those instructions, at the rate of
  their units;
- latency: a warp loads, waits, and computes at one instruction every four cycles, and as many warps
  as fit a multiprocessor take turns.

The share of a copy is the time for memory over the longest of these. Launches, short inputs and
caches are not modelled: the figures are for inputs much larger than L2. `--check` fails if a kernel
falls short of its target.
"""

import argparse
import csv
import math
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from machine_code import Kernel, Loop, read_kernels

RESULT = Path(__file__).parent / "results" / "studies" / "gpu_model.csv"

THREADS = 256
"""Of a block: kThreadsPerBlock in csrc/cuda_common.cuh."""
ISSUE = 4 * 0.9
"""Instructions a cycle of a multiprocessor: four schedulers, nine tenths of their slots filled."""
DEPENDENT = 4
"""Cycles between two instructions of one warp, each of which needs the last one's result."""


@dataclass(frozen=True)
class Machine:
    """A GPU, by the figures of its maker's data sheet; `latency_ns` is an estimate under load."""

    name: str
    multiprocessors: int
    clock_ghz: float
    copy_gb_s: float
    """What a copy reads and writes: 0.9 of the memory's peak."""
    latency_ns: float
    fp64: float
    """Results of FP64 a cycle and multiprocessor."""
    warps: int
    """The most a multiprocessor holds."""
    shared_kib: int
    """Shared memory of a multiprocessor."""


MACHINES = (
    Machine("H200", 132, 1.755, 0.9 * 4800, 700, 64, 64, 227),
    Machine("B200", 148, 1.85, 0.9 * 8000, 800, 64, 64, 227),
    Machine("RTX 4090", 128, 2.52, 0.9 * 1008, 600, 2, 48, 99),
    Machine("Jetson AGX Orin", 16, 1.3, 0.9 * 204.8, 800, 2, 48, 163),
)
MUFU = 16
"""Results of the special function unit a cycle and multiprocessor."""

ARRAYS = {"RReluBackward": 2, "RReluAddForward": 2, "RReluAddBackward": 3, "norm_apply": 2}
ARRAYS |= {"norm_moments": 2, "norm_sums": 3, "norm_grad": 3}
"""Arrays that a kernel reads, by a part of its name; the others read one."""
GATHERS = r"norm_(sums|grad)_kernel<.*, true>$"
"""Kernels that read one of their arrays element by element, with narrower loads than the others."""

MEASURED = {
    ("rrelu", "forward"): r"elementwise_kernel<{dtype}, (?!1,)\d+, RReluForward\b",
    ("rrelu", "backward"): r"elementwise_kernel<{dtype}, (?!1,)\d+, RReluBackward\b",
    ("active_image_cumulative", "forward"): r"temporal_pool_kernel<{dtype}, int32, .*\b16>",
    ("active_image_rank", "forward"): r"temporal_pool_kernel<{dtype}, float32, .*\b16>",
    ("active_image_absolute", "forward"): r"motion_pool_kernel<{dtype}, int32, .*false, 16>",
}
"""The kernel in which a benchmark and mode of `originet bench` spends its time."""

TARGETS = {"elementwise": 0.95, "temporal_pool": 0.9, "motion_pool": 0.9, "norm_": 0.85}
TARGETS |= {"sliding_pool": 0.9, "stretch_kernel": 0.9}
"""Least share of a copy on an H200, by a part of the name of a kernel with vectors."""


SHORT = {
    # Two psi of some 33 instructions each for 8 bytes, and nothing written. An approximate psi
    # keeps up with memory, but its error of 4 units in the last place shows in channels whose
    # deviation is small.
    "norm_moments_kernel<float32": 0.6,
}
"""Kernels that fall short, and the share that they have instead, by a part of their name."""


@dataclass(frozen=True)
class Work:
    """What a thread does in one turn of a kernel's main loop."""

    kernel: str
    registers: int
    shared_bytes: int
    elements: int
    bytes_read: int
    bytes_written: int
    instructions: int
    mufu: int
    fp64: int


def work_of(kernel: Kernel) -> Work | None:
    """Reads a kernel's main loop; None if it has no loop that moves data.

    The element-wise kernels take one turn a block, so what comes before their loop counts as well.
    Loads narrower than the widest are of tables, the same for all threads, and do not count, unless
    the kernel gathers an array.
    """

    def moved(loop: Loop) -> tuple[bool, int]:
        # A loop over tables may move more bytes, but none by 16 at a time.
        wide = any(".128" in each.split()[0] for each in loop.body)
        return wide, loop.bytes_moved("LDG") + loop.bytes_moved("STG")

    loop = max(kernel.innermost, key=moved, default=None)
    if loop is None or moved(loop)[1] == 0:
        return None
    name = kernel.short_name
    setup = sum(at < loop.start for at, _ in kernel.instructions) if "elementwise" in name else 0
    read = loop.bytes_moved("LDG", widest=not re.search(GATHERS, name))
    written = loop.bytes_moved("STG")
    arrays = next((n for part, n in ARRAYS.items() if re.search(rf"\b{part}", name)), 1)
    return Work(
        kernel=name,
        registers=kernel.registers,
        shared_bytes=kernel.shared_bytes,
        elements=(read // arrays or written) // _item_size(name),
        bytes_read=read,
        bytes_written=written,
        instructions=len(loop.body) + setup,
        mufu=loop.count(r"MUFU|F2F\S*\.F64"),
        fp64=loop.count(r"D(ADD|MUL|FMA|SETP)"),
    )


def _item_size(name: str) -> int:
    """Bytes of an element: the first type among a kernel's template arguments."""
    sizes = {"uint8": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
    return sizes[re.search("|".join(sizes), name)[0]]


def blocks_of(work: Work, machine: Machine) -> int:
    """Blocks of a kernel that a multiprocessor holds at a time."""
    registers = 8 * math.ceil(work.registers / 8) * THREADS  # given out 8 a thread
    shared = work.shared_bytes + 1024  # the system's own
    limits = (
        65536 // registers,
        machine.warps * 32 // THREADS,
        machine.shared_kib * 1024 // shared,
    )
    return min(limits)


def cycles_a_warp(work: Work, machine: Machine) -> dict[str, float]:
    """Cycles of a multiprocessor that one turn of one warp costs, by what limits it."""
    moved = 32 * (work.bytes_read + work.bytes_written)
    rate = machine.copy_gb_s / machine.multiprocessors / machine.clock_ghz  # bytes a cycle
    alone = machine.latency_ns * machine.clock_ghz + DEPENDENT * work.instructions
    return {
        "memory": moved / rate,
        "issue": work.instructions / ISSUE,
        "MUFU": 32 * work.mufu / MUFU,
        "FP64": 32 * work.fp64 / machine.fp64,
        "latency": alone / (blocks_of(work, machine) * THREADS // 32),
    }


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    kernel: str
    machine: str
    bytes_an_element: float
    instructions_an_element: float
    registers: int
    blocks: int
    bytes_in_flight: int
    mufu_share: float
    fp64_share: float
    limit: str
    share_of_copy: float


def row_of(work: Work, machine: Machine) -> Row:
    """Models a kernel on a machine."""
    cycles = cycles_a_warp(work, machine)
    limit = max(cycles, key=cycles.__getitem__)
    blocks = blocks_of(work, machine)
    return Row(
        kernel=work.kernel,
        machine=machine.name,
        bytes_an_element=round((work.bytes_read + work.bytes_written) / work.elements, 2),
        instructions_an_element=round(work.instructions / work.elements, 1),
        registers=work.registers,
        blocks=blocks,
        bytes_in_flight=blocks * THREADS * work.bytes_read,
        mufu_share=round(cycles["MUFU"] / cycles[limit], 2),
        fp64_share=round(cycles["FP64"] / cycles[limit], 2),
        limit=limit,
        share_of_copy=round(cycles["memory"] / cycles[limit], 3),
    )


def model(library: str | Path) -> list[Row]:
    """Models every kernel of a library on every machine.

    Args:
        library: The compiled extension, with machine code for sm_90.

    Returns:
        The rows, by kernel and machine.

    Raises:
        RuntimeError: If the disassembler is missing.
    """
    works = filter(None, map(work_of, read_kernels(library).values()))
    ordered = sorted(works, key=lambda work: work.kernel)
    return [row_of(work, machine) for work in ordered for machine in MACHINES]


def target_of(kernel: str) -> float | None:
    """The least share of a copy that a kernel must reach on an H200; None if there is none.

    Kernels without vectors serve inputs at odd addresses and have no target, nor have those of
    float64. Nor has the last one of the norm, which reads a few partial sums a channel: its time is
    that of a launch.
    """
    vectors = re.search(r"<(?:.*?, )?(\d+)\b", kernel)
    if vectors is None or vectors[1] == "1" or _item_size(kernel) == 8 or "norm_biases" in kernel:
        return None
    shares = SHORT | TARGETS
    return next((least for part, least in shares.items() if part in kernel), None)


def below_target(rows: list[Row]) -> list[Row]:
    """The rows of the H200 that fall short."""
    return [
        row
        for row in rows
        if row.machine == MACHINES[0].name and row.share_of_copy < (target_of(row.kernel) or 0)
    ]


def beside_measured(rows: list[Row], folder: str | Path) -> list[str]:
    """Lists what was measured on a GPU beside the model of the H200.

    Args:
        rows: The model.
        folder: Holds the CSVs of `originet bench --device cuda`.

    Returns:
        A line for each kernel, by its largest input.

    Raises:
        OSError: If a CSV cannot be read.
    """
    largest: dict[tuple[str, str, str], dict[str, str]] = {}
    for name in ("rrelu.csv", "active_image.csv"):
        with (Path(folder) / name).open(newline="") as file:
            for row in csv.DictReader(file):
                key = row["benchmark"], row["mode"], row["dtype"]
                measured = row["device"].startswith("cuda") and row["provider"] == "fused"
                if measured and key[:2] in MEASURED:
                    largest[key] = max(largest.get(key, row), row, key=lambda r: int(r["bytes"]))
    lines = []
    for (benchmark, mode, dtype), row in sorted(largest.items()):
        pattern = MEASURED[benchmark, mode].format(dtype=dtype)
        for each in rows:
            if each.machine == MACHINES[0].name and re.match(pattern, each.kernel):
                told = f"modelled {each.share_of_copy:.2f} ({each.limit})"
                measured = f"measured {float(row['copy_ratio']):.2f} on {row['device_name']}"
                lines.append(f"{benchmark} {mode} {dtype} {row['shape']}: {told}, {measured}")
    return lines


def main() -> None:
    """Writes the table, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, help="default: the installed one")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--check", action="store_true", help="fail if a kernel misses its target")
    parser.add_argument(
        "--measured", type=Path, help="print a folder's benchmarks beside the model"
    )
    arguments = parser.parse_args()
    library = arguments.library
    if library is None:
        import originet_ext

        library = Path(originet_ext._library._C.__file__)
    rows = model(library)
    if not rows:
        sys.exit(f"{library} holds no machine code for sm_90")
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))
    for row in below_target(rows):
        told = f"{row.share_of_copy:.2f} of a copy, limited by {row.limit}"
        print(f"{row.kernel}: {told}; target {target_of(row.kernel)}")
    if arguments.measured:
        print(*beside_measured(rows, arguments.measured), sep="\n")
    if arguments.check and below_target(rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
