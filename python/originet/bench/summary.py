"""Results as tables: the fused provider beside all others, for the terminal and for the docs."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from originet.bench.figures import duration, size_text
from originet.system.errors import InputError
from originet.system.timings import MARK, MARK_NOTE, Row, marked
from originet.system.words import counted

# In the order of the tables.
_TITLES = {
    "rrelu": "Psi",
    "join": "The sum of two psi, and its batch normalisation",
    "compiled": "Psi in compiled networks",
    "active_image": "Active image",
    "ragged": "Batches of ragged clips",
    "windows": "Windows over a video",
    "stream": "Frame by frame",
    "prepare": "Clips on disk",
    "model": "OrigiNet",
    "loso": "Leave-one-subject-out",
}
# Which cases stand for the others in the docs: a colour clip; OrigiNet at batch 32; compiled
# networks with 2^18 elements where psi is; joins of as many, and of few.
_SHOWN_SHAPES = ("64x340x280x3", "32x3x128x128", "1024x256", "64x16x16x16")
_JOIN_SHAPES = ("1024", "262144", "1x16x8x8", "256x16x8x8")
_SHORT_VIDEO = "2000x128x128"  # whose windows make a table of their own, by their length
_SMALL_FRAME = "x32x32"  # of clips of many lengths, which make another
# The README's table: benchmark, mode, dtype and shape of each line, and what it is called there.
_MAIN_CASES = {
    ("rrelu", "forward", "float32", "67108864"): "psi",
    ("rrelu", "full", "float32", "67108864"): "psi and its gradient",
    ("join_norm", "full", "float32", "256x16x8x8"): "two psi, sum and norm, with gradients",
    ("active_image_cumulative", "cold", "uint8", "64x340x280x3"): "active image, `cumulative`",
    ("active_image_absolute", "cold", "uint8", "64x340x280x3"): "active image, `absolute`",
    ("model", "train", "float32", "32x3x128x128"): "OrigiNet, training step",
    ("model", "inference", "float32", "32x3x128x128"): "OrigiNet, inference",
    ("loso", "train", "float32", "35014x128x128"): "leave-one-subject-out, one epoch",
}
# The subjects that are drawn, their names, and what over what.
_PICTURES = {
    "rrelu": ("psi", "GB/s over bytes moved"),
    "active_image": ("active image", "GB/s over bytes moved"),
    "windows": ("windows", "time over frames a window"),
}
# What the leading dimensions of a shape are told as, and what the memory is.
_RATES = {"stream": ("frames/s",), "prepare": ("clips/s", "frames/s"), "loso": ("images/s",)}
_MEMORY = {"stream": "kept", "prepare": "arrays, peak"}
# Timed at all sizes, reading all frames.
_DRAWN_METHODS = ("cumulative", "authors", "absolute", "rank")


class Table(NamedTuple):
    """One subject on one device: its cases, one a line."""

    title: str
    header: list[str]
    lines: list[list[str]]
    texts: int = 3
    """How many columns, from the left, are no numbers."""

    @property
    def note(self) -> str:
        """What is to be said below the table: "" or, where figures are marked, what that means."""
        cells = (cell for line in self.lines for cell in line)
        return MARK_NOTE if any(cell.endswith(MARK) for cell in cells) else ""


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
    order = [*_TITLES, *(subject for subject, _ in groups)]
    for (subject, place), cases in sorted(groups.items(), key=lambda item: order.index(item[0][0])):
        complete = [timed for timed in cases.values() if "fused" in timed]
        if complete:
            result.append(_table(f"{_TITLES.get(subject, subject)} on {place}", complete))
    return result


def where(row: Row) -> str:
    """Name the device and the number of threads, as in "AMD EPYC, 2 threads"."""
    if not row.threads:
        return row.device_name
    return f"{row.device_name}, {counted(row.threads, 'thread')}"


def picture_name(row: Row) -> str:
    """Name the file of the picture that a row is drawn in, after where it was measured."""
    place = re.sub(r"[^a-z0-9]+", "-", where(row).lower()).strip("-")
    return f"{row.subject}_{place}.png"


def window(row: Row) -> int:
    """Return how many frames the windows of a row have, from a layout as "window 40 stride 5"."""
    return int(row.layout.split()[1])


def drawn(rows: Iterable[Row]) -> list[Row]:
    """Choose the rows that are drawn: of psi, of active images, and of windows over 2,000 frames.

    Psi's launches, which move next to nothing, and inputs of several dimensions are left out, and
    so are active images that read three frames alone.
    """
    return [
        row
        for row in rows
        if (row.subject == "rrelu" and row.shape.isdecimal() and row.mode != "launch")
        or (row.subject == "active_image" and row.variant in _DRAWN_METHODS)
        or (row.subject == "windows" and row.shape == _SHORT_VIDEO)
    ]


def readme_block(rows: Sequence[Row], folder: str) -> str:
    """Write the README's part about the results, in Markdown, without the markers around it.

    Args:
        rows: The committed rows.
        folder: Where the pictures are, as the README names it.
    """
    parts = []
    for chosen in _by_device(rows):
        table = _main_table(chosen)
        if table.lines:
            shown = [row for row in chosen if _case(row) in _MAIN_CASES]
            parts += [_heading(shown), _markdown(table), *_pictures(chosen, folder)[:1]]
            parts += [MARK_NOTE] if table.note else []
    return "\n\n".join(parts)


def docs_block(rows: Sequence[Row], folder: str) -> str:
    """Write all that docs/benchmarks.md shows of the results, as `readme_block` does.

    Args:
        rows: The committed rows.
        folder: Where the pictures are, as the page names it.
    """
    parts = []
    for chosen in _by_device(rows):
        parts += [_heading(chosen), *_pictures(chosen, folder)]
        shown = [*tables(_representative(chosen)), *_series(chosen)]
        for table in shown:
            parts += [f"{table.title}:", _markdown(table)]
        parts += [MARK_NOTE] if any(table.note for table in shown) else []
    return "\n\n".join(parts)


def _by_device(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each device, with the most threads that it was measured with."""
    result = []
    for name in dict.fromkeys(row.device_name for row in rows):
        of_device = [row for row in rows if row.device_name == name]
        threads = max(row.threads for row in of_device)
        result.append([row for row in of_device if row.threads == threads])
    return result


def _heading(rows: Sequence[Row]) -> str:
    made = ", ".join(
        f"{what} {' and '.join(sorted({getattr(row, what) for row in rows}))}"
        for what in ("torch", "commit", "date")
    )
    return f"**{where(rows[0])}** ({made})"


def _pictures(rows: Sequence[Row], folder: str) -> list[str]:
    names = {row.subject: picture_name(row) for row in drawn(rows)}
    texts = {
        subject: f"{label} on {where(rows[0])}: {measure}"
        for subject, (label, measure) in _PICTURES.items()
        if subject in names
    }
    return [f"![{text}]({folder}/{names[subject]})" for subject, text in texts.items()]


def _case(row: Row) -> tuple[str, str, str, str]:
    return row.benchmark, row.mode, row.dtype, row.shape


def _main_table(rows: Sequence[Row]) -> Table:
    cases: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in rows:
        cases.setdefault(_case(row), {}).setdefault(row.provider, row)
    lines = []
    for case, name in _MAIN_CASES.items():
        timed = cases.get(case, {})
        if "fused" in timed:
            row = timed["fused"]
            line = [name, row.dtype, _input(row), marked(duration(row.median_us), row)]
            line += [_ratio(row, timed.get("eager"), ".1f", "x")]
            lines.append([*line, _ratio(row, timed.get("clone"), ".0%")])
    return Table("", ["what", "dtype", "input", "median", "over eager", "of clone"], lines)


def replace_block(text: str, block: str, name: str = "bench") -> str:
    """Put a block between the markers of a Markdown text.

    Args:
        text: With the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
        block: What is to stand between them.
        name: The markers' name.

    Raises:
        InputError: The text has not both markers, in order, once each.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InputError(f"the text must hold {begin} and after it {end}, once each")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{block}\n\n{end}{rest.partition(end)[2]}"


def _representative(rows: Sequence[Row]) -> list[Row]:
    """The cases that stand for all: psi at the largest size, and at the smallest in float32.

    An active image that was timed from memory stands for itself from a cache. Windows over the
    short video have a table of their own.
    """
    flat = [row for row in rows if row.subject == "rrelu" and row.shape.isdecimal()]
    sizes = [_nbytes(row) for row in flat]
    cold = {(row.benchmark, row.shape) for row in rows if row.mode == "cold"}
    return [
        row
        for row in rows
        if (
            row.shape in _SHOWN_SHAPES
            and (row.mode == "cold" or (row.benchmark, row.shape) not in cold)
        )
        or row.subject in ("ragged", "stream", "prepare")
        or (row.subject == "join" and row.shape in _JOIN_SHAPES)
        or (row.subject == "loso" and row.shape.endswith("x128x128"))
        or (row.subject == "windows" and row.shape != _SHORT_VIDEO)
        or (row in flat and _nbytes(row) == max(sizes))
        or (row in flat and _nbytes(row) == min(sizes) and row.dtype == "float32")
    ]


def _series(rows: Sequence[Row]) -> list[Table]:
    """What must not grow: `telescoped` with the clip's length, windows with theirs."""
    telescoped = [
        row
        for row in rows
        if row.benchmark == "active_image_telescoped" and row.shape.endswith(_SMALL_FRAME)
    ]
    windows = [row for row in rows if row.subject == "windows" and row.shape == _SHORT_VIDEO]
    result = []
    if telescoped:
        title = (
            f"Active image of frames of {_SMALL_FRAME[1:]} on {where(telescoped[0])}, "
            "by their number"
        )
        lengths = [int(row.shape.partition("x")[0]) for row in telescoped]
        result.append(_along(title, list(zip(lengths, telescoped, strict=True))))
    if windows:
        title = f"Windows over {_SHORT_VIDEO} on {where(windows[0])}, by their frames"
        result.append(_along(title, [(window(row), row) for row in windows]))
    return result


def _along(title: str, pairs: Sequence[tuple[int, Row]]) -> Table:
    """Medians, a column for each number, a line for each variant and provider but landmarks."""
    numbers = sorted({number for number, _ in pairs})
    medians: dict[tuple[str, str], dict[int, str]] = {}
    for number, row in pairs:
        if row.provider in ("clone", "read"):
            continue
        name = (row.variant, row.provider)
        medians.setdefault(name, {})[number] = marked(duration(row.median_us), row)
    lines = [[*name, *(line.get(n, "") for n in numbers)] for name, line in medians.items()]
    return Table(title, ["case", "provider", *(f"{n:,}" for n in numbers)], lines, texts=2)


def _table(title: str, cases: Sequence[dict[str, Row]]) -> Table:
    providers = dict.fromkeys(provider for timed in cases for provider in timed)
    # What does the same work under ideal conditions, and what does it in another way.
    ideals = [name for name in ("clone", "equal") if name in providers]
    others = [name for name in providers if name not in ("fused", *ideals)]
    subject = cases[0]["fused"].subject  # that of all
    rates = _RATES.get(subject, ())
    with_memory = any(timed["fused"].saved_bytes for timed in cases)
    header = ["case", "dtype", "input", "median"]
    header += rates
    header += [f"of {name}" for name in ideals]
    header += [f"over {name}" for name in others]
    header += [_MEMORY.get(subject, "kept / by eager")] if with_memory else []
    lines = []
    for timed in cases:
        row = timed["fused"]
        line = [_name(row), row.dtype, _input(row), marked(duration(row.median_us), row)]
        counts = row.shape.split("x")[: len(rates)]
        line += [marked(_rate(int(count) / row.median_us * 1e6), row) for count in counts]
        line += [_ratio(row, timed.get(name), ".0%") for name in ideals]
        line += [_ratio(row, timed.get(name), ".2f", "x") for name in others]
        if with_memory:
            kept = [timed[name].saved_bytes for name in ("fused", "eager") if name in timed]
            line.append(" / ".join(map(size_text, kept)) if row.saved_bytes else "")
        lines.append(line)
    return Table(title, header, lines)


def _ratio(row: Row, other: Row | None, form: str, unit: str = "") -> str:
    """How often a row's time goes into another's; "" if that was not timed."""
    if other is None:
        return ""
    return marked(f"{other.median_us / row.median_us:{form}}{unit}", row, other)


def _name(row: Row) -> str:
    """The variant or mode, as in "rank"; both, as in "rank cold", if the mode is another one."""
    if not row.variant:
        return row.mode
    return row.variant if row.mode == "forward" else f"{row.variant} {row.mode}"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _nbytes(row: Row) -> int:
    """Bytes of a one-dimensional input."""
    dtype: torch.dtype = getattr(torch, row.dtype)
    return int(row.shape) * dtype.itemsize


def _input(row: Row) -> str:
    if row.subject == "rrelu" and row.shape.isdecimal():
        return size_text(_nbytes(row))
    return row.shape if row.layout == "contiguous" else f"{row.shape} {row.layout}"


def _markdown(table: Table) -> str:
    rule = ["---"] * table.texts + ["---:"] * (len(table.header) - table.texts)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (table.header, rule, *table.lines))
