"""Results as tables: the fused provider beside all others, for the terminal and for the README."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from originet.errors import InputError
from originet.plots import duration, size_text
from originet.timing import Row

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

_TITLES = {"rrelu": "Psi", "active_image": "Active image", "model": "OrigiNet"}
# Which cases stand for the others in the README: a colour clip; OrigiNet at batch 32.
_README_SHAPES = ("64x340x280x3", "32x3x128x128")


class Table(NamedTuple):
    """One subject on one device: its cases, one a line."""

    title: str
    header: list[str]
    lines: list[list[str]]


def tables(rows: Iterable[Row]) -> list[Table]:
    """Put results into tables: the fused median, its share of the clone, how often faster it is.

    Args:
        rows: Bench rows; cases without the provider "fused" are left out.
    """
    groups: dict[tuple[str, str], dict[tuple[str | int, ...], dict[str, Row]]] = {}
    for row in rows:
        cases = groups.setdefault((row.subject, where(row)), {})
        cases.setdefault(row.case, {})[row.provider] = row
    result = []
    psi_first = sorted(groups.items(), key=lambda item: item[0][0] != "rrelu")
    for (subject, place), cases in psi_first:
        complete = [timed for timed in cases.values() if "fused" in timed]
        if complete:
            result.append(_table(f"{_TITLES.get(subject, subject)} on {place}", complete))
    return result


def where(row: Row) -> str:
    """Name the device and the number of threads, as in "AMD EPYC, 2 threads"."""
    if not row.threads:
        return row.device_name
    return f"{row.device_name}, {row.threads} thread{'s' if row.threads > 1 else ''}"


def picture_name(row: Row) -> str:
    """Name the file of the picture that a row is drawn in, after where it was measured."""
    place = re.sub(r"[^a-z0-9]+", "-", where(row).lower()).strip("-")
    return f"{row.subject}_{place}.png"


def readme_block(rows: Sequence[Row], folder: str) -> str:
    """Write the README's part about the results, in Markdown, without the markers around it.

    Args:
        rows: The committed rows.
        folder: Where the pictures are, as the README names it.
    """
    parts = []
    for name in dict.fromkeys(row.device_name for row in rows):
        of_device = [row for row in rows if row.device_name == name]
        threads = max(row.threads for row in of_device)
        chosen = [row for row in of_device if row.threads == threads]
        psi = [row for row in chosen if row.subject == "rrelu"]
        first = chosen[0]
        made = ", ".join(
            f"{what} {' and '.join(sorted({getattr(row, what) for row in chosen}))}"
            for what in ("torch", "commit", "date")
        )
        parts.append(f"**{where(first)}** ({made})")
        if psi:
            link = f"{folder}/{picture_name(psi[0])}"
            parts.append(f"![psi on {where(first)}: GB/s over bytes moved]({link})")
        for table in tables(_representative(chosen)):
            parts += [f"{table.title}:", _markdown(table)]
    return "\n\n".join(parts)


def replace_block(text: str, block: str) -> str:
    """Put a block between the markers of a Markdown text.

    Raises:
        InputError: The text has not both markers, in order, once each.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(f"the text must hold {BEGIN} and after it {END}, once each")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.partition(END)[2]}"


def _representative(rows: Sequence[Row]) -> list[Row]:
    """The cases that stand for all: psi at the largest size, and at the smallest in float32."""
    flat = [row for row in rows if row.subject == "rrelu" and row.shape.isdecimal()]
    sizes = [_nbytes(row) for row in flat]
    return [
        row
        for row in rows
        if row.shape in _README_SHAPES
        or (row in flat and _nbytes(row) == max(sizes))
        or (row in flat and _nbytes(row) == min(sizes) and row.dtype == "float32")
    ]


def _table(title: str, cases: Sequence[dict[str, Row]]) -> Table:
    providers = dict.fromkeys(provider for timed in cases for provider in timed)
    others = [provider for provider in providers if provider not in ("fused", "clone")]
    with_clone = "clone" in providers
    with_memory = any(timed["fused"].saved_bytes for timed in cases)
    header = ["case", "dtype", "input", "median"]
    header += ["of clone"] if with_clone else []
    header += [f"over {name}" for name in others]
    header += ["kept / by eager"] if with_memory else []
    lines = []
    for timed in cases:
        row = timed["fused"]
        line = [row.variant or row.mode, row.dtype, _input(row), duration(row.median_us)]
        if with_clone:
            line.append(f"{row.copy_ratio:.0%}" if "clone" in timed else "")
        for name in others:
            line.append(f"{timed[name].median_us / row.median_us:.2f}x" if name in timed else "")
        if with_memory:
            kept = [timed[name].saved_bytes for name in ("fused", "eager") if name in timed]
            line.append(" / ".join(map(size_text, kept)) if row.saved_bytes else "")
        lines.append(line)
    return Table(title, header, lines)


def _nbytes(row: Row) -> int:
    """Bytes of a one-dimensional input."""
    dtype: torch.dtype = getattr(torch, row.dtype)
    return int(row.shape) * dtype.itemsize


def _input(row: Row) -> str:
    if row.subject == "rrelu" and row.shape.isdecimal():
        return size_text(_nbytes(row))
    return row.shape if row.layout == "contiguous" else f"{row.shape} {row.layout}"


def _markdown(table: Table) -> str:
    rule = ["---"] * 3 + ["---:"] * (len(table.header) - 3)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (table.header, rule, *table.lines))
