"""The bench harness: how a case is timed, and what is written down about it.

A `Case` holds one ready call for each provider. `time_case` runs them in rounds, each once a round
and in turn, so that the drift of a shared machine falls on all of them alike. A clone of as many
bytes as the case moves runs among them: for a memory-bound kernel that is the ceiling of this
machine at this moment. Like every provider, it pays for allocating its result.

On the CPU the clock is the wall clock, and repeated calls find their data in whatever cache holds
it. On a GPU CUDA events are read around single calls, each after L2 has been overwritten.
"""

import csv
import datetime
import functools
import importlib.metadata
import io
import math
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from originet.errors import InputError
from originet.files import write_atomically

Call = Callable[[], object]

_MIN_ROUNDS, _MAX_ROUNDS = 5, 200
_CPU_SAMPLE_SECONDS = 1e-3  # far above the clock's resolution


@dataclass(frozen=True)
class Row:
    """One provider's time in one case, in long form: a row says all there is to know about it.

    Times are microseconds a call. `bytes` is what an ideal kernel reads and writes in one call,
    `gbps` those bytes over the median in 1e9 B/s, `copy_ratio` the median of a clone of as many
    bytes, timed in the same rounds, over this median (1: as fast as the clone). `threads` is 0 on
    a GPU, `cuda` is empty for a CPU-only torch, `commit` outside a checkout.
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
    torch: str
    cuda: str
    originet: str
    commit: str
    date: str

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


@dataclass(frozen=True)
class Case:
    """One benchmark in one mode, dtype and shape, with one call for each provider."""

    benchmark: str
    mode: str
    device: torch.device
    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: str
    bytes: int
    calls: Mapping[str, Call]

    def synchronous(self, provider: str) -> Call:
        """Return a provider's call that ends when the work is done, for a clock on the host."""
        call = self.calls[provider]
        if self.device.type == "cpu":
            return call

        def call_and_wait() -> None:
            call()
            torch.cuda.synchronize(self.device)

        return call_and_wait


def time_case(case: Case, *, budget: float = 1.0) -> list[Row]:
    """Time every provider of a case, and a clone of as many bytes, in interleaved rounds.

    Args:
        case: The calls to time; "clone" is added to them.
        budget: Seconds to spend, roughly; at least five rounds are run.

    Returns:
        One row a provider, the clone's last.
    """
    on_gpu = case.device.type == "cuda"
    sample = _CudaClock(case.device) if on_gpu else _cpu_sample
    calls = {**case.calls, "clone": _clone(case.bytes, case.device)}
    repeats = {}
    for name, call in calls.items():
        call()  # the first call may compile, or load a kernel
        once = max(1e-7, min(sample(call, 1) for _ in range(3)))
        # On a GPU a second call in a row would find its data in L2.
        repeats[name] = 1 if on_gpu else max(1, round(_CPU_SAMPLE_SECONDS / once))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    started = time.perf_counter()
    for finished in range(_MAX_ROUNDS):
        if finished >= _MIN_ROUNDS and time.perf_counter() - started > budget:
            break
        for name, call in calls.items():
            samples[name].append(sample(call, repeats[name]))
    microseconds = {
        name: [float(q) for q in np.quantile(seconds, (0.5, 0.2, 0.8)) * 1e6]
        for name, seconds in samples.items()
    }
    return [
        Row(
            benchmark=case.benchmark,
            provider=name,
            mode=case.mode,
            device=case.device.type,
            dtype=str(case.dtype).removeprefix("torch."),
            shape="x".join(map(str, case.shape)),
            layout=case.layout,
            threads=0 if on_gpu else torch.get_num_threads(),
            median_us=round(median, 3),
            q20_us=round(q20, 3),
            q80_us=round(q80, 3),
            bytes=case.bytes,
            gbps=round(case.bytes / median / 1e3, 3),
            copy_ratio=round(microseconds["clone"][0] / median, 4),
            **environment(case.device),
        )
        for name, (median, q20, q80) in microseconds.items()
    ]


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


def originet_version() -> str:
    """Return the installed version, or "not installed" where only the sources are on the path."""
    try:
        return importlib.metadata.version("originet")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def read_csv(path: str | Path) -> list[Row]:
    """Read the rows that `write_csv` wrote.

    Raises:
        InputError: The file is no table of such rows.
    """
    convert: dict[object, Callable[[str], Any]] = {int: int, float: float}
    columns = {field.name: convert.get(field.type, str) for field in fields(Row)}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(columns):
            raise InputError(f"{path}: not a bench table, its columns are {reader.fieldnames}")
        try:
            return [Row(**{name: columns[name](row[name]) for name in columns}) for row in reader]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: line {reader.line_num}: {error}") from None


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Add rows to a CSV file, atomically; a row replaces the one with the same key.

    Raises:
        InputError: The file exists and is no table of such rows.
    """
    path = Path(path)
    merged = {row.key: row for row in (read_csv(path) if path.exists() else [])}
    merged |= {row.key: row for row in rows}
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in merged.values())
    write_atomically(path, table.getvalue().encode())


def _cpu_sample(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


class _CudaClock:
    """Seconds of GPU time a call, between two events, with L2 overwritten before it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # At a few TB/s this takes a tenth of a millisecond: long enough for the host to queue the
        # call behind it, so that small cases are not billed for the host's own launch time.
        size = max(1 << 28, 2 * torch.cuda.get_device_properties(device).L2_cache_size)
        self.flush = torch.empty(size, dtype=torch.uint8, device=device)

    def __call__(self, call: Call, repeats: int) -> float:
        with torch.cuda.device(self.device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.flush.zero_()
            start.record()
            for _ in range(repeats):
                call()
            end.record()
            end.synchronize()
        return start.elapsed_time(end) * 1e-3 / repeats


def _clone(moved: int, device: torch.device) -> Call:
    # A clone of n bytes moves 2 n. Ones, as untouched pages of zeros all share one physical page.
    return torch.ones(math.ceil(moved / 8), dtype=torch.float32, device=device).clone


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
