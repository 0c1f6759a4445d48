"""The timings in a report."""

import pytest
from benches import disturbed, make_rows

from originet.bench.figures import kernel_speedup
from originet.bench.section import bench_section
from originet.drawing.page import Page
from originet.system import timings


def test_the_report_and_its_picture_mark_what_is_unreliable(tmp_path):
    rows = make_rows(fused=0.2)
    quiet, busy = Page("quiet"), Page("busy")
    bench_section(quiet, rows)
    bench_section(busy, [*rows[:3], disturbed(rows[3])])
    pages = []
    for report in (quiet, busy):
        report.write(tmp_path / "page.html")
        pages.append((tmp_path / "page.html").read_text())
    assert timings.MARK_NOTE not in pages[0] and "5.00 ?" not in pages[0]
    assert timings.MARK_NOTE in pages[1] and "5.00 ?" in pages[1]

    def words(rows, unreliable=()):
        return [text.get_text() for text in kernel_speedup(rows, unreliable).axes[0].texts]

    assert words(rows) == [" 40.0x  (8 µs to 0.2 µs)"]
    assert words(rows, {rows[0].case}) == [" 40.0x ?  (8 µs to 0.2 µs)"]


@pytest.mark.parametrize(
    ("provider", "marked"), [("fused", True), ("eager", True), ("silu", False)]
)
def test_the_reports_picture_marks_what_it_draws_alone(monkeypatch, provider, marked):
    rows = [disturbed(row) if row.provider == provider else row for row in make_rows()]
    given = []
    monkeypatch.setattr(
        "originet.bench.section.kernel_speedup", lambda *arguments: given.append(arguments)
    )
    monkeypatch.setattr(Page, "figure", lambda *arguments: None)
    bench_section(Page("page"), rows)
    ((drawn, unreliable),) = given
    assert {row.provider for row in drawn} == {"fused", "eager"}
    assert unreliable == ({rows[0].case} if marked else set())
