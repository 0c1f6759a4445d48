"""The page, with every table as CSV and every figure as PNG next to it."""

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

PICTURE_ROWS = 6  # of a figure, which must fit on a sheet of paper


class Book:
    """A report that also writes its tables and figures to files.

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
        """Adds a table, and writes its unrounded figures to `tables/<name>.csv`.

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
        """Writes unrounded figures to `tables/<name>.csv`, with no text that is a formula."""
        rows = [{guarded(key): guarded(value) for key, value in row.items()} for row in records]
        # As objects: in a column with gaps, whole numbers would become 57020228.0.
        cells = pd.DataFrame(rows, dtype=object)
        text = cells.to_csv(index=False, lineterminator="\n")
        # Names of files may be no valid text; they are written as `printable` does.
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
        """Adds rows of pictures, split into figures that fit on a sheet of paper.

        Args:
            name: The file's name; the figures after the first are numbered, from `<name>_2.png`.
            rows: As `originet.paper.reproduce.figures.picture_sheet` takes them, at least one.
            columns: Their names.
            caption: Text below each figure.
            alt: A description for those who do not see them.
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
        """Ends a section with its data, a comparison with the paper, and open questions.

        Args:
            data: The data and the settings.
            agrees: What agrees with the paper and what does not.
            unsaid: What the paper does not say, or what could not be settled.
        """
        self.report.text(f"Data: {data}", f"Compared with the paper: {agrees}", f"Open: {unsaid}")
