"""LBP-TOP and a linear SVM: the handcrafted baseline, on the clips' frames, not on active images.

Local binary patterns on three orthogonal planes describe a clip as a volume of time, height and
width. The code of a pixel says which of its 8 neighbours in a plane are at least as bright. Each
pixel has one code in the frame (XY) and one in each plane with the time axis (XT, YT), where motion
shows. The features are histograms of these codes in 5 x 5 blocks of the face.

References:
    Zhao and Pietikäinen, "Dynamic texture recognition using local binary patterns with an
    application to facial expressions", IEEE TPAMI 29 (2007).
    Yan et al., "CASME II: an improved spontaneous micro-expression database and the baseline
    evaluation", PLoS ONE 9 (2014), for 5 x 5 blocks.
"""

import json
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from originet.clips.clip import open_clip
from originet.datasets import ClipTable
from originet.datasets.prepare import Settings
from originet.evaluation import metrics
from originet.evaluation.by_dataset import dataset_scores
from originet.evaluation.identity import run_identity
from originet.evaluation.result_shapes import Evaluation, evaluation_fault
from originet.evaluation.run_files import claim, write_csv
from originet.evaluation.splits import SortedClips, subject_splits
from originet.system.errors import InputError
from originet.system.files import writing
from originet.system.json_files import read_json, write_json
from originet.system.lock import Held, held
from originet.system.opencv import one_thread, silence
from originet.training.config import Config
from originet.training.networks.packages import EXTRA

POINTS = 8
"""Number of neighbours that a pixel is compared with."""
RADIUS = 1
"""Distance of the neighbours in each plane, in pixels or frames."""
BLOCKS = 5
"""Number of blocks in height and in width."""
CODES = POINTS * (POINTS - 1) + 3
"""Number of codes, 59: one for each uniform pattern (at most two changes between bright and dark
around the pixel) and one for all others."""
C = 1.0
"""The SVM's penalty for errors. It is fixed: with many features and few clips the classes are
separable, so it hardly matters. Choosing it by the test subjects' results would be a leak."""
METHOD = {
    "features": "LBP-TOP",
    "points": POINTS,
    "radius": RADIUS,
    "blocks": BLOCKS,
    "classifier": "linear SVM",
    "C": C,
}
"""How a result was computed; saved along with it."""


@dataclass(frozen=True)
class LbpTopResult:
    """Out-of-fold predictions for N clips and S seeds, in the order of the table, and scores.

    `metrics`, `intervals` and `confusion` are those of `originet.evaluation.result.LosoResult`.
    """

    y_pred: NDArray[np.int64]
    """Predicted class indices [S, N]."""
    metrics: dict[str, float]
    """Means over the seeds and, with the suffix _std, standard deviations."""
    intervals: dict[str, tuple[float, float]]
    """95 % confidence intervals over subjects."""
    confusion: NDArray[np.int64]
    """Counts [C, C], summed over the seeds; rows are true classes."""
    seconds: float
    """Time spent on features and training."""
    by_dataset: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Scores of each data set of a composite, see
    `originet.evaluation.by_dataset.dataset_scores`."""


def pattern_function() -> Callable[..., NDArray[np.float64]]:
    """Returns scikit-image's `local_binary_pattern`.

    Raises:
        InputError: If it cannot be imported; the message says how to install it.
    """
    try:
        from skimage.feature import local_binary_pattern
    except ImportError as error:
        raise InputError(f"LBP-TOP needs scikit-image ({EXTRA}): {error}") from error
    function: Callable[..., NDArray[np.float64]] = local_binary_pattern
    return function


def lbp_top(clip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Computes the LBP-TOP histograms of a clip.

    Only pixels with all neighbours inside the volume are counted. Each histogram sums to 1, so a
    clip's length does not affect the features' scale.

    Args:
        clip: Grey frames [T, H, W] uint8; T at least 3, H and W at least 7.

    Returns:
        [3, 25, 59] float64: planes XY, XT, YT; blocks row by row; codes.

    Raises:
        InputError: If the clip is smaller.
    """
    least = (2 * RADIUS + 1, *2 * [2 * RADIUS + BLOCKS])
    if clip.ndim != 3 or any(n < m for n, m in zip(clip.shape, least, strict=True)):
        raise InputError(
            f"LBP-TOP needs at least {least[0]} frames of {least[1]} x {least[2]} pixels, got "
            + " x ".join(map(str, clip.shape))
        )
    local_binary_pattern = pattern_function()
    height, width = (n - 2 * RADIUS for n in clip.shape[1:])
    rows, columns = (np.arange(n) * BLOCKS // n for n in (height, width))
    block = rows[:, None] * BLOCKS + columns  # [H - 2, W - 2], block indices
    histograms = []
    for axis in (0, 1, 2):  # the axis orthogonal to the plane
        planes = np.moveaxis(clip, axis, 0)
        codes = np.empty(planes.shape, np.uint8)
        for code, plane in zip(codes, planes, strict=True):
            code[:] = local_binary_pattern(plane, POINTS, RADIUS, "nri_uniform")
        inside = np.moveaxis(codes, 0, axis)[(slice(RADIUS, -RADIUS),) * 3]
        counts = np.bincount((block * CODES + inside).ravel(), minlength=BLOCKS**2 * CODES)
        histograms.append(counts.reshape(BLOCKS**2, CODES))
    stacked = np.stack(histograms).astype(np.float64)
    return stacked / stacked.sum(axis=2, keepdims=True)


def features_of(
    table: ClipTable,
    cuts: Sequence[Settings],
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Reads the frames of every clip and computes its features; stops at the first failure.

    Args:
        table: The clips [N].
        cuts: How each clip's frames are cropped and resized, [N]; their active-image methods are
            ignored.
        jobs: How many clips are read at a time; None means one per core.
        progress: Called as progress(done, total) after each clip.

    Returns:
        [N, 4425] float64.

    Raises:
        InputError: If the frames are missing, unreadable or too few, or show no face to crop to;
            the message names the clip.
    """
    paths = list(table["frames"])
    for frames in paths:  # a store may outlive its frames; fail now rather than after minutes
        if not Path(frames[0]).exists():
            raise InputError(f"the clips' frames are needed, but {frames[0]} does not exist")
    spans = zip(paths, table["onset"], table["offset"], cuts, strict=True)
    made = []
    with silence, one_thread, ThreadPoolExecutor(jobs or os.cpu_count()) as threads:
        try:
            for done, features in enumerate(threads.map(lambda s: _features(*s), spans), start=1):
                made.append(features)
                if progress is not None:
                    progress(done, len(paths))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return np.stack(made)


def predict_loso(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    subjects: NDArray[np.str_],
    config: Config,
) -> NDArray[np.int64]:
    """Predicts each subject's clips with a linear SVM trained on the other subjects.

    The features are standardised by the training clips' mean and standard deviation, so the test
    subject does not influence the scale. There is no augmentation, and no validation, since nothing
    is selected. For an SVM, balanced class weights and balanced sampling are the same.

    Args:
        features: [N, F].
        labels: Class indices [N].
        subjects: The subject of each clip [N].
        config: Settings; only seeds, class_weights and sampling are used.

    Returns:
        Class indices [S, N] for S seeds, which only change the order of the solver's steps.

    Raises:
        InputError: If there are fewer than 2 subjects, or the solver does not converge.
    """
    # Imported here, so that other commands start faster.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    balanced = "balanced" in (config.class_weights, config.sampling)
    predicted = np.full((len(config.seeds), len(labels)), -1, np.int64)
    for row, seed in enumerate(config.seeds):
        for train, test in subject_splits(subjects):
            # In the dual form the solver's work grows with the clips, not with the features.
            svm = LinearSVC(
                C=C,
                dual=True,
                class_weight="balanced" if balanced else None,
                max_iter=10_000,
                random_state=seed % 2**32,
            )
            model = make_pipeline(StandardScaler(), svm)
            with warnings.catch_warnings():
                warnings.simplefilter("error", ConvergenceWarning)
                try:
                    model.fit(features[train], labels[train])
                except ConvergenceWarning as error:
                    subject = subjects[test[0]]
                    raise InputError(
                        f"training the SVM without subject {subject}: {error}"
                    ) from error
            predicted[row, test] = model.predict(features[test])
    assert (predicted >= 0).all(), "a clip was never predicted"
    return predicted


def run_lbp_top(
    clips: SortedClips,
    config: Config,
    *,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LbpTopResult:
    """Evaluates LBP-TOP and the SVM by leaving out one subject at a time.

    Args:
        clips: The clips [N]. The hash of their active images identifies the frames of an existing
            result.
        config: Settings; see `predict_loso`. They say how frames are cropped and resized, unless
            the clips do.
        out: Directory for config.json, results.json and predictions.csv. If it has a finished
            result, that is read.
        progress: Called as progress(done, total) after each clip.

    Returns:
        The result.

    Raises:
        InputError: As `features_of` and `predict_loso`, or if `out` belongs to another run, is in
            use by one, cannot be written, or is deleted during the run.
    """
    with nullcontext() if out is None else held(out) as place:
        return _run(clips, config, place, progress)


def _run(
    clips: SortedClips,
    config: Config,
    place: Held | None,
    progress: Callable[[int, int], None] | None,
) -> LbpTopResult:
    started, cuts = perf_counter(), clips.cuts_as(config)
    identity = run_identity(
        config,
        clips,
        method=METHOD,
        cuts=sorted({json.dumps(_cut(cut), sort_keys=True) for cut in cuts}),
    )
    if place is not None:
        claim(place.folder, identity)
    path = None if place is None else place.folder / "results.json"
    finished = path is not None and path.exists()
    if path is not None and finished:
        saved = _read(path)
        predicted, seconds = np.array(saved["y_pred"], np.int64), saved["seconds"]
        if saved["clips"] != _named(clips) or saved["y_true"] != clips.labels.tolist():
            raise InputError(f"{path} is damaged: its clips are not those of config.json")
        if progress is not None:
            progress(len(clips.names), len(clips.names))
    else:
        features = features_of(clips.rows, cuts, progress=progress)
        predicted = predict_loso(features, clips.labels, clips.subjects, config)
        seconds = perf_counter() - started
    result = LbpTopResult(
        y_pred=np.empty_like(predicted),
        metrics=metrics.scores_over_seeds(clips.labels, predicted, clips.subjects),
        intervals=metrics.bootstrap_intervals(clips.labels, predicted, clips.subjects),
        confusion=metrics.confusion_matrix(
            np.tile(clips.labels, len(config.seeds)), predicted.ravel(), len(clips.classes)
        ),
        seconds=seconds,
        by_dataset=dataset_scores(
            clips.labels, predicted, clips.subjects, clips.datasets, clips.classes
        ),
    )
    result.y_pred[:, clips.order] = predicted
    if place is not None and not finished:
        place.check()
        with writing(place.folder):
            _write(place.folder, identity, clips, config, predicted, result)
    return result


def read_lbp_top(directory: Path) -> LbpTopResult:
    """Reads a finished result.

    Args:
        directory: Where `run_lbp_top` wrote it.

    Returns:
        The result, its predictions in the order of the clips' names.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    path = directory / "results.json"
    if not path.is_file():
        raise InputError(f"{directory} has no results.json of LBP-TOP")
    saved = _read(path)
    return LbpTopResult(
        y_pred=np.array(saved["y_pred"], np.int64),
        metrics=cast(dict[str, float], saved["metrics"]),
        intervals=cast(dict[str, tuple[float, float]], saved["intervals"]),
        confusion=np.array(saved["confusion"], np.int64),
        seconds=saved["seconds"],
        by_dataset=cast(dict[str, dict[str, Any]], saved.get("by_dataset", {})),
    )


def _read(path: Path) -> Evaluation:
    """Reads the results of a finished run."""
    saved = read_json(path, Evaluation)
    try:
        fault = evaluation_fault(saved, len(Config.from_dict(saved["config"]).seeds))
    except InputError as error:
        raise InputError(f"{path} has invalid settings: {error}") from error
    if fault:
        raise InputError(f"{path} is damaged: {fault}")
    return saved


def _named(clips: SortedClips) -> list[tuple[str, str]]:
    return list(zip(clips.subjects.tolist(), clips.names.tolist(), strict=True))


def _write(
    folder: Path,
    identity: dict[str, Any],
    clips: SortedClips,
    config: Config,
    predicted: NDArray[np.int64],
    result: LbpTopResult,
) -> None:
    """Writes predictions.csv, a line per seed and clip, then results.json, which marks the end."""
    names = _named(clips)
    true = [clips.classes[label] for label in clips.labels]
    write_csv(
        folder / "predictions.csv",
        ["seed", "subject", "clip", "label", "predicted"],
        [
            [seed, *name, label, clips.classes[guess]]
            for seed, row in zip(config.seeds, predicted, strict=True)
            for name, label, guess in zip(names, true, row, strict=True)
        ],
    )
    content = {
        **identity,
        "clips": [list(name) for name in names],
        "y_true": clips.labels.tolist(),
        "y_pred": predicted.tolist(),
        "metrics": result.metrics,
        "intervals": metrics.BOOTSTRAP | {k: list(ends) for k, ends in result.intervals.items()},
        "by_dataset": result.by_dataset,
        "confusion": result.confusion.tolist(),
        "per_class": metrics.per_class(result.confusion, clips.classes),
        "seconds": result.seconds,
    }
    write_json(folder / "results.json", content)


def _cut(cut: Settings) -> dict[str, Any]:
    """Returns the settings that affect frames: all but the active-image methods.

    What early versions did not write is left out if it is as it was then.
    """
    values = {name: value for name, value in asdict(cut).items() if name != "methods"}
    if values["face_by"] == "viola-jones":
        del values["face_by"]
    return values


def _features(
    frames: tuple[str, ...], onset: Any, offset: Any, cut: Settings
) -> NDArray[np.float64]:
    first, last = (None if pd.isna(number) else int(number) for number in (onset, offset))
    clip = open_clip(
        frames,
        start=first,
        end=last,
        **cut.cut(),
    )
    with closing(clip.timed()) as frames_read:
        volume = np.stack([frame.pixels for frame in clip.cut_all(frames_read)])
    try:
        return lbp_top(volume).ravel()
    except InputError as error:
        raise InputError(f"{clip.name}: {error}") from error
