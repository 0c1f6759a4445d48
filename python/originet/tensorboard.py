"""Learning curves as logs for TensorBoard, one event file a fold, made of a finished result."""

import tempfile
from pathlib import Path

from originet.errors import InputError
from originet.files import write_atomically
from originet.result import LosoResult
from originet.rundir import fold_path

# TensorBoard takes every file with "tfevents" in its name. A name that stays the same is replaced
# when the logs are written again; those that torch gives hold the time, and would pile up.
EVENTS = "events.out.tfevents.originet"


def write_logs(result: LosoResult, directory: str | Path) -> int:
    """Writes the histories of all folds.

    Each fold is a run of its own, named as its file, with the scalars loss/training,
    loss/validation, accuracy/training and accuracy/validation at every epoch (validation where
    there was one), and accuracy/test, that of the left-out subject, at the epoch that was kept.
    Times are those since the fold began, an epoch being an equal share of the fold's.

    Args:
        result: The run's result.
        directory: Where to write; logs of the same folds are replaced.

    Returns:
        The number of folds.

    Raises:
        InputError: If the package tensorboard is not installed.
        OSError: If the directory cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "logs for TensorBoard need the package tensorboard: pip install 'originet[tensorboard]'"
        ) from error
    for fold in result.folds:
        with tempfile.TemporaryDirectory() as folder:
            with SummaryWriter(folder) as writer:
                share = fold["seconds"] / len(fold["history"])
                for record in fold["history"]:
                    for measure in ("loss", "accuracy"):
                        for part, prefix in (("training", ""), ("validation", "validation_")):
                            value = record[prefix + measure]
                            if value is not None:
                                epoch = record["epoch"]
                                tag = f"{measure}/{part}"
                                writer.add_scalar(tag, value, epoch, walltime=share * epoch)
                kept = fold["selected_epoch"]
                writer.add_scalar("accuracy/test", fold["accuracy"], kept, walltime=share * kept)
            (events,) = Path(folder).iterdir()
            name = fold_path(Path(), fold).stem
            write_atomically(Path(directory) / name / EVENTS, events.read_bytes())
    return len(result.folds)
