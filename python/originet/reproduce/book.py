"""The page, and beside it every table as CSV and every figure as PNG."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from originet import plots
from originet.files import write_atomically
from originet.page import Cell, Report


class Book:
    """A report that also writes what it shows as files of its own.

    Args:
        title: The page's title.
        folder: Where `tables` and `figures` go.
    """

    def __init__(self, title: str, folder: Path) -> None:
        self.report = Report(title)
        self.folder = folder

    def table(
        self,
        name: str,
        records: Sequence[Mapping[str, Any]],
        header: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        caption: str,
    ) -> None:
        """Adds a table, and writes what it is made from to `tables/<name>.csv`.

        Args:
            name: The file's name.
            records: The figures as they are, unrounded.
            header: Names of the columns shown.
            rows: Their cells.
            caption: Text above it.
        """
        self.report.table(header, rows, caption)
        self.csv(name, records)

    def csv(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes figures as they are to `tables/<name>.csv`."""
        text = pd.DataFrame(list(records)).to_csv(index=False, lineterminator="\n")
        write_atomically(self.folder / "tables" / f"{name}.csv", text.encode())

    def figure(self, name: str, figure: Figure, caption: str, alt: str) -> None:
        """Adds a figure, and writes it to `figures/<name>.png`."""
        self.report.figure(figure, caption, alt)
        plots.save(figure, self.folder / "figures" / f"{name}.png")

    def judge(self, *, data: str, agrees: str, unsaid: str) -> None:
        """Ends a section: what it was made from, what agrees with the paper, what stays open.

        Args:
            data: From which data, under which settings.
            agrees: What agrees with the paper and what does not.
            unsaid: What cannot be said.
        """
        self.report.text(
            f"From: {data}", f"Beside the paper: {agrees}", f"Cannot be said: {unsaid}"
        )
