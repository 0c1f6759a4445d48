"""The timings in a report."""

from collections.abc import Mapping, Sequence

from originet.bench.figures import duration, kernel_speedup
from originet.drawing.page import Page
from originet.system import timings
from originet.system.timings import MARK_NOTE, marked


def bench_section(
    report: Page, rows: Sequence[timings.Row], saved: Mapping[str, float] | None = None
) -> None:
    """Add the timings: for each benchmark a chart of fused against eager, then all numbers.

    The numbers are folded where there is a chart of them.

    Args:
        report: Where to add them.
        rows: From `originet.bench`.
        saved: Bytes that autograd keeps for the backward of psi, in input sizes, by provider.
    """
    report.section("Kernel timings")
    devices = sorted({row.device_name for row in rows})
    threads = sorted({row.threads for row in rows} - {0})
    where = ", ".join(devices) + (f", {'/'.join(map(str, threads))} threads" if threads else "")
    report.text(
        f"Measured on {where}. Providers took turns, round by round, so that drift of the machine "
        "affected them alike; cases whose rounds varied too much were timed again. The last column "
        "of each table compares with a clone of as many bytes, timed in the same rounds: 1 is the "
        "most that memory allows where the data exceed the caches.",
        *([] if all(row.reliable for row in rows) else [MARK_NOTE]),
    )
    clones = {row.case: row for row in rows if row.provider == "clone"}
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        chosen = [row for row in rows if row.benchmark == benchmark]
        charted = any(row.provider == "eager" for row in chosen)
        if charted:  # eager is too slow to be timed for some
            drawn = [row for row in chosen if row.provider in ("fused", "eager")]
            unreliable = {row.case for row in drawn if not row.reliable}
            report.figure(
                kernel_speedup(drawn, unreliable),
                f"{benchmark}: medians, eager over fused.",
                f"Bars: how many times faster than eager PyTorch the fused {benchmark} is",
            )
        report.table(
            ["mode", "shape", "dtype", "provider", "median", "20 %", "80 %", "GB/s", "of clone"],
            [
                [
                    *(row.mode, row.shape, row.dtype, row.provider),
                    marked(duration(row.median_us), row),
                    *map(duration, (row.q20_us, row.q80_us)),
                    marked(f"{row.gbps:.1f}", row),
                    marked(f"{row.copy_ratio:.2f}", row, clones.get(row.case, row)),
                ]
                for row in chosen
            ],
            f"{benchmark}: time per call, all providers.",
            folded=charted,
        )
    if saved:
        report.table(
            ["provider", "input sizes kept"],
            [[provider, f"{times:.2f}"] for provider, times in saved.items()],
            "Memory that psi keeps for its backward pass.",
        )
