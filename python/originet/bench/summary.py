"""Tables of results, the fused provider next to all others, for the terminal and the docs."""

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
# Representative cases for the docs: a colour clip; OrigiNet at batch 32; compiled networks with
# 2^18 elements in psi's input; joins of the same size, and small ones.
_SHOWN_SHAPES = ("64x340x280x3", "32x3x128x128", "1024x256", "64x16x16x16")
_JOIN_SHAPES = ("1024", "262144", "1x16x8x8", "256x16x8x8")
_SHORT_VIDEO = "2000x128x128"  # its windows get a table of their own, by length
_SMALL_FRAME = "x32x32"  # clips with such frames get another, by length
# The README's table: benchmark, mode, dtype and shape of each line, and its name there.
_MAIN_CASES = {
    ("rrelu", "forward", "float32", "67108864"): "psi",
    ("rrelu", "full", "float32", "67108864"): "psi and its gradient",
    ("join_norm", "full", "float32", "256x16x8x8"): "two psi, sum and norm, with gradients",
    ("active_image_cumulative", "cold", "uint8", "64x340x280x3"): "active image, `cumulative`",
    ("active_image_absolute", "cold", "uint8", "64x340x280x3"): "active image, `absolute`",
    ("model", "train", "float32", "32x3x128x128"): "OrigiNet, training step",
    ("model", "inference", "float32", "32x3x128x128"): "OrigiNet, inference",
    ("loso", "train", "float32", "165886x128x128"): "leave-one-subject-out, one epoch",
}
# The subjects with pictures, their names, and the axes.
_PICTURES = {
    "rrelu": ("psi", "GB/s over bytes moved"),
    "active_image": ("active image", "GB/s over bytes moved"),
    "windows": ("windows", "time over frames a window"),
}
# The rates reported for the leading dimensions of a shape, and the meaning of the memory column.
_RATES = {"stream": ("frames/s",), "prepare": ("clips/s", "frames/s"), "loso": ("images/s",)}
_MEMORY = {"stream": "kept", "prepare": "arrays, peak"}
# Methods that read all frames and are timed at all sizes.
_DRAWN_METHODS = ("cumulative", "authors", "absolute", "rank")


class Table(NamedTuple):
    """The cases of one subject on one device, one per line."""

    title: str
    header: list[str]
    lines: list[list[str]]
    texts: int = 3
    """Number of text columns, from the left."""

    @property
    def note(self) -> str:
        """The note below the table: what a mark means, or "" if no figure is marked."""
        cells = (cell for line in self.lines for cell in line)
        return MARK_NOTE if any(cell.endswith(MARK) for cell in cells) else ""


def tables(rows: Iterable[Row]) -> list[Table]:
    """Put results into tables: the fused median, its share of a clone's speed, its speed-ups.

    Args:
        rows: Benchmark rows; cases without the provider "fused" are left out.
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
    """Return the device and the number of threads, as in "AMD EPYC, 2 threads"."""
    if not row.threads:
        return row.device_name
    return f"{row.device_name}, {counted(row.threads, 'thread')}"


def picture_name(row: Row) -> str:
    """Return the file name of the picture with a row; it contains the device and threads."""
    place = re.sub(r"[^a-z0-9]+", "-", where(row).lower()).strip("-")
    return f"{row.subject}_{place}.png"


def window(row: Row) -> int:
    """Return the frames per window of a row, from a layout such as "window 40 stride 5"."""
    return int(row.layout.split()[1])


def drawn(rows: Iterable[Row]) -> list[Row]:
    """Choose the rows to draw: psi, active images, and windows over 2,000 frames.

    Psi's launches, which move almost no data, psi on multi-dimensional inputs, and active images
    that read only three frames are left out.
    """
    return [
        row
        for row in rows
        if (row.subject == "rrelu" and row.shape.isdecimal() and row.mode != "launch")
        or (row.subject == "active_image" and row.variant in _DRAWN_METHODS)
        or (row.subject == "windows" and row.shape == _SHORT_VIDEO)
    ]


def readme_block(rows: Sequence[Row], folder: str) -> str:
    """Return the README's section on the results, in Markdown, without its markers.

    Args:
        rows: The committed rows.
        folder: The folder of the pictures, relative to the README.
    """
    parts = []
    for chosen in _by_device(rows):
        table = _main_table(chosen)
        if table.lines:
            shown = [row for row in chosen if _case(row) in _MAIN_CASES]
            parts += [
                _heading(shown),
                markdown(table.header, table.lines, table.texts),
                *_pictures(chosen, folder)[:1],
            ]
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
            parts += [f"{table.title}:", markdown(table.header, table.lines, table.texts)]
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


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Write a table in Markdown.

    Args:
        header: Names of the columns.
        lines: Their cells.
        texts: Number of text columns, from the left; the others are aligned to the right.
    """
    rule = ["---"] * texts + ["---:"] * (len(header) - texts)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def replace_block(text: str, block: str, name: str = "bench") -> str:
    """Put a block between the markers of a Markdown text.

    Args:
        text: Has the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
        block: The text to put between them.
        name: The markers' name.

    Raises:
        InputError: The text does not have both markers once, in this order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InputError(f"the text must have {begin} and, after it, {end}, once each")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{block}\n\n{end}{rest.partition(end)[2]}"


def _representative(rows: Sequence[Row]) -> list[Row]:
    """Choose representative cases: psi at the largest size and, in float32, at the smallest.

    Of an active image timed both from memory and from the cache, the former is shown. Windows over
    the short video have a table of their own.
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
    """Make the tables by length, whose times must not grow: `telescoped`, and windows."""
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
    """Make a table of medians: a column per number, a line per variant and compared provider."""
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
    # First those that do the same work under ideal conditions, then the alternatives.
    ideals = [name for name in ("clone", "equal") if name in providers]
    others = [name for name in providers if name not in ("fused", *ideals)]
    subject = cases[0]["fused"].subject  # the same for all cases
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
    """Return another row's time over this row's; "" if the other was not timed."""
    if other is None:
        return ""
    return marked(f"{other.median_us / row.median_us:{form}}{unit}", row, other)


def _name(row: Row) -> str:
    """Return the variant or mode, as in "rank"; both, as in "rank cold", for other modes."""
    if not row.variant:
        return row.mode
    return row.variant if row.mode == "forward" else f"{row.variant} {row.mode}"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _nbytes(row: Row) -> int:
    """Return the bytes of a one-dimensional input."""
    dtype: torch.dtype = getattr(torch, row.dtype)
    return int(row.shape) * dtype.itemsize


def _input(row: Row) -> str:
    if row.subject == "rrelu" and row.shape.isdecimal():
        return size_text(_nbytes(row))
    return row.shape if row.layout == "contiguous" else f"{row.shape} {row.layout}"
