"""Comparing results with those that are committed."""

import dataclasses

import pytest
from benches import make_rows, timed

from originet import bench
from originet.system.errors import InputError


def test_compare_reports_what_got_worse_by_more_than_ten_per_cent():
    committed = make_rows() + make_rows(mode="full")
    outcome = bench.compare(make_rows(fused=2.6) + make_rows(2.15, mode="full"), committed)
    assert (outcome.cases, outcome.ratios) == (2, 6)
    assert [(change.row.mode, change.rival) for change in outcome.worse] == [
        ("forward", rival) for rival in ("clone", "eager", "silu")
    ]
    assert outcome.worse[0].committed == 2.0 and outcome.worse[0].measured == 2.6
    assert outcome.devices == [("a processor", "a processor")]


def test_compare_passes_what_is_equal_better_or_slower_as_a_whole():
    committed = make_rows()
    slower = [
        dataclasses.replace(
            row, median_us=3 * row.median_us, q20_us=3 * row.q20_us, q80_us=3 * row.q80_us
        )
        for row in committed
    ]
    for rows in (committed, make_rows(fused=1.0), slower):
        assert bench.compare(rows, committed).worse == []


def test_compare_does_not_report_what_the_spread_explains():
    assert bench.compare(make_rows(fused=2.6), make_rows()).worse
    assert bench.compare(make_rows(fused=2.6, noise=1.3), make_rows(noise=1.3)).worse == []


def test_compare_reports_the_worst_first():
    measured = make_rows(fused=3.0) + make_rows(fused=9.0, mode="full")
    outcome = bench.compare(measured, make_rows() + make_rows(mode="full"))
    assert [change.row.mode for change in outcome.worse] == ["full"] * 3 + ["forward"] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "full"},
        {"dtype": "float64"},
        {"shape": "2048"},
        {"layout": "channels_last"},
        {"threads": 1},
        {"device": "cuda"},
        {"benchmark": "model"},
    ],
)
def test_compare_needs_cases_in_common(changes):
    with pytest.raises(InputError, match="have no case in common"):
        bench.compare(make_rows(**changes), make_rows())


def test_compare_needs_a_rival_in_common():
    fused, eager, silu, _ = make_rows()
    with pytest.raises(InputError, match="have no case in common"):
        bench.compare([fused, eager], [fused, silu])
    with pytest.raises(InputError, match="have no case in common"):
        bench.compare(make_rows(), [eager, silu])


def test_compare_prefers_the_same_device_and_takes_no_sides_between_others():
    other = make_rows(fused=4.0, device_name="another")
    assert bench.compare(make_rows(fused=4.0), make_rows() + other).worse
    outcome = bench.compare(make_rows(fused=4.0), other)
    assert outcome.worse == [] and outcome.devices == [("a processor", "another")]
    third = make_rows(device_name="a third")
    with pytest.raises(InputError, match="for another, a third, not for a processor"):
        bench.compare(make_rows(), other + third)


@pytest.mark.slow
@pytest.mark.usefixtures("small_caches")
def test_compare_knows_the_new_cases():
    rows = timed(
        bench.active_image_case((64, 8, 8), mode="cold"),
        bench.ragged_case(2, size=4),
        bench.windows_case(20, 5, size=4),
        bench.stream_case((4, 8, 8)),
    )
    outcome = bench.compare(rows, rows)
    assert (outcome.cases, outcome.worse) == (4, [])
    assert outcome.ratios == 10, "of clone 4, eager 3, opencv 2, equal 1"
