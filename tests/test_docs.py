"""What docs/ shows is what the commands print and write."""

import re
from pathlib import Path

from trees_casme2 import Coded, numbered_rows, write_casme2, write_objective_classes

from originet.datasets import survey
from originet.datasets.check import to_text, validate

PAGE = Path(__file__).parents[1] / "docs" / "data.md"


def test_the_page_shows_the_report_of_a_tree_of_the_tests(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path("data/casme2")
    rows = [row for row in numbered_rows(64) if row.subject in (1, 2, 7, 9, 17)]
    rows.append(Coded(2, "EP11_01", 7, 9, "12?", 4, "others", range(7, 13)))
    write_casme2(root, rows=rows, without={(7, "EP32_03")})
    write_objective_classes(root)
    (root / "Cropped/Cropped/sub01/EP02_01f/reg_img50.jpg").unlink()
    (root / "Cropped/Cropped/sub02/EP08_1/reg_img9.jpg").write_bytes(b"")
    report = to_text(validate(survey("casme2", root)))
    # A workbook holds the time at which it was written.
    report = re.sub(r"(?<=SHA-256 )[0-9a-f]{64}(?=\))", "...", report)
    shown = PAGE.read_text().split("<!-- check:begin -->")[1].split("<!-- check:end -->")[0]
    assert shown == f"\n\n```text\n{report}\n```\n\n", f"docs/data.md should show:\n{report}"
