"""Writes the learning curves of a finished result as TensorBoard logs, one event file per fold."""

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from originet.evaluation.result import LosoResult
from originet.evaluation.run_files import fold_path
from originet.system.errors import InputError
from originet.system.files import write_atomically

# TensorBoard reads every file with "tfevents" in its name. With a fixed name, logs are replaced
# when they are written again. The usual names contain the time, so files would accumulate.
EVENTS = "events.out.tfevents.originet"


def write_logs(result: LosoResult, directory: str | Path) -> int:
    """Writes the histories of all folds.

    Each fold is a separate run, named like its file. It has the scalars loss/training,
    loss/validation, accuracy/training and accuracy/validation at every epoch (validation only if
    there was any), and accuracy/test, for the left-out subject, at the selected epoch. Times count
    from the start of the fold and assume that all its epochs took equally long.

    Args:
        result: The run's result.
        directory: Where to write; logs of the same folds are replaced. On failure it stays as it
            was.

    Returns:
        The number of folds.

    Raises:
        InputError: If the package tensorboard is not installed, or the directory cannot be written.
    """
    try:
        files = {fold_path(Path(), fold).stem: _events(fold) for fold in result.folds}
    except ImportError as error:
        raise InputError(
            "logs for TensorBoard need the package tensorboard: pip install 'originet[tensorboard]'"
        ) from error
    directory = Path(directory)
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Allocates all disk space before any file is moved into place.
        with tempfile.TemporaryDirectory(prefix=".", dir=directory) as folder:
            staged = Path(folder)
            for name, events in files.items():
                write_atomically(staged / name, events)
            for name in files:
                (directory / name).mkdir(exist_ok=True)
                os.replace(staged / name, directory / name / EVENTS)
    except BaseException as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise InputError(f"cannot write logs to {directory}: {reason}") from error
        raise
    return len(result.folds)


def _events(fold: Mapping[str, Any]) -> bytes:
    """Returns the event file of a fold.

    Does not use torch's `SummaryWriter`, whose thread prints its own traceback on a full disk.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    data = io.BytesIO()
    writer = RecordWriter(data)
    share = fold["seconds"] / len(fold["history"])

    def add(tag: str, value: float, epoch: int) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        event = Event(wall_time=share * epoch, step=epoch, summary=summary)
        writer.write(event.SerializeToString())

    writer.write(Event(wall_time=0, file_version="brain.Event:2").SerializeToString())
    for record in fold["history"]:
        for measure in ("loss", "accuracy"):
            for part, prefix in (("training", ""), ("validation", "validation_")):
                value = record[prefix + measure]
                if value is not None:
                    add(f"{measure}/{part}", value, record["epoch"])
    add("accuracy/test", fold["accuracy"], fold["selected_epoch"])
    return data.getvalue()
