"""`originet export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from originet.cli.console import console, progress_bar, progress_bars
from originet.cli.options import OwnNetwork
from originet.system.choices import RUNTIMES
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.deploy.export import Compared


def export_command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a model made by `originet train`.")
    ],
    to: Annotated[str, typer.Option(help=f"Runtime: {', '.join(RUNTIMES)}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new or empty folder.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to 8 bits; needs --store. Not for aoti.")
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="Store of clips, to compare answers on and to quantise by."),
    ] = None,
    own_network: OwnNetwork = None,
) -> None:
    """Write a trained model's network for another runtime.

    A table compares its answers and times with the model's own.
    """
    from originet.datasets.store import read_store
    from originet.deploy.export import export_model
    from originet.deploy.model_files import load_model
    from originet.deploy.runtimes import check_runtime

    check_runtime(to, int8)
    network = load_model(model, network=own_network)
    clips = None if store is None else read_store(store)
    with progress_bars() as bars:
        compared = export_model(
            network, to, out, int8=int8, store=clips, progress=progress_bar(bars, "steps")
        )
    _print(out, compared)
    for name, terms in network.card.get("licences", {}).items():
        console.print(f"{name}: {terms}", soft_wrap=True, highlight=False)


def _print(out: Path, compared: list["Compared"]) -> None:
    from originet.system.timings import MARK, MARK_NOTE

    first = compared[0]
    images = counted(first.images, "clip" if first.uar is not None else "made-up image")
    note = f"Compared on {images}, {counted(first.threads, 'thread')}. Times are medians."
    table = Table(title=str(out), box=SIMPLE_HEAD, padding=(0, 0))
    table.add_column("network")
    for name in ("largest difference", "same class", "UAR", "1 image", "32 images"):
        table.add_column(name, justify="right")
    for row in compared:
        mark = "" if row.steady else f" {MARK}"
        table.add_row(
            *(row.network, f"{row.max_difference:.1e}", f"{100 * row.agreement:.1f} %"),
            "-" if row.uar is None else f"{row.uar:.3f}",
            *(f"{time:.2f} ms{mark}" for time in (row.batch_1_ms, row.batch_32_ms)),
        )
    console.print(table)
    console.print(note, soft_wrap=True, highlight=False)
    if not all(row.steady for row in compared):
        console.print(MARK_NOTE, soft_wrap=True, highlight=False)
