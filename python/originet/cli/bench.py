"""`originet bench`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from originet.cli.console import console, progress_bar, progress_bars
from originet.cli.options import Device
from originet.system.choices import SUBJECTS
from originet.system.errors import InputError

if TYPE_CHECKING:
    from originet.bench.regressions import Regressions
    from originet.system.timings import Row


def bench_command(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for CSV files and pictures; adds rows.")
    ] = Path("originet-bench"),
    quick: Annotated[bool, typer.Option("--quick", help="Time only a few cases.")] = False,
    subject: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(SUBJECTS)}; repeatable, all by default."),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="Data type of psi, such as bfloat16; repeatable, all by default."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            help="Number of threads; repeatable, 1 and torch's default by default. The model uses "
            "only the largest."
        ),
    ] = None,
    device: Device = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="List ratios worse than the committed ones; exit code 1 if any."
        ),
    ] = False,
    baseline: Annotated[Path, typer.Option(help="The committed results.")] = Path("bench/results"),
    results: Annotated[
        Path | None, typer.Option(help="Read the CSV files of this folder instead of measuring.")
    ] = None,
    commit: Annotated[
        str, typer.Option(help="Commit to record if the sources are not in a repository.")
    ] = "",
) -> None:
    """Time the kernels and OrigiNet against their alternatives.

    The alternatives are eager, compiled and native functions, and a clone of as many bytes.
    """
    from originet import bench
    from originet.bench import summary
    from originet.system.device import pick_device

    if compare:
        try:  # before writing to --out, which may be the same folder
            committed = bench.read_results(baseline)
        except InputError as error:
            hint = "--baseline must name the bench/results of a checkout"
            raise InputError(f"{error}; {hint}") from None
    rows: list[Row] = []
    if results is not None:
        rows = bench.read_results(results)
    else:
        where = pick_device(device)
        dtypes = [bench.dtype(name) for name in dtype] if dtype else None
        work = {
            name: bench.jobs(name, where, dtypes=dtypes, threads=threads, quick=quick)
            for name in subject or SUBJECTS
        }

        def save(timed: list["Row"]) -> None:
            bench.write_results(out, [replace(row, commit=row.commit or commit) for row in timed])

        with progress_bars() as bars:
            for name, jobs in work.items():
                rows += bench.run_jobs(jobs, progress_bar(bars, f"bench {name}"), save)
        bench.draw_results(out, bench.read_results(out))
    for part in summary.tables(rows):
        table = Table(
            *part.header,
            title=part.title,
            caption=part.note or None,
            box=box.SIMPLE_HEAD,
            padding=0,
        )
        for place, column in enumerate(table.columns):
            column.justify, column.overflow = "left" if place < 3 else "right", "fold"
        for line in part.lines:
            table.add_row(*line)
        console.print(table)
    if results is None:
        console.print(f"Results: {out}", soft_wrap=True)
    if compare:
        _print_regressions(bench.compare(rows, committed))


def _print_regressions(outcome: "Regressions") -> None:
    """Prints the ratios that got worse; exits with code 1 if there are any."""
    from originet.bench import TOLERANCE

    table = Table(title="Worse than committed: time over that of another provider")
    for name in ("case", "dtype", "shape", "threads", "over", "committed", "now"):
        table.add_column(name, overflow="fold")
    for row, rival, before, now in outcome.worse:
        case = (f"{row.benchmark} {row.mode}", row.dtype, f"{row.shape} {row.layout}")
        table.add_row(*case, str(row.threads), rival, f"{before:.2f}", f"{now:.2f}")
    if outcome.worse:
        console.print(table)
    for here, there in outcome.devices:
        console.print(f"Measured on {here}, committed on {there}", soft_wrap=True)
    console.print(
        f"Compared: cases {outcome.cases}, ratios {outcome.ratios}; "
        f"worse by more than {TOLERANCE:.0%}: {len(outcome.worse)}",
        soft_wrap=True,
    )
    if outcome.worse:
        raise typer.Exit(1)
