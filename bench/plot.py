"""Draw the results and write the README's part about them.

python bench/plot.py              # bench/results: the pictures there, and the README
python bench/plot.py --check      # exit code 1 if the README is not what bench/results give
python bench/plot.py CSV...       # pictures beside other results
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from originet import bench
from originet.bench import summary
from originet.system.files import write_atomically
from originet.system.timings import read_csv

ROOT = Path(__file__).resolve().parents[1]
RESULTS, README = ROOT / "bench" / "results", ROOT / "README.md"


def main(
    csv: Annotated[list[Path] | None, typer.Argument(help="Other results.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
) -> None:
    if csv:
        print(*bench.draw_results(csv[0].parent, [row for path in csv for row in read_csv(path)]))
        return
    rows = bench.read_results(RESULTS)
    text = README.read_text(encoding="utf-8")
    wanted = summary.replace_block(text, summary.readme_block(rows, "bench/results"))
    if not check:
        print(*bench.draw_results(RESULTS, rows))
        write_atomically(README, wanted.encode())
    elif text != wanted:
        print("README.md is not what bench/results give: python bench/plot.py", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
