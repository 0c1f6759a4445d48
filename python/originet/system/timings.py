"""Timings: the rows that the benchmarks write, with all there is to know about each."""

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from originet.system.csv_cells import guarded, unguarded
from originet.system.errors import InputError
from originet.system.files import read_file, write_atomically

STEADY = 0.5
"""How far the middle 60 % of a row's rounds may spread, over their median, to be reliable."""
MARK = "?"
"""Follows a figure in a table that is no result, as one of its timings is not reliable."""
MARK_NOTE = (
    f"{MARK}: unreliable. The rounds of a timing spread, or its threads waited for a core, by "
    f"more than {100 * STEADY:.0f} % of the median, as where other programs run. Measure again on "
    "a quiet machine."
)
"""Says so below such a table."""

_MOST = 64 * 2**20  # bytes of a table; a row has some 200
_TOLD = 500  # characters of what is wrong with one


@dataclass(frozen=True)
class Row:
    """One provider's time in one case, in long form: a row says all there is to know about it.

    Times are microseconds a call: the median of the rounds and their 20 % and 80 % quantiles. Where
    threads waited for a core that another program had, `q20_us` is what would be left of the
    median without the waits, if that is less. `bytes` is what an ideal kernel reads and writes in
    one call, `gbps` those bytes over the median in 1e9 B/s, `copy_ratio` the median of a clone of
    as many bytes, timed in the same rounds, over this median (1: as fast as the clone); all three
    are 0 for a whole network. `saved_bytes` is what autograd keeps for the backward pass, a stream
    between two frames, or what the arrays take at most while clips are prepared, 0 where that was
    not asked; `peak_bytes` what one call needs on a GPU beyond what was there, 0 on the CPU.
    `l2_bytes` and `l3_bytes` are the caches that one core, or the GPU, sees; 0 if unknown.
    `threads` is 0 on a GPU, `cuda` is empty for a CPU-only torch, `commit` outside a checkout.
    """

    benchmark: str
    provider: str
    mode: str
    device: str
    device_name: str
    dtype: str
    shape: str
    layout: str
    threads: int
    median_us: float
    q20_us: float
    q80_us: float
    bytes: int
    gbps: float
    copy_ratio: float
    saved_bytes: int
    peak_bytes: int
    l2_bytes: int
    l3_bytes: int
    torch: str
    cuda: str
    originet: str
    commit: str
    date: str

    @property
    def reliable(self) -> bool:
        """Whether the rounds agree as they do where nothing else runs."""
        return spread(self.median_us, self.q20_us, self.q80_us) <= STEADY

    @property
    def subject(self) -> str:
        """What the benchmark is about, which is also the name of its CSV file."""
        if self.benchmark.startswith("active_image"):
            return "active_image"
        return self.benchmark.partition("_")[0]

    @property
    def variant(self) -> str:
        """Which of the subject's benchmarks it is, where there are several: the method's name."""
        return self.benchmark.removeprefix(self.subject).removeprefix("_")

    @property
    def case(self) -> tuple[str | int, ...]:
        """What was measured, whoever did it: the rows of one case can be compared."""
        return (
            *(self.benchmark, self.mode, self.device, self.device_name),
            *(self.dtype, self.shape, self.layout, self.threads),
        )

    @property
    def key(self) -> tuple[str | int, ...]:
        """What identifies a row: a later row with the same key replaces it."""
        return (self.provider, *self.case)


def spread(median: float, q20: float, q80: float) -> float:
    """Return the range of the middle 60 % of the rounds, over their median."""
    return (q80 - q20) / median if median > 0 else math.inf


def marked(text: str, *rows: Row) -> str:
    """Return a figure of a table, marked if one of the rows that it comes from is not reliable."""
    return text if all(row.reliable for row in rows) else f"{text} {MARK}"


def read_csv(path: str | Path) -> list[Row]:
    """Read the rows that `write_csv` wrote.

    Raises:
        InputError: The file is missing, no regular file, or no table of such rows.
    """
    convert: dict[object, Callable[[str], Any]] = {int: int, float: _finite}
    columns = {field.name: convert.get(field.type, unguarded) for field in fields(Row)}
    data = read_file(path, most=_MOST)
    reader = csv.reader(io.StringIO(data.decode(errors="replace"), newline=""), strict=True)
    rows, header = [], None
    try:
        header = next(reader, [])
        for cells in reader if header == list(columns) else ():
            if len(cells) not in (0, len(columns)):
                raise ValueError(f"{len(columns)} fields expected, got {len(cells)}")
            if cells:
                named = zip(columns.items(), cells, strict=True)
                rows.append(Row(**{name: read(cell) for (name, read), cell in named}))
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}: line {reader.line_num}: {str(error)[:_TOLD]}") from None
    if header != list(columns):
        told = str(header)[:_TOLD]
        raise InputError(f"{path}: not a bench table, its columns are {told}")
    return rows


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Add rows to a CSV file, atomically; a row replaces the one with the same key.

    Texts are written as `originet.system.csv_cells.guarded` makes them, so that none is a formula.

    Raises:
        InputError: The file exists and is no table of such rows.
    """
    path = Path(path)
    merged = {row.key: row for row in (read_csv(path) if path.exists() else [])}
    merged |= {row.key: row for row in rows}
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in merged.values():
        writer.writerow({name: guarded(value) for name, value in asdict(row).items()})
    write_atomically(path, table.getvalue().encode())


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value
