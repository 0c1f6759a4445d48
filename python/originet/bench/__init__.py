"""Benchmarks: the fused kernels compared with the usual ways to compute the same.

A case's results are checked against the reference before it is timed. `jobs` lists the cases of a
subject and `run_jobs` times them; on the command line, `originet bench` does both.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from originet.bench import summary
from originet.bench.active_image import (
    ACTIVE_IMAGE_MODES,
    ACTIVE_IMAGE_PROVIDERS,
    active_image_case,
    active_image_jobs,
    active_image_providers,
)
from originet.bench.compiled import (
    COMPILED_CONTEXTS,
    COMPILED_DTYPES,
    COMPILED_MODES,
    compiled_case,
    compiled_jobs,
)
from originet.bench.figures import bandwidth, times
from originet.bench.join import JOIN_MODES, JOINS, join_case, join_jobs
from originet.bench.loso import loso_case, loso_jobs, loso_providers
from originet.bench.model import MODEL_MODES, MODEL_PROVIDERS, model_case, model_jobs
from originet.bench.prepare import PREPARE_VARIANTS, prepare_case, prepare_jobs, prepare_providers
from originet.bench.ragged import ragged_batch, ragged_case, ragged_jobs, ragged_providers
from originet.bench.regressions import TOLERANCE, compare
from originet.bench.rrelu import (
    DTYPES,
    MODES,
    PROVIDERS,
    eager_rrelu,
    rrelu_case,
    rrelu_jobs,
    rrelu_providers,
)
from originet.bench.stream import stream_case, stream_jobs, stream_providers
from originet.bench.windows import windows_case, windows_jobs, windows_providers
from originet.drawing import figures
from originet.drawing.figures import Figure
from originet.system.choices import SUBJECTS
from originet.system.clock import Case, Job, run_jobs, saved_bytes, time_case
from originet.system.errors import InputError
from originet.system.timings import Row, read_csv, write_csv

__all__ = [
    "ACTIVE_IMAGE_MODES",
    "ACTIVE_IMAGE_PROVIDERS",
    "COMPILED_CONTEXTS",
    "COMPILED_MODES",
    "DTYPES",
    "JOINS",
    "JOIN_MODES",
    "MODEL_MODES",
    "MODEL_PROVIDERS",
    "MODES",
    "PREPARE_VARIANTS",
    "PROVIDERS",
    "SUBJECTS",
    "TOLERANCE",
    "Case",
    "Job",
    "active_image_case",
    "active_image_providers",
    "compare",
    "compiled_case",
    "draw_results",
    "dtype",
    "eager_rrelu",
    "jobs",
    "join_case",
    "loso_case",
    "loso_providers",
    "model_case",
    "prepare_case",
    "prepare_providers",
    "ragged_batch",
    "ragged_case",
    "ragged_providers",
    "read_results",
    "rrelu_case",
    "rrelu_providers",
    "run_jobs",
    "saved_bytes",
    "stream_case",
    "stream_providers",
    "time_case",
    "windows_case",
    "windows_providers",
    "write_results",
]


def jobs(
    subject: str,
    device: torch.device,
    *,
    dtypes: Sequence[torch.dtype] | None = None,
    threads: Sequence[int] | None = None,
    quick: bool = False,
) -> list[Job]:
    """List the cases of one subject.

    Args:
        subject: One of `SUBJECTS`.
        device: Where to run.
        dtypes: Dtypes for psi. The default is all floating dtypes (without float64 in compiled
            networks), or float32 with `quick`.
        threads: Numbers of CPU threads; 1 and torch's current number by default.
        quick: A few sizes, nothing compiled; takes seconds instead of minutes.

    Subject "join" is psi(a) + psi(b), with and without batch normalisation, in float32; "compiled"
    is psi in small compiled networks (no cases with `quick`); "active-image" is single clips,
    ragged batches, windows and, on the CPU, streams; "prepare" is clips on disk, on the CPU only;
    "loso" is a leave-one-subject-out run.

    Raises:
        InputError: Unknown subject, or a number of threads below 1.
    """
    if threads is not None and min(threads, default=0) < 1:
        raise InputError(
            f"threads must be at least 1, got {', '.join(map(str, threads)) or 'none'}"
        )
    if device.type == "cuda":
        counts = [0]
    else:
        counts = sorted(set(threads or (1, torch.get_num_threads())))
    if subject == "rrelu":
        if dtypes is None:
            dtypes = (torch.float32,) if quick else DTYPES
        return rrelu_jobs(device, dtypes=dtypes, threads=counts, quick=quick)
    if subject == "join":
        return join_jobs(device, threads=counts, quick=quick)
    if subject == "compiled":
        kinds = COMPILED_DTYPES if dtypes is None else dtypes
        return compiled_jobs(device, dtypes=kinds, threads=counts, quick=quick)
    if subject == "active-image":
        return [
            *active_image_jobs(device, threads=counts, quick=quick),
            *ragged_jobs(device, threads=counts, quick=quick),
            *windows_jobs(device, threads=counts, quick=quick),
            # OpenCV decodes the frames of a stream into CPU memory.
            *(stream_jobs(threads=counts, quick=quick) if device.type == "cpu" else ()),
        ]
    if subject == "model":
        return model_jobs(device, threads=counts, quick=quick)
    if subject == "prepare":  # files are decoded on the CPU only
        return prepare_jobs(threads=counts, quick=quick) if device.type == "cpu" else []
    if subject == "loso":
        return loso_jobs(device, threads=counts, quick=quick)
    raise InputError(f"subject must be one of {', '.join(SUBJECTS)}, got {subject!r}")


def dtype(name: str) -> torch.dtype:
    """Return the dtype of a name such as "bfloat16".

    Raises:
        InputError: It is not one of `DTYPES`.
    """
    known = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES}
    if name not in known:
        raise InputError(f"dtype must be one of {', '.join(known)}, got {name!r}")
    return known[name]


def write_results(folder: str | Path, rows: Iterable[Row]) -> None:
    """Add rows to the CSV files of a folder, one file per subject.

    Raises:
        InputError: An existing file is not a table of such rows.
    """
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row.subject, []).append(row)
    for name, part in parts.items():
        write_csv(Path(folder) / f"{name}.csv", part)


def draw_results(folder: str | Path, rows: Iterable[Row]) -> list[Path]:
    """Draw the pictures for each device and number of threads.

    They show GB/s over bytes, for psi and for active images, and the time of windows over their
    length. Pictures without rows are left out.

    Returns:
        The pictures' paths.
    """
    parts: dict[str, list[Row]] = {}
    for row in summary.drawn(rows):
        parts.setdefault(summary.picture_name(row), []).append(row)
    paths = []
    for name, part in parts.items():
        paths.append(Path(folder) / name)
        figures.save(_picture(part), paths[-1])
    return paths


def _picture(rows: list[Row]) -> Figure:
    """The picture of one subject, device and number of threads."""
    subject, where = rows[0].subject, summary.where(rows[0])
    if subject == "rrelu":
        return bandwidth(rows, f"psi on {where}")
    if subject == "active_image":
        return bandwidth(rows, f"active image on {where}", down="variant")
    panels: dict[str, list[tuple[int, Row]]] = {}
    for row in rows:
        panels.setdefault(row.variant, []).append((summary.window(row), row))
    return times(panels, f"windows on {where}", "frames a window")


def read_results(folder: str | Path) -> list[Row]:
    """Read all CSV files of a folder.

    Raises:
        InputError: There is no file, or one is not a table of such rows.
    """
    paths = sorted(Path(folder).glob("*.csv"))
    if not paths:
        raise InputError(f"{folder}: no benchmark results (*.csv) in this folder")
    return [row for path in paths for row in read_csv(path)]
