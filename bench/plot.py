"""Draw the results and write the parts of README.md and docs/benchmarks.md about them.

python bench/plot.py              # bench/results: the pictures there, and both texts
python bench/plot.py --check      # exit code 1 if a text is not what bench/results give
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
RESULTS = ROOT / "bench" / "results"
README, DOCS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"


def main(
    csv: Annotated[list[Path] | None, typer.Argument(help="Other results.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
) -> None:
    if csv:
        print(*bench.draw_results(csv[0].parent, [row for path in csv for row in read_csv(path)]))
        return
    rows = bench.read_results(RESULTS)
    blocks = {
        README: summary.readme_block(rows, "bench/results"),
        DOCS: summary.docs_block(rows, "../bench/results"),
    }
    if not check:
        print(*bench.draw_results(RESULTS, rows))
    for path, block in blocks.items():
        text = path.read_text(encoding="utf-8")
        wanted = summary.replace_block(text, block)
        if not check:
            write_atomically(path, wanted.encode())
        elif text != wanted:
            told = f"{path.name} is not what bench/results give: python bench/plot.py"
            print(told, file=sys.stderr)
            raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
