"""Timings: the rows that the benchmarks write, with all there is to know about each."""

import csv
import datetime
import functools
import importlib.metadata
import io
import math
import platform
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from originet.csv_cells import guarded, unguarded
from originet.errors import InputError
from originet.files import read_file, write_atomically

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

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_CACHE_FACTS = ("level", "type", "size")  # the size as in "1024K"


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


def environment(device: torch.device) -> dict[str, str]:
    """Return the device's name, the versions, the commit and the date, as `Row` names them."""
    return {
        "device_name": _device_name(device),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "",
        "originet": originet_version(),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


@functools.cache
def cache_sizes(device: torch.device) -> tuple[int, int]:
    """Return the bytes of L2 and L3 that one core, or the GPU, sees; 0 where there is none known.

    For the CPU they come from Linux' /sys.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size, 0
    sizes = {"2": 0, "3": 0}
    for index in _CACHES.glob("index*"):
        level, kind, size = ((index / name).read_text().strip() for name in _CACHE_FACTS)
        if level in sizes and kind != "Instruction":
            sizes[level] = int(size.removesuffix("K")) << 10
    return sizes["2"], sizes["3"]


def originet_version() -> str:
    """Return the installed version, or "not installed" where only the sources are on the path."""
    try:
        return importlib.metadata.version("originet")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


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

    Texts are written as `originet.csv_cells.guarded` makes them, so that none is a formula.

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


@functools.cache
def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@functools.cache
def _commit() -> str:
    """The commit of this checkout, marked "-dirty" if changed; "" if this file is not tracked."""
    folder = Path(__file__).parent
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        # An installed copy may lie in a virtual environment inside some other repository.
        tracked = ["git", "ls-files", "--error-unmatch", Path(__file__).name]
        subprocess.run(tracked, cwd=folder, check=True, capture_output=True)
        answer = subprocess.run(describe, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
