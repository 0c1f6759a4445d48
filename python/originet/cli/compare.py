"""`originet compare`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from originet.cli import options
from originet.cli.console import complain_of, console, progress_bar, progress_bars
from originet.system.channels import check_one_image
from originet.system.choices import COMPARED, NETWORKS
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.paper.comparison import Comparison


_OTHERS = [name for name in NETWORKS if name not in COMPARED]


@options.with_run_options
def compare_command(
    run: options.Run,
    paths: options.Paths,
    out: options.Results,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(COMPARED)}, which are the default; {', '.join(_OTHERS)}; timm:NAME; "
            "or your own module:function. Repeatable."
        ),
    ] = None,
    weights: options.Weights = False,
) -> None:
    """Evaluate the networks of Tables III to V, and LBP-TOP.

    Other networks take part if --network names them. The output shows the paper's figures next to
    ours. An interrupted run resumes where it stopped.
    Networks other than OrigiNet need torchvision and timm. LBP-TOP needs scikit-image and the
    clips' frames, even if a store holds their images.
    """
    from originet.cli.inputs import read_clips
    from originet.evaluation import report
    from originet.evaluation.compute import Compute
    from originet.paper import comparison, comparison_report

    config = run.config
    check_one_image(config.method, "compare")  # first, since making images may take minutes
    rows = comparison.rows_named(network)
    comparison.check_packages(rows)
    clips = read_clips(
        paths,
        [config.method],
        **run.clips,
        opens_frames=comparison.LBP_TOP in rows,
    )
    config = clips.configure(config)
    with progress_bars() as bars:
        units = {name: "clips" if name == comparison.LBP_TOP else "epochs" for name in rows}
        shown = {name: progress_bar(bars, f"{name}, {unit}") for name, unit in units.items()}
        compute = Compute(
            *(run.device, run.executor, weights),
            progress=lambda name, done, total: shown[name](done, total),
        )
        result = comparison.run_comparison(clips.sort(), config, compute, rows=rows, out=out)
    page = out / report.NAME
    comparison_report.write_comparison_report(page, result, report.made_with(run.device))
    records = result.records()
    _print_scores(result, records)
    _print_sizes(result, records)
    console.print(f"Results: {out}, report: {page}", soft_wrap=True)
    if result.failed:
        complain_of(
            f"{len(result.failed)} of {counted(len(rows), 'row')} could not be evaluated:",
            result.failed,
        )
        raise typer.Exit(2)


def _print_scores(result: "Comparison", records: list[dict[str, Any]]) -> None:
    """Prints Tables III and IV in 80 columns, and notes on all rows."""
    from originet.cli.by_dataset import print_datasets
    from originet.paper import comparison_report

    several = len(result.config.seeds) > 1
    seeds = f", mean ± deviation of {len(result.config.seeds)} seeds" if several else ""
    study = f"{result.dataset}: {counted(result.clips, 'clip')}, {result.config.describe()}{seeds}"
    table = Table(title=f"Comparison on {study}", box=SIMPLE_HEAD, padding=(0, 0))
    table.add_column(Text("\nrow"))
    for head in ("pooled\nacc. %", "fold\nacc. %", "\nUF1", "\nUAR", "paper:\nacc. %"):
        table.add_column(Text(head), justify="right")
    for record in records:
        paper = record["paper_accuracy"]
        blank = "N/A" if record["kind"] == "quoted" else ""
        percent = blank if paper is None else f"{100 * paper:.2f}"
        table.add_row(record["row"], *_scores(record, several), percent)
    console.print(table)
    print_datasets(result.results, result.classes, result.majority_accuracy, several=several)
    for line in comparison_report.notes(result):
        console.print(line, soft_wrap=True, highlight=False)


def _print_sizes(result: "Comparison", records: list[dict[str, Any]]) -> None:
    """Prints Table V in 80 columns."""
    from originet.paper import comparison_report

    networks = [record for record in records if record["kind"] == "network"]
    if not networks:
        return
    table = Table(
        title=f"Sizes as in Table V, and time for one image on {result.device}",
        box=SIMPLE_HEAD,
        padding=(0, 0),
    )
    table.add_column(Text("\nnetwork"), no_wrap=True)
    heads = (
        "here:\nparam.",
        "\nms",
        "publ.:\nlayers",
        "\ndepth",
        "\nparam.",
        "MiB at\n4 B",
        "\n8 B",
    )
    for head in (*heads, "paper:\nlayers", "\npar.", "\nMB"):
        table.add_column(Text(head), justify="right")
    for record in networks:
        milliseconds = record["milliseconds"]
        table.add_row(
            record["row"],
            _millions(record["parameters"]),
            "" if milliseconds is None else f"{milliseconds:.1f}",
            *(comparison_report.count(record[f"published_{name}"]) for name in ("layers", "depth")),
            _millions(record["published_parameters"]),
            *(comparison_report.mib(record[f"published_mib_{size}_bytes"]) for size in (4, 8)),
            *comparison_report.size_marks(record),
        )
    console.print(table)
    for line in comparison_report.size_notes(result):
        console.print(line, soft_wrap=True, highlight=False)


def _scores(record: dict[str, Any], several: bool) -> list[str]:
    """Returns the cells of a row's measures, with accuracies in percent."""
    from originet.paper.comparison import MEASURES

    if record["kind"] == "quoted" or record["failed"] is not None:
        word = "quoted" if record["kind"] == "quoted" else "not evaluated"
        return [word, *[""] * (len(MEASURES) - 1)]
    cells = []
    for measure in MEASURES:
        factor, places = (100, 2) if measure.endswith("accuracy") else (1, 3)
        mean, spread = (factor * record[name] for name in (measure, f"{measure}_std"))
        cells.append(f"{mean:.{places}f}{f' ± {spread:.{places}f}' if several else ''}")
    return cells


def _millions(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 1e6:.2f}M" if count >= 1e5 else f"{count:,}"
