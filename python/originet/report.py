"""The report of an evaluation: what came out, how far to trust it, and what it came from.

`originet.page` is the page itself. All that is told is in the result, so the report of a run that
ended long ago is the one that was written then.
"""

import datetime
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch

import originet_ext
from originet import loso_plots, metrics, plots, timing
from originet.loso import LosoResult
from originet.page import Report, Thumbnail
from originet.protocol import LEAK, describe, is_leaky, protocol_label
from originet.results import ClipImages

NAME = "report.html"

MISTAKES = 12  # pictures of wrong predictions
SUBJECTS = 30  # in one chart, which must fit on a sheet of paper
FEW_SUBJECTS = 20  # below which the intervals come out too narrow, see `bootstrap_intervals`

MEASURES = {
    "pooled_accuracy": "accuracy, all clips pooled",
    "fold_accuracy": "accuracy, mean over subjects",
    "uf1": "UF1 (unweighted F1)",
    "uar": "UAR (unweighted average recall)",
}


class Prediction(NamedTuple):
    """What a network said of a clip, class names and probabilities 0..1 of both classes."""

    subject: str
    clip: str
    seed: int
    true: str
    predicted: str
    probability: float
    true_probability: float

    @property
    def right(self) -> bool:
        """Whether the class is the true one."""
        return self.true == self.predicted


def write_loso_report(
    path: str | Path,
    result: LosoResult,
    made_with: Mapping[str, str],
    images: ClipImages | None = None,
) -> None:
    """Writes the report of a leave-one-subject-out evaluation.

    Args:
        path: The HTML file; replaced if it exists.
        result: The evaluation.
        made_with: Versions and the like, by name.
        images: The clips' active images, see `originet.results.clip_images`; None leaves the
            pictures of mistakes out, and says so.

    Raises:
        OSError: The file cannot be written there.
    """
    report = Report(f"{result.model['class']} on {result.dataset}, {describe(result.config)}")
    loso_section(report, result, images)
    report.section("Made with")
    report.table(["what", "value"], list(made_with.items()), "Versions and machine.")
    report.write(path)


def loso_section(report: Report, result: LosoResult, images: ClipImages | None = None) -> None:
    """Adds the outcome of a leave-one-subject-out evaluation, with all that is needed to judge it.

    Args:
        report: Where to add it.
        result: The evaluation.
        images: The clips' active images; None leaves the pictures of mistakes out.
    """
    # Generated sets say so by their name.
    report.section(f"Leave-one-subject-out: {result.dataset}, {describe(result.config)}")
    _summary(report, result)
    _classes(report, result)
    _subjects(report, result)
    _training(report, result)
    _answers(report, result, images)
    _settings(report, result)


def environment(device: torch.device) -> dict[str, str]:
    """Tells what a report is made with: versions, device, date, what the extension holds.

    Args:
        device: The device that was used.

    Returns:
        The facts by name.
    """
    facts = timing.environment(device)
    facts |= {
        "python": platform.python_version(),
        "system": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "numpy": np.__version__,
        "matplotlib": matplotlib.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(" ", "minutes"),
    }
    facts |= {f"extension: {k}": _plain(value) for k, value in originet_ext.build_info().items()}
    return {name: value or "none" for name, value in facts.items()}


def environment_section(report: Report, device: torch.device) -> None:
    """Adds what the report was made with, see `environment`.

    Args:
        report: Where to add it.
        device: The device that was used.
    """
    report.section("Made with")
    report.table(["what", "value"], list(environment(device).items()))


def verdict(name: str, value: float, interval: tuple[float, float], baseline: float) -> str:
    """Says in a sentence whether a score is more than its majority baseline.

    Args:
        name: What the score is called.
        value: The score, 0..1.
        interval: Its confidence interval.
        baseline: The majority baseline's score.

    Returns:
        The sentence.
    """
    (low, high), level = interval, f"{100 * metrics.LEVEL:.0f} %"
    start = f"{name} is {_percent(value)}, the majority baseline's {_percent(baseline)}: "
    span = f"{level} interval ({100 * low:.1f} to {100 * high:.1f} %)"
    if low > baseline:
        return f"{start}above the baseline, and the {span} excludes it."
    if high < baseline:
        return f"{start}below the baseline, and the {span} excludes it."
    side = "above" if value > baseline else "not above"
    return (
        f"{start}{side} the baseline, but the {span} includes it, so that with other subjects it "
        "might have come out either way."
    )


def predictions(result: LosoResult) -> list[Prediction]:
    """Lists all predictions of a run.

    Args:
        result: The run's result.

    Returns:
        One a seed and clip, the most confident first.
    """
    told = [
        Prediction(
            *(fold["subject"], clip, fold["seed"]),
            *(result.classes[true], result.classes[predicted]),
            *(shares[predicted], shares[true]),
        )
        for fold in result.folds
        for clip, true, predicted, shares in zip(
            *(fold[key] for key in ("clips", "true", "predicted", "probabilities")), strict=True
        )
    ]
    return sorted(told, key=lambda each: (-each.probability, each.seed, each.subject, each.clip))


def _summary(report: Report, result: LosoResult) -> None:
    seeds, subjects = len(result.seeds), len({fold["subject"] for fold in result.folds})
    if is_leaky(result.config.protocol):
        report.text(LEAK)
    if result.semi_synthetic:
        report.text(
            "Semi-synthetic clips are generated by warping still faces. Such figures show that a "
            "system learns what was put into them; they say nothing about real micro-expressions."
        )
    report.text(
        f"{len(result.clips)} clips of {subjects} subjects in {len(result.classes)} classes. "
        "Each clip was predicted by a network that had never seen its subject"
        + (f", once for each of {seeds} seeds." if seeds > 1 else ".")
    )
    for name, key in (("Accuracy over all clips", "pooled_accuracy"), ("UAR", "uar")):
        scores = result.metrics[key], result.intervals[key], result.baseline[key]
        report.text(verdict(name, *scores))
    level = f"{100 * metrics.LEVEL:.0f} %"
    commonest = result.classes[int(np.bincount(result.y_true).argmax())]
    spread = {key: result.metrics[f"{key}_std"] if seeds > 1 else None for key in MEASURES}
    report.table(
        ["measure", "result", f"{level} interval", "majority baseline"],
        [
            [
                *(name, _percent(result.metrics[key], spread[key])),
                "{:.1f} to {:.1f} %".format(*(100 * end for end in result.intervals[key])),
                _percent(result.baseline[key]),
            ]
            for key, name in MEASURES.items()
        ],
        f"Summary; the majority baseline always answers the commonest class, {commonest}. "
        f"The {level} interval tells how far a result depends on who took part: percentile "
        f"bootstrap over subjects, {metrics.RESAMPLES:,} resamples."
        + (" With so few subjects it comes out too narrow." if subjects < FEW_SUBJECTS else "")
        + (" Results are means and standard deviations over the seeds." if seeds > 1 else ""),
    )


def _classes(report: Report, result: LosoResult) -> None:
    over = ", over all seeds." if len(result.seeds) > 1 else "."
    report.section("Classes")
    totals = result.confusion.sum(axis=1, keepdims=True)
    shares = result.confusion / np.maximum(totals, 1)  # a class without clips keeps zeros
    report.figure(
        plots.confusion_matrix(result.confusion, result.classes, "Confusion matrix"),
        "Clips by true and predicted class" + over,
        f"Confusion matrix of {len(result.classes)} classes; the table below has its numbers",
    )
    report.table(
        ["true class", *(f"as {name}" for name in result.classes)],
        [
            [name, *(f"{count} ({100 * share:.0f} %)" for count, share in zip(*pair, strict=True))]
            for name, *pair in zip(result.classes, result.confusion, shares, strict=True)
        ],
        "Confusion matrix: predictions, and their share of the true class" + over,
    )
    report.table(
        ["class", "precision", "recall", "F1", "support"],
        [
            [
                name,
                *(_share(row[key]) for key in ("precision", "recall", "f1")),
                str(row["support"]),
            ]
            for name, row in result.per_class.items()
        ],
        "By class; support counts the predictions for clips of the class" + over,
    )


def _subjects(report: Report, result: LosoResult) -> None:
    folds: dict[str, list[dict[str, Any]]] = {}  # by subject, one fold a seed
    for fold in result.folds:
        folds.setdefault(fold["subject"], []).append(fold)
    accuracies = {name: [fold["accuracy"] for fold in folds[name]] for name in sorted(folds)}
    report.section("Subjects")
    names = list(accuracies)
    charts = -(-len(names) // SUBJECTS)
    for part in np.array_split(np.arange(len(names)), charts):
        shown = {names[place]: accuracies[names[place]] for place in part}
        report.figure(
            loso_plots.subject_accuracy(
                shown, result.metrics["fold_accuracy"], result.baseline["fold_accuracy"]
            ),
            "Subjects, their mean, and the majority baseline's mean over subjects"
            + ("; dots are the seeds." if len(result.seeds) > 1 else "."),
            f"Bars: the accuracy of {len(shown)} subjects; the table below has its numbers",
        )
    report.table(
        ["subject", "clips", "accuracy"],
        [
            [name, len(folds[name][0]["true"]), _percent(float(np.mean(each)))]
            for name, each in accuracies.items()
        ],
        "Accuracy by subject.",
    )


def _training(report: Report, result: LosoResult) -> None:
    histories = [fold["history"] for fold in result.folds]
    chosen = [fold["selected_epoch"] for fold in result.folds]
    report.section("Training")
    leak = f" {LEAK}" if is_leaky(result.config.protocol) else ""
    report.figure(
        loso_plots.learning_curves(histories),
        f"Learning curves of {len(histories)} folds: lines are medians, bands the middle half of "
        "the folds. Training images are seen augmented and, if so set, weighted; validation "
        f"is on images of clips of the training subjects.{leak}",
        "Curves of loss and accuracy over the epochs, training and validation",
    )
    if min(chosen) == max(chosen):
        kept = f"{chosen[0]} in every fold"
    else:
        kept = f"{np.median(chosen):g} in the median, from {min(chosen)} to {max(chosen)}"
    if result.config.select == "last":
        report.text(f"Every fold kept the weights of its last epoch, {result.config.epochs}.")
    else:
        report.figure(
            loso_plots.selected_epochs(chosen, result.config.epochs),
            f"Epochs whose weights the folds kept, chosen on the validation images: {kept}.",
            f"Bars: folds by the epoch that they kept, {kept}",
        )


def _answers(report: Report, result: LosoResult, images: ClipImages | None) -> None:
    told = predictions(result)
    right, wrong = ([each for each in told if each.right is kind] for kind in (True, False))
    report.section("Worst mistakes")
    medians = [
        f"{_percent(float(np.median([each.probability for each in part])))} where it was {word}"
        for part, word in ((right, "right"), (wrong, "wrong"))
        if part
    ]
    report.figure(
        loso_plots.confidences(*([each.probability for each in part] for part in (right, wrong))),
        f"How sure the networks were: {len(right)} right and {len(wrong)} wrong predictions. The "
        f"predicted class had a median probability of {' and of '.join(medians)}.",
        "Histogram of the probability of the predicted class, right and wrong predictions apart",
    )
    if not wrong:
        report.text("No clip was predicted wrongly.")
    if images is None:
        report.text("The pictures are left out: they need the clips' active images.")
        return
    worst = _once(wrong, lambda each: (each.subject, each.clip))[:MISTAKES]
    if worst:
        report.text("Active images of the most confident wrong predictions, each clip once:")
        report.gallery(_thumbnail(each, images, result) for each in worst)
    best = sorted(_once(right, lambda each: each.true), key=lambda each: each.true)
    if best:
        report.text("For comparison, of each class the most confident right one:")
        report.gallery(_thumbnail(each, images, result) for each in best)


def _once(told: list[Prediction], key: Any) -> list[Prediction]:
    """The first prediction of each key."""
    first: dict[Any, Prediction] = {}
    for each in told:
        first.setdefault(key(each), each)
    return list(first.values())


def _thumbnail(each: Prediction, images: ClipImages, result: LosoResult) -> Thumbnail:
    said = f"{each.predicted}, {100 * each.probability:.0f}\N{NO-BREAK SPACE}%"
    lines = [f"predicted {said}"]
    if not each.right:
        true_share = f"{100 * each.true_probability:.0f}\N{NO-BREAK SPACE}%"
        lines.insert(0, f"true {each.true}, {true_share}")
    lines.append(f"{each.subject}/{each.clip}")
    lines += [f"seed {each.seed}"] if len(result.seeds) > 1 else []
    alt = f"Active image of a clip of {each.true}, predicted as {said}"
    return Thumbnail(images[each.subject, each.clip], lines, alt)


def _settings(report: Report, result: LosoResult) -> None:
    settings: dict[str, object] = dict(result.config.to_dict())
    settings["protocol"] = protocol_label(result.config.protocol)
    settings |= {f"network: {name}": value for name, value in result.model.items()}
    settings |= {
        "clips": len(result.clips),
        "clip list (SHA-256)": result.clip_list_sha256,
        "images (SHA-256)": result.images_sha256,
        "device": sorted({fold["device"] for fold in result.folds}),
        "seconds": round(result.seconds, 1),
    }
    report.section("Settings")
    report.table(
        ["setting", "value"],
        [[name, _plain(value)] for name, value in settings.items()],
        "Settings of the run; the seconds are those spent in the folds.",
    )


def _percent(share: float, spread: float | None = None) -> str:
    return f"{100 * share:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "") + " %"


def _share(share: float | None) -> str:
    return "-" if share is None else _percent(share)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
