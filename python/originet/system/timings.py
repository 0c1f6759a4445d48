"""Timings: the rows that the benchmarks write."""

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
"""Largest spread of a reliable row: the range of the middle 60 % of its rounds, over the median."""
MARK = "?"
"""Follows a figure in a table if one of the timings behind it is unreliable."""
MARK_NOTE = (
    f"{MARK}: unreliable. The rounds spread, or the threads waited for a core, by more than "
    f"{100 * STEADY:.0f} % of the median, as happens when other programs run. Measure again on a "
    "quiet machine."
)
"""Explains the mark below such a table."""

_MOST = 64 * 2**20  # bytes of a table; a row takes some 200
_QUOTED = 500  # characters of an error message


@dataclass(frozen=True)
class Row:
    """One provider's time in one case, in long form: each row is self-contained.

    Times are microseconds per call: the median of the rounds and their 20 % and 80 % quantiles. If
    threads waited for a core that another program had, `q20_us` is lowered to the median without
    the waits. `bytes` is what an ideal kernel reads and writes in one call. `gbps` is those bytes
    over the median in 1e9 B/s. `copy_ratio` is the median of a clone of as many bytes, timed in the
    same rounds, over this median (1: as fast as the clone). All three are 0 for a whole network.
    `saved_bytes` is what autograd keeps for the backward pass, what a stream keeps between two
    frames, or the most that the arrays take while clips are prepared; 0 if not measured.
    `peak_bytes` is what one call allocates on a GPU at its peak, 0 on the CPU. `l2_bytes` and
    `l3_bytes` are the caches that one core, or the GPU, sees; 0 if unknown. `threads` is 0 on a
    GPU, `cuda` is empty for a CPU-only torch, `commit` is empty outside a checkout.
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
        """Whether the rounds agree as they do on a quiet machine."""
        return spread(self.median_us, self.q20_us, self.q80_us) <= STEADY

    @property
    def subject(self) -> str:
        """The benchmark's subject, which is also the name of its CSV file."""
        if self.benchmark.startswith("active_image"):
            return "active_image"
        return self.benchmark.partition("_")[0]

    @property
    def variant(self) -> str:
        """The method's name, where a subject has several benchmarks; else empty."""
        return self.benchmark.removeprefix(self.subject).removeprefix("_")

    @property
    def case(self) -> tuple[str | int, ...]:
        """What was measured, without the provider: rows of one case can be compared."""
        return (
            *(self.benchmark, self.mode, self.device, self.device_name),
            *(self.dtype, self.shape, self.layout, self.threads),
        )

    @property
    def key(self) -> tuple[str | int, ...]:
        """Identifies a row: a later row with the same key replaces it."""
        return (self.provider, *self.case)


def spread(median: float, q20: float, q80: float) -> float:
    """Return the range of the middle 60 % of the rounds, over their median."""
    return (q80 - q20) / median if median > 0 else math.inf


def marked(text: str, *rows: Row) -> str:
    """Return a figure for a table, marked if one of the rows behind it is unreliable."""
    return text if all(row.reliable for row in rows) else f"{text} {MARK}"


def read_csv(path: str | Path) -> list[Row]:
    """Read the rows that `write_csv` wrote.

    Raises:
        InputError: The file is missing, not a regular file, or not a table of such rows.
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
        raise InputError(f"{path}: line {reader.line_num}: {str(error)[:_QUOTED]}") from None
    if header != list(columns):
        raise InputError(f"{path}: not a bench table, its columns are {str(header)[:_QUOTED]}")
    return rows


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Add rows to a CSV file, atomically; a row replaces the one with the same key.

    `originet.system.csv_cells.guarded` keeps spreadsheet programs from evaluating the texts.

    Raises:
        InputError: The file exists and is not a table of such rows.
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
        raise ValueError(f"{text!r} is not a finite number")
    return value
