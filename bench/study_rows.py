"""What the studies beside this file share: their rows as CSV, and their tables in the docs."""

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import typer

from originet.bench import summary
from originet.system.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "bench" / "results" / "studies"

Row = TypeVar("Row")


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Reads a CSV; there are no rows where there is no file.

    Args:
        path: the file.
        kind: a dataclass whose fields are the columns, each of a type that reads a text.
    """
    if not path.exists():
        return []
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(kind)}
    with path.open(encoding="utf-8", newline="") as file:
        return [kind(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Writes instances of one dataclass as CSV, in their order."""
    rows = list(rows)
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(rows[0])]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(dataclasses.asdict, rows))
    write_atomically(path, text.getvalue().encode())


def put_table(docs: Path, name: str, table: str, *, check: bool, command: str) -> None:
    """Puts a table into its block of a page, see `originet.bench.summary.replace_block`.

    Args:
        docs: the page.
        name: the block.
        table: in Markdown.
        check: write nothing, and end with exit code 1 if another table is there.
        command: makes the table; for the message.
    """
    text = docs.read_text(encoding="utf-8")
    wanted = summary.replace_block(text, table, name)
    if not check:
        write_atomically(docs, wanted.encode())
    elif text != wanted:
        print(f"{docs} is not what {STUDIES} gives: {command}")
        raise typer.Exit(1)
