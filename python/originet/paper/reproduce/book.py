"""The page, and beside it every table as CSV and every figure as PNG."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from originet.drawing.figures import Figure, save
from originet.drawing.page import Cell, Page
from originet.paper.reproduce import figures
from originet.system.csv_cells import guarded
from originet.system.files import write_atomically

PICTURE_ROWS = 6  # in one figure, which must fit on a sheet of paper


class Book:
    """A report that also writes what it shows as files of its own.

    Args:
        title: The page's title.
        folder: Where `tables` and `figures` go.
    """

    def __init__(self, title: str, folder: Path) -> None:
        self.report = Page(title)
        self.folder = folder

    def table(
        self,
        name: str,
        records: Sequence[Mapping[str, Any]],
        header: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        caption: str,
        *,
        folded: bool = False,
    ) -> None:
        """Adds a table, and writes what it is made from to `tables/<name>.csv`.

        Args:
            name: The file's name.
            records: The figures as they are, unrounded.
            header: Names of the columns shown.
            rows: Their cells.
            caption: Text above it.
            folded: Whether only the caption shows until it is clicked.
        """
        self.report.table(header, rows, caption, folded=folded)
        self.csv(name, records)

    def csv(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes figures as they are to `tables/<name>.csv`, texts so that none is a formula."""
        cells = pd.DataFrame(list(records)).map(guarded).rename(columns=guarded)
        text = cells.to_csv(index=False, lineterminator="\n")
        # A name that is no text, as some of files, is written as `printable` would.
        data = text.encode(errors="backslashreplace")
        write_atomically(self.folder / "tables" / f"{name}.csv", data)

    def figure(self, name: str, figure: Figure, caption: str, alt: str) -> None:
        """Adds a figure, and writes it to `figures/<name>.png`."""
        self.report.figure(figure, caption, alt)
        save(figure, self.folder / "figures" / f"{name}.png")

    def pictures(
        self,
        name: str,
        rows: Mapping[str, Sequence[figures.Picture | None]],
        columns: Sequence[str],
        caption: str,
        alt: str,
    ) -> None:
        """Adds rows of pictures, in as many figures as keep them readable on paper.

        Args:
            name: The file's name; the figures after the first are numbered, from `<name>_2.png`.
            rows: As `originet.paper.reproduce.figures.picture_sheet` takes them, at least one.
            columns: Their names.
            caption: Text below each figure.
            alt: What they show.
        """
        names = list(rows)
        parts = np.array_split(np.arange(len(names)), -(-len(names) // PICTURE_ROWS))
        for number, part in enumerate(parts, start=1):
            self.figure(
                name if number == 1 else f"{name}_{number}",
                figures.picture_sheet({names[i]: rows[names[i]] for i in part}, columns),
                caption + (f" Part {number} of {len(parts)}." if len(parts) > 1 else ""),
                alt,
            )

    def judge(self, *, data: str, agrees: str, unsaid: str) -> None:
        """Ends a section: its data, how it compares with the paper, what stays open.

        Args:
            data: From which data, under which settings.
            agrees: What agrees with the paper and what does not.
            unsaid: What stays open.
        """
        self.report.text(f"Data: {data}", f"Compared with the paper: {agrees}", f"Open: {unsaid}")
