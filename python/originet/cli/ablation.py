"""`originet ablation`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from originet.cli import options
from originet.cli.console import complain_of, console, progress_bar, progress_bars
from originet.system.choices import ABLATIONS
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.paper.ablation import Ablation


@options.with_run_options
def ablation_command(
    run: options.Run,
    paths: options.Paths,
    out: options.Results,
    row: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(ABLATIONS)}; repeatable, all by default.")
    ] = None,
    weights: options.Weights = True,
) -> None:
    """Evaluate the rows of Table VI next to the paper's figures.

    Each row is OrigiNet with one part replaced. An interrupted run resumes where it stopped. Row
    WDy needs active images by method rank.
    """
    from originet.cli.inputs import read_clips
    from originet.evaluation import report
    from originet.evaluation.compute import Compute
    from originet.paper import ablation, ablation_report

    config = run.config
    rows = ablation.rows_named(row)
    clips = read_clips(
        paths,
        ablation.methods_of(rows, config),
        **run.clips,
    )
    config = clips.configure(config)
    with progress_bars() as bars:
        shown = {each.name: progress_bar(bars, f"{each.name}, epochs") for each in rows}
        compute = Compute(
            *(run.device, run.executor, weights),
            progress=lambda name, done, total: shown[name](done, total),
        )
        result = ablation.run_ablation(clips.sort(), config, compute, rows=rows, out=out)
    page = out / report.NAME
    ablation_report.write_ablation_report(page, result, report.made_with(run.device))
    _print_ablation(result)
    console.print(f"Results: {out}, report: {page}", soft_wrap=True)
    if result.failed:
        complain_of(f"{len(result.failed)} of {counted(len(rows), 'row')} failed:", result.failed)
        raise typer.Exit(2)


def _print_ablation(result: "Ablation") -> None:
    """Prints a table that fits into 80 columns, and notes on all rows."""
    from originet.cli.by_dataset import print_datasets
    from originet.paper import ablation_report

    shared = result.any_result
    seeds = f", mean ± deviation of {len(shared.seeds)} seeds" if len(shared.seeds) > 1 else ""
    study = (
        f"{shared.dataset}: {counted(len(shared.clips), 'clip')}, {result.config.describe()}{seeds}"
    )
    table = Table(
        title=f"Ablations of Table VI on {study}",
        box=SIMPLE_HEAD,
        padding=(0, 0),
    )
    table.add_column(Text("\nrow"))
    heads = ("pooled\nacc. %", "fold\nacc. %", "\nUF1", "\nUAR", "para-\nmeters", "\nMiB")
    for head in (*heads, "paper:\nacc. %", "para-\nmeters", "\nMB"):
        table.add_column(Text(head), justify="right")
    for record in result.records():
        paper = (
            f"{100 * record['paper_accuracy']:.2f}",
            f"{'' if record['parameters_agree'] else '≠ '}{record['paper_parameters_millions']}M",
            f"{'' if record['memory_agrees'] else '≠ '}{record['paper_memory_mb']}",
        )
        size = f"{record['parameters'] / 1e6:.3f}M", f"{record['memory_mib']:.1f}"
        table.add_row(record["row"], *_scores(record), *size, *paper)
    console.print(table)
    several = len(shared.seeds) > 1
    print_datasets(result.results, shared.classes, shared.majority_accuracy, several=several)
    for line in ablation_report.notes(result):
        console.print(line, soft_wrap=True, highlight=False)


def _scores(record: dict[str, Any]) -> list[str]:
    """Returns the cells of a row's measures, with accuracies in percent."""
    from originet.paper.ablation import MEASURES

    if record["failed"] is not None:
        return ["failed", *[""] * (len(MEASURES) - 1)]
    cells = []
    for measure in MEASURES:
        factor, places = (100, 2) if measure.endswith("accuracy") else (1, 3)
        mean, spread = (record[name] for name in (measure, f"{measure}_std"))
        several = f" ± {factor * spread:.{places}f}" if record["seeds"] != 1 else ""
        cells.append(f"{factor * mean:.{places}f}{several}")
    return cells
