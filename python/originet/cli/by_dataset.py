"""Prints the scores of each data set of a composite."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from originet.cli.console import console
from originet.evaluation import by_dataset, megc2019


def print_datasets(
    results: Mapping[str, by_dataset.Evaluated],
    classes: Sequence[str],
    majority_accuracy: float,
    *,
    several: bool,
) -> None:
    """Prints a table; nothing if there is only one data set.

    Args:
        results: Results on the same clips, by the names of their rows.
        classes: Class names of the composite.
        majority_accuracy: Share of the composite's most frequent class.
        several: Whether there are several seeds.
    """
    lines = by_dataset.records(results, majority_accuracy)
    if not lines:
        return
    named = ["row"] if len(results) > 1 else []
    table = Table(title="By data set", box=SIMPLE_HEAD, padding=(0, 0))
    for name in (*named, by_dataset.HEADER[0]):
        table.add_column(name)
    for name in by_dataset.HEADER[1:]:
        table.add_column(name, justify="right")
    for record in lines:
        cells = [*(record[name] for name in named), *by_dataset.cells(record, several, _fraction)]
        table.add_row(*cells)
    console.print(table)
    console.print(by_dataset.note(results, classes), soft_wrap=True, highlight=False)


def print_published(name: str, result: megc2019.Scored) -> None:
    """Prints a result on MEGC 2019's composite above the published ones; nothing for others.

    Args:
        name: What was evaluated.
        result: Its result.
    """
    if not megc2019.is_composite(result):
        return
    table = Table(title=megc2019.TITLE, box=SIMPLE_HEAD, padding=(0, 0))
    for heading in megc2019.HEADER:
        table.add_column(heading)
    for row in megc2019.rows(name, result):
        table.add_row(*row)
    console.print(table)
    console.print(megc2019.note(result), soft_wrap=True, highlight=False)


def _fraction(share: float, spread: float | None = None) -> str:
    """A score as the tables of a terminal have it, with three digits."""
    return f"{share:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
