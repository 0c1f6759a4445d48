"""`originet loso`."""

import dataclasses
from typing import TYPE_CHECKING

from rich.table import Table

from originet.cli import options
from originet.cli.console import console, progress_bar, progress_bars
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.evaluation.result import LosoResult


@options.with_run_options
def loso_command(
    run: options.Run,
    paths: options.Paths,
    out: options.Results,
    network: options.Network = options.DEFAULTS.network,
    pretrained: options.Pretrained = False,
    weights: options.Weights = True,
    leave_out: options.LeaveOut = options.DEFAULTS.leave_out,
) -> None:
    """Evaluate a network with leave-one-subject-out cross-validation.

    An interrupted run resumes where it stopped.
    """
    from originet.cli.inputs import read_clips_for
    from originet.evaluation import report
    from originet.evaluation.compute import Compute
    from originet.evaluation.loso import variant_of
    from originet.evaluation.result import clip_images
    from originet.evaluation.study import evaluate
    from originet.training.networks.table import network_of

    config = dataclasses.replace(
        run.config, network=network, pretrained=pretrained, leave_out=leave_out
    )
    found = network_of(config)  # first, since making images may take minutes
    clips = read_clips_for(found, paths, [config.method], **run.clips, leave_out=leave_out)
    config = clips.configure(config)
    ordered = clips.sort()
    variant = variant_of(config, found)
    with progress_bars() as bars:
        bar = progress_bar(bars, "epochs")
        compute = Compute(
            run.device, run.executor, weights, lambda _, done, total: bar(done, total)
        )
        result = evaluate(ordered, variant, compute, out=out)
    images = clip_images(result, ordered)
    report.write_loso_report(out / report.NAME, result, report.made_with(run.device), images)
    print_loso(result)
    console.print(f"Results: {out}, report: {out / report.NAME}", soft_wrap=True)


def print_loso(result: "LosoResult") -> None:
    """Prints the scores of a run, by class and by data set, and its confusion matrix."""
    from originet.cli.by_dataset import print_datasets, print_published
    from originet.evaluation import metrics
    from originet.training.protocol import LEAK

    several = len(result.seeds) > 1
    level = f"{100 * metrics.LEVEL:.0f} %"
    notes = [
        f"{level} interval: percentile bootstrap over subjects, {metrics.RESAMPLES:,} resamples",
        *(["value: mean ± standard deviation over the seeds"] if several else []),
        *([LEAK] if result.config.leaky else []),
    ]
    subjects = result.config.leave_out == "subject"
    left_out = "subject" if subjects else "data-set"
    table = Table(
        title=f"{result.network}, leave-one-{left_out}-out on {result.dataset}: "
        f"{counted(len(result.clips), 'clip')}, {result.config.describe()}",
        caption="; ".join(notes),
    )
    headings = ("value", f"{level} interval", "majority baseline")
    table.add_column("measure")
    for heading in headings:
        table.add_column(heading, justify="right")
    names = {
        "pooled_accuracy": "accuracy, pooled",
        "fold_accuracy": f"accuracy, mean {'of folds' if subjects else 'over subjects'}",
        "uf1": "UF1",
        "uar": "UAR",
    }
    for key, name in names.items():
        spread = f" ± {result.metrics[key + '_std']:.3f}" if several else ""
        low, high = result.intervals[key]
        table.add_row(
            *(name, f"{result.metrics[key]:.3f}{spread}"),
            *(f"{low:.3f} to {high:.3f}", f"{result.baseline[key]:.3f}"),
        )
    console.print(table)
    network, majority = {result.network: result}, result.majority_accuracy
    print_datasets(network, result.classes, majority, several=several)
    if subjects:  # as the published scores are
        print_published(result.network, result)
    classes = Table(title="By class" + (", all seeds together" if several else ""))
    classes.add_column("class")
    for heading in ("precision", "recall", "F1", "support"):
        classes.add_column(heading, justify="right")
    for name, row in result.per_class.items():
        shares = (row["precision"], row["recall"], row["f1"])
        cells = ("-" if share is None else f"{share:.3f}" for share in shares)
        classes.add_row(name, *cells, str(row["support"]))
    console.print(classes)
    confusion = Table(title="Confusion (rows: true)")
    for name in ("", *result.classes):
        confusion.add_column(name, justify="right")
    for name, counts in zip(result.classes, result.confusion, strict=True):
        confusion.add_row(name, *(str(count) for count in counts))
    console.print(confusion)
    console.print(f"Clip list: sha256 {result.clip_list_sha256}", soft_wrap=True)
