"""How fast OrigiNet's convolutions train on the CPU, and a training step with them.

    python bench/study_conv.py          # times into results/studies/conv.csv, draws
    python bench/study_conv.py --draw   # the table in docs, from the CSV
    python bench/study_conv.py --check  # exit code 1 if the table is not what the CSV gives

The convolutions of stages 2 to 4 and a whole step are timed at batch 32 on one thread, in processor
time, which leaves out other programs' work: with torch's convolutions, with those of
`originet_ext.hybrid_conv`, and beside them a convolution of many channels, where torch multiplies
about as fast as the processor can. GFLOP are those of the plain convolution.
"""

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from study_rows import ROOT, STUDIES, put_table, read_rows, write_rows
from torch import Tensor

from originet.bench.summary import markdown
from originet.system.environment import environment
from originet.system.memory import keep_freed_memory
from originet.training.model import WIDTHS, OrigiNet
from originet_ext import hybrid_conv

RESULTS = STUDIES / "conv.csv"
DOCS = ROOT / "docs" / "design.md"

BATCH, SIZE, ROUNDS = 32, 128, 15
WIDE = "convolution of many channels"
WIDE_CHANNELS, WIDE_SIZE = 256, 32
CPU = torch.device("cpu")

Calls = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Row:
    """One provider in one case."""

    case: str
    what: str
    provider: str
    threads: int
    seconds: float
    """The median of rounds."""
    gflop: float
    """Of the plain convolution; 0 for a step."""
    load: float
    """How many processes wanted to run, on average over the last minute."""
    device_name: str
    torch: str
    commit: str
    date: str


def main(
    draw: Annotated[bool, typer.Option("--draw", help="Time nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
) -> None:
    if not (draw or check):
        torch.set_num_threads(1)
        keep_freed_memory()
        write_rows(RESULTS, [*convolutions(), *training_step()])
    table = tables_of(read_rows(RESULTS, Row))
    put_table(DOCS, "conv", table, check=check, command="python bench/study_conv.py --draw")


def convolutions() -> list[Row]:
    """Times the convolutions of every stage, forward and backward, and a wide one."""
    torch.manual_seed(0)
    shapes = (8, WIDE_SIZE, WIDE_SIZE, WIDE_CHANNELS), (WIDE_CHANNELS, 3, 3, WIDE_CHANNELS)
    images, taps = (torch.randn(shape).permute(0, 3, 1, 2) for shape in shapes)
    gflop = 2e-9 * images.numel() * taps[0].numel()
    rows = timed(WIDE, "forward", {"torch": lambda: F.conv2d(images, taps, padding=1)}, gflop)
    channels, size = WIDTHS[0], SIZE // 2
    for stage, width in enumerate(WIDTHS[1:], 2):
        shapes = [(BATCH, size, size, channels), *((width, k, k, channels) for k in (3, 5))]
        x, *weights = (torch.randn(shape).permute(0, 3, 1, 2) for shape in shapes)
        size //= 2
        gflop = 2e-9 * BATCH * channels * width * (9 + 25) * size**2
        given = [t.requires_grad_() for t in (x, *weights)]

        forward: Calls = {
            "torch": functools.partial(plain, *given),
            "winograd": functools.partial(hybrid_conv, *given),
        }
        upstream = [torch.randn(BATCH, size, size, width).permute(0, 3, 1, 2)] * 2
        grad = functools.partial(torch.autograd.grad, retain_graph=True)
        backward: Calls = {
            name: functools.partial(grad, call(), given, upstream) for name, call in forward.items()
        }
        rows += timed(f"stage {stage}", "forward", forward, gflop)
        rows += timed(f"stage {stage}", "backward", backward, 2 * gflop)
        channels = width
    return rows


def plain(x: Tensor, small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
    """Convolves by torch."""
    return F.conv2d(x, small, None, 2, 1), F.conv2d(x, large, None, 2, 2)


def timed(case: str, what: str, calls: Calls, gflop: float) -> list[Row]:
    """Times calls in interleaved rounds, in processor time."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()  # brings its memory into the cache
            before = time.process_time()
            call()
            times[name].append(time.process_time() - before)
    return [row(case, what, name, 1, float(np.median(t)), gflop) for name, t in times.items()]


def training_step() -> list[Row]:
    """Times a step of OrigiNet: forward, backward and Adam."""
    torch.manual_seed(0)
    x = torch.randn(BATCH, 1, SIZE, SIZE).expand(-1, 3, -1, -1)
    labels = torch.arange(BATCH) % 4

    def step(model: OrigiNet, adam: torch.optim.Adam) -> None:
        adam.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        adam.step()

    calls: Calls = {}
    for name in ("torch", "winograd"):
        model = OrigiNet(4, image_size=SIZE, winograd=name == "winograd")
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        adam = torch.optim.Adam(model.parameters(), fused=True)
        calls[name] = functools.partial(step, model, adam)
    return timed("training", "step", calls, 0)


def row(case: str, what: str, provider: str, threads: int, seconds: float, gflop: float) -> Row:
    told = environment(CPU)
    return Row(
        case=case,
        what=what,
        provider=provider,
        threads=threads,
        seconds=float(f"{seconds:.4g}"),
        gflop=float(f"{gflop:.4g}"),
        load=round(os.getloadavg()[0], 1),
        device_name=told["device_name"],
        torch=told["torch"],
        commit=told["commit"],
        date=told["date"],
    )


def tables_of(rows: Sequence[Row]) -> str:
    """Writes the table, in Markdown."""
    found = {(row.case, row.what, row.provider): row for row in rows}
    wide = found.pop((WIDE, "forward", "torch"))
    peak = wide.gflop / wide.seconds
    header = ["convolutions", "torch", "winograd", "ratio", "torch", "winograd"]
    lines = []
    totals = {"torch": 0.0, "winograd": 0.0}
    for case, what in dict.fromkeys((row.case, row.what) for row in found.values() if row.gflop):
        both = [found[case, what, name] for name in totals]
        for one in both:
            totals[one.provider] += one.seconds
        times = [f"{1000 * one.seconds:.1f} ms" for one in both]
        rates = [one.gflop / one.seconds for one in both]
        shares = [f"{rate:.0f} GFLOP/s, {rate / peak:.0%}" for rate in rates]
        ratio = f"{both[0].seconds / both[1].seconds:.2f}"
        lines.append([f"{case}, {what}", *times, ratio, *shares])
    times = [f"{1000 * total:.0f} ms" for total in totals.values()]
    lines.append(["all", *times, f"{totals['torch'] / totals['winograd']:.2f}", "", ""])
    both = [found["training", "step", name] for name in totals]
    times = [f"{1000 * one.seconds:.0f} ms" for one in both]
    lines.append(["training step", *times, f"{both[0].seconds / both[1].seconds:.2f}", "", ""])
    loads = [row.load for row in rows]
    return (
        f"{markdown(header, lines)}\n\n"
        f"Shares are of the {peak:.0f} GFLOP/s of a convolution of {WIDE_CHANNELS} "
        "channels by torch; GFLOP are those of the plain convolution, so a Winograd one may exceed "
        f"it. One thread, batch {BATCH}, medians of processor time. {wide.device_name}, torch "
        f"{wide.torch}, commit {wide.commit}, {wide.date}, on a machine with a load of "
        f"{min(loads):.0f} to {max(loads):.0f}."
    )


if __name__ == "__main__":
    typer.run(main)
