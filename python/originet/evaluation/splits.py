"""Which clips can be evaluated by leaving subjects or data sets out, and how they are split."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from originet.datasets import ClipTable, clip_list_hash
from originet.datasets.faults import (
    evaluation_faults,
    left_out_faults,
    too_few_datasets,
    too_few_subjects,
)
from originet.datasets.prepare import Settings
from originet.datasets.table import people
from originet.system.channels import channels_of, is_one_image
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.predict import as_array, check_channels, check_images


def subject_splits(
    subjects: Sequence[str] | NDArray[Any],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Splits clips so that each subject is the test subject once.

    Args:
        subjects: The subject of each clip [N].

    Returns:
        Pairs (training indices, test indices), in sorted order of the test subjects.

    Raises:
        InputError: If there are fewer than 2 subjects.
    """
    groups = np.asarray(subjects, dtype=str)
    if too_few := too_few_subjects(len(np.unique(groups))):
        raise InputError(too_few)
    return _leave_one_out(groups)


def dataset_splits(
    datasets: Sequence[str] | NDArray[Any],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Splits clips so that each data set is the test set once, with all its subjects.

    Args:
        datasets: The data set of each clip [N].

    Returns:
        Pairs (training indices, test indices), in sorted order of the test sets.

    Raises:
        InputError: If there are fewer than 2 data sets.
    """
    groups = np.asarray(datasets, dtype=str)
    if too_few := too_few_datasets(np.unique(groups).tolist()):
        raise InputError(too_few)
    return _leave_one_out(groups)


def _leave_one_out(
    groups: NDArray[Any],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import LeaveOneGroupOut  # here, as every command would wait for it

    return iter(LeaveOneGroupOut().split(groups, groups=groups))


def check_table(
    table: ClipTable, leave_out: str = "subject"
) -> tuple[NDArray[Any], tuple[str, ...], NDArray[np.int64]]:
    """Checks that a clip table can be evaluated by leaving subjects or data sets out.

    Args:
        table: The clips.
        leave_out: One of `originet.training.config.LEAVE_OUT`.

    Returns:
        The subject of each clip [N], the class names, sorted, and the class of each clip [N].

    Raises:
        InputError: If a column or a value in it is missing, a clip stands in the table twice,
            there are fewer than 2 subjects or classes, or a class occurs with a single subject;
            with `leave_out` "dataset", also if there are fewer than 2 data sets, or a class occurs
            in a single one.
    """
    of_sets = left_out_faults(table) if leave_out == "dataset" else ()
    for fault in chain(of_sets, evaluation_faults(table)):
        raise InputError(fault)
    labels = table["label"].astype(str)
    classes = tuple(sorted(set(labels)))
    indices = np.searchsorted(np.array(classes), labels.to_numpy(dtype=str))
    return people(table).to_numpy(dtype=str), classes, indices.astype(np.int64)


@dataclass(frozen=True)
class SortedClips:
    """A table's N clips and their images in the order of (subject, name), whatever the rows'."""

    table: ClipTable
    """The table, in its own order."""
    order: NDArray[np.int64]
    """The table's row of each clip [N]."""
    subjects: NDArray[Any]
    """[N]; where there are several data sets, "<data set>/<subject>"."""
    names: NDArray[Any]
    """[N]."""
    datasets: NDArray[Any]
    """The data set of each clip [N]."""
    classes: tuple[str, ...]
    """Class names [C], sorted."""
    labels: NDArray[np.int64]
    """Class indices [N]."""
    image_size: int
    """S, in pixels."""
    images: Mapping[str, NDArray[Any]]
    """[N, S, S] uint8 by method; where a method names channels, [N, S, S, C] uint8 or float32."""
    dataset: str
    """Name of the data set; several names are joined by "+"."""
    clip_list_sha256: str
    """See `originet.datasets.clip_list_hash`."""
    images_sha256: Mapping[str, str]
    """Hash of the images, by method."""
    cuts: Sequence[Settings] | None = None
    """How each clip's frames were cropped and resized [N]; None means as the settings say."""

    @property
    def rows(self) -> ClipTable:
        """The table in the order of the clips."""
        return self.table.iloc[self.order].reset_index(drop=True)

    def splits(self, leave_out: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Returns the training and test indices of each fold: `subject_splits`, `dataset_splits`.

        Args:
            leave_out: One of `originet.training.config.LEAVE_OUT`.
        """
        if leave_out == "dataset":
            return dataset_splits(self.datasets)
        return subject_splits(self.subjects)

    def cuts_as(self, config: Config) -> Sequence[Settings]:
        """Returns how each clip's frames are cropped and resized [N], under a run's settings."""
        cut = Settings(
            image_size=config.image_size, crop_face=config.crop_face, face_by=config.face_by
        )
        return [cut] * len(self.names) if self.cuts is None else self.cuts

    def check_images(self, config: Config) -> None:
        """Checks that there are images as the settings of a run say.

        Raises:
            InputError: If there are none by its method, or they have another size.
        """
        if config.method not in self.images:
            have = ", ".join(self.images) or "none"
            raise InputError(f"images by {config.method!r} are needed, got {have}")
        if config.image_size != self.image_size:
            size = config.image_size
            raise InputError(f"images of {size} pixels a side are needed, got {self.image_size}")


def sort_clips(
    table: ClipTable,
    images: Mapping[str, NDArray[Any] | Tensor],
    image_size: int,
    cuts: Sequence[Settings] | None = None,
) -> SortedClips:
    """Checks a table with its images and puts both into the order in which folds take them.

    Args:
        table: The clips.
        images: Active images of the clips by method, [N, S, S] uint8 in table order, arrays or
            tensors; of a method that names channels [N, S, S, C] uint8 or float32, see
            `originet.system.channels`.
        image_size: What S must be.
        cuts: How each clip's frames were cropped and resized, [N] in table order; None means as
            the settings of a run say.

    Returns:
        The clips.

    Raises:
        InputError: If the table cannot be evaluated (see `check_table`) or the images do not fit.
    """
    subjects, classes, labels = check_table(table)
    given = {method: as_array(pixels) for method, pixels in images.items()}
    for method, pixels in given.items():
        _check_fit(method, pixels, (len(table), image_size, image_size))
    names = table["clip"].astype(str).to_numpy()
    datasets = table["dataset"].astype(str).to_numpy()
    order = np.lexsort((names, subjects))
    ordered = {method: pixels[order] for method, pixels in given.items()}  # contiguous copies
    return SortedClips(
        table,
        order,
        subjects[order],
        names[order],
        datasets[order],
        classes,
        labels[order],
        image_size,
        ordered,
        "+".join(sorted(set(datasets))),
        clip_list_hash(table),
        {method: hashlib.sha256(pixels.data).hexdigest() for method, pixels in ordered.items()},
        None if cuts is None else [cuts[row] for row in order],
    )


def _check_fit(method: str, pixels: NDArray[Any], expected: tuple[int, ...]) -> None:
    """Checks that images are of as many clips, as large, and of the kind that a method names."""
    got = f"{list(pixels.shape)} {pixels.dtype}"
    if is_one_image(method):
        if pixels.ndim == 4 and pixels.shape[:3] == expected:
            check_channels(pixels, channels_of(method))
        if pixels.shape != expected or pixels.dtype != np.uint8:
            raise InputError(f"images must be {list(expected)} uint8, got {got}")
        return
    channels = channels_of(method)
    sound = pixels.ndim == 4 and pixels.shape[:3] == expected
    if not sound or pixels.dtype not in (np.uint8, np.float32):
        wanted = f"[{', '.join(map(str, expected))}, {len(channels)}]"
        raise InputError(f"images must be {wanted} uint8 or float32, got {got}")
    check_channels(check_images(pixels), channels)
