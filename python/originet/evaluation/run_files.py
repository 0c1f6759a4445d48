"""The output directory of a leave-one-subject-out run: who owns it, and what is finished in it.

    config.json                                what determines the result; written first
    folds/seed<seed>_<index>_<subject>.json    a finished fold (or with the data set's name)
    folds/<the same>.safetensors               its network's weights, written before it
    results.json, predictions.csv              written when all folds are there

Every file is either whole or absent. Only JSON is read back, of the shape that it must have, and
only after it was compared with what this run would write; of weights the hash is checked. One run
at a time writes there: `originet.system.lock`.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from originet.evaluation.result_shapes import Fold, fold_fault
from originet.system import renamed
from originet.system.csv_cells import guarded
from originet.system.errors import InputError
from originet.system.files import safe_name, sha256, write_atomically, writing
from originet.system.json_files import differences, read_json, write_json
from originet.system.lock import Held


def open_directory(directory: Path, identity: dict[str, Any]) -> Path:
    """Makes the directory of a run, or checks that the one that is there belongs to it.

    Args:
        directory: The directory.
        identity: Everything that determines the result, as JSON types.

    Returns:
        The directory.

    Raises:
        InputError: If the directory belongs to another run (the message names what differs) or
            cannot be written.
    """
    folds = directory / "folds"
    with writing(directory):
        if not (directory / "config.json").exists() and folds.is_dir() and any(folds.iterdir()):
            raise InputError(f"{directory} holds folds but no config.json to tell their run")
    claim(directory, identity)
    with writing(directory):
        folds.mkdir(exist_ok=True)
    return directory


def claim(directory: Path, identity: dict[str, Any]) -> None:
    """Writes what a directory is for into its config.json, or checks that it says the same.

    Args:
        directory: The directory; made if it is missing.
        identity: What the results in it have in common, as JSON types.

    Raises:
        InputError: If the directory is for something else (the message names what differs) or
            cannot be written.
    """
    path = directory / "config.json"
    with writing(directory):
        if not path.exists():
            return write_json(path, identity)
        told = list(
            differences(renamed.identity(read_json(path, dict[str, Any]), identity), identity)
        )
    if told:
        raise InputError(f"{directory} holds results of another run: {'; '.join(told)}")


def check_there(place: Held, records: Iterable[Mapping[str, Any]], *, with_weights: bool) -> None:
    """Checks that what a run has written is still there, before it writes more.

    Args:
        place: The directory of the run.
        records: The folds that are finished.
        with_weights: Whether the run keeps weights.

    Raises:
        InputError: If the directory, or a file of the run in it, was deleted or moved away. What
            would be written now could not be told from a whole run.
    """
    place.check()
    files = [place.folder / "config.json"]
    for record in records:
        path = fold_path(place.folder, record)
        files.append(path)
        if with_weights and record.get("weights_sha256") is not None:
            files.append(path.with_suffix(".safetensors"))
    for path in files:
        if not path.is_file():
            raise InputError(f"{path} was deleted or moved away during the run")


def fold_path(directory: Path, fold: Mapping[str, Any]) -> Path:
    """The file of a fold; its index keeps subjects apart whose names look alike once sanitised.

    Args:
        directory: The directory of the run.
        fold: At least seed, index and subject.

    Returns:
        The path.
    """
    name = f"seed{fold['seed']}_{fold['index']:03d}_{safe_name(fold['subject'])}.json"
    return directory / "folds" / name


def read_fold(
    path: Path, expected: dict[str, Any], *, classes: int, epochs: int, with_weights: bool
) -> dict[str, Any] | None:
    """Reads a fold, if it is finished.

    Args:
        path: The fold's file.
        expected: Names and values which the fold must have.
        classes: How many classes its run has.
        epochs: How many epochs its run has.
        with_weights: Whether a fold that has lost the weights it was written with counts as not
            finished. One that never had any is finished all the same.

    Returns:
        The fold's record; None if the fold is not finished.

    Raises:
        InputError: If the file is damaged or another fold's, or its weights are damaged.
    """
    if not path.exists():
        return None
    fold = cast(dict[str, Any], read_json(path, Fold))
    told = list(differences({key: fold.get(key) for key in expected}, expected))
    if told:
        raise InputError(f"{path} is another fold's: {'; '.join(told)}")
    if fault := fold_fault(fold, classes, epochs):
        raise InputError(f"{path} is damaged: {fault}")
    weights, digest = path.with_suffix(".safetensors"), fold.get("weights_sha256")
    if with_weights and digest is not None:
        if not weights.exists():
            return None
        if sha256(weights) != digest:
            raise InputError(
                f"{weights} is damaged: its SHA-256 is not that in {path.name}; "
                "delete it, and the fold is computed again"
            )
    return fold


def write_fold(path: Path, fold: dict[str, Any], weights: bytes | None) -> dict[str, Any]:
    """Writes a finished fold: the weights first, as the record tells that the fold is finished.

    Args:
        path: The fold's file.
        fold: The record.
        weights: The content of the weights' file; None for none.

    Returns:
        The record as it was written, with the hash of the weights.
    """
    digest = None if weights is None else hashlib.sha256(weights).hexdigest()
    if weights is not None:
        write_atomically(path.with_suffix(".safetensors"), weights)
    written = fold | {"weights_sha256": digest}
    write_json(path, written)
    return written


def subjects_of(fold: Mapping[str, Any]) -> list[str]:
    """Returns the subject of each clip of a fold, whatever the fold left out."""
    return list(fold.get("subjects") or [fold["subject"]] * len(fold["clips"]))


def predictions(
    classes: Sequence[str], protocol: str, folds: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[list[Any]]]:
    """Lists what was predicted: one row a seed and clip.

    Args:
        classes: Class names [C].
        protocol: The run's `Config.protocol_label`.
        folds: The folds' records.

    Returns:
        The columns: seed, subject, clip, label, predicted, the probability of every class under its
        name, protocol; and the rows.
    """
    rows: list[list[Any]] = []
    for fold in folds:
        columns = [fold[name] for name in ("clips", "true", "predicted", "probabilities")]
        for subject, clip, true, predicted, probabilities in zip(
            subjects_of(fold), *columns, strict=True
        ):
            start = [fold["seed"], subject, clip, classes[true], classes[predicted]]
            rows.append([*start, *probabilities, protocol])
    return ["seed", "subject", "clip", "label", "predicted", *classes, "protocol"], rows


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Writes records of the same names, at least one, as CSV; None leaves a cell empty."""
    write_csv(path, list(records[0]), [list(record.values()) for record in records])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file whose cells no spreadsheet takes for formulas.

    Args:
        path: The file; replaced if it exists.
        header: Names of the columns.
        rows: Their cells, guarded by `originet.system.csv_cells`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(map(guarded, row) for row in (header, *rows))
    write_atomically(path, text.getvalue().encode())
