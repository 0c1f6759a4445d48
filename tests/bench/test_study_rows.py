"""bench/study_rows.py: rows as CSV and tables in the docs."""

from dataclasses import dataclass

import pytest
import typer
from study_rows import put_table, read_rows, write_rows


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    share: float


def test_rows_survive_their_table(tmp_path):
    rows = [Row("a, b", 3, 0.25), Row('say "c"', -1, 1e-7)]
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv", Row) == rows
    assert read_rows(tmp_path / "none.csv", Row) == []


def test_a_table_is_put_into_its_block_and_checked(tmp_path, capsys):
    docs = tmp_path / "page.md"
    docs.write_text("Before.\n\n<!-- sizes:begin -->\nold\n<!-- sizes:end -->\n\nAfter.\n")
    with pytest.raises(typer.Exit) as exit:
        put_table(docs, "sizes", "| new |", check=True, command="python this.py")
    assert exit.value.exit_code == 1 and "python this.py" in capsys.readouterr().out
    assert "old" in docs.read_text()
    put_table(docs, "sizes", "| new |", check=False, command="python this.py")
    assert "| new |" in docs.read_text() and "old" not in docs.read_text()
    assert docs.read_text().startswith("Before.") and docs.read_text().endswith("After.\n")
    put_table(docs, "sizes", "| new |", check=True, command="python this.py")
