"""`originet doctor`."""

import typer
from rich.table import Table
from rich.text import Text

from originet.cli.console import console


def doctor_command() -> None:
    """Report what is installed and what works here, with reasons."""
    from originet.cli import diagnosis

    table = Table(show_header=False, box=None)
    marks = {True: Text("ok", "green"), False: Text("broken", "red"), None: Text()}
    findings = diagnosis.diagnose()
    for finding in findings:
        table.add_row(finding.name, finding.text, marks[finding.ok])
    console.print(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)
