"""Pictures of results, and the units of their numbers."""

import itertools

import numpy as np
import pytest
from benches import make_rows, timed

from originet import bench
from originet.bench import summary
from originet.bench.figures import _spread, bandwidth, duration, kernel_speedup, times
from originet.system import timings
from originet.system.errors import InputError


@pytest.mark.slow
def test_bandwidth_has_a_panel_for_each_dtype_and_mode_and_marks_the_caches():
    rows = [
        row
        for dtype in ("float32", "bfloat16")
        for mode in ("forward", "backward")
        for size in (1 << 20, 1 << 10)
        for row in make_rows(dtype=dtype, mode=mode, shape=str(size), bytes=8 * size)
    ]
    figure = bandwidth(rows, "a machine")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        *("float32 forward", "float32 backward", "bfloat16 forward", "bfloat16 backward")
    ]
    for axes in figure.axes:
        curves = axes.lines[:4]
        assert all(list(line.get_xdata()) == [8 << 10, 8 << 20] for line in curves)
        assert {line.get_xdata()[0] for line in axes.lines[4:]} == {1 << 20}, "L3 is far off"
        words = [text.get_text().strip() for text in axes.texts]
        assert sorted(words) == sorted(["fused", "eager", "silu", "clone", "L2"])
        left, right = axes.get_xlim()
        assert all(left <= tick <= right for tick in axes.get_xticks())


@pytest.mark.parametrize("draw", [bandwidth, lambda rows, title: times({}, title, "")])
def test_pictures_need_something_to_draw(draw):
    with pytest.raises(InputError, match="nothing to draw"):
        draw([], "")


def test_labels_that_would_lie_on_each_other_are_spread():
    spread = _spread([0.5, 0.5, 0.51, 0.1], 0.1)
    assert np.diff(sorted(spread)).min() > 0.099
    assert spread[3] == 0.1 and np.mean(spread[:3]) == pytest.approx(np.mean([0.5, 0.5, 0.51]))


@pytest.mark.slow
@pytest.mark.usefixtures("small_caches")
def test_pictures_of_active_images_have_a_panel_for_each_method_and_mode(tmp_path):
    rows = timed(
        *(
            bench.active_image_case((n, 8, 8), method=method, mode=mode)
            for n, method, mode in itertools.product(
                (64, 128), ("authors", "rank"), ("forward", "cold")
            )
        ),
        bench.active_image_case((8, 8, 8), method="telescoped"),
    )
    drawn = summary.drawn(rows)
    assert {row.variant for row in drawn} == {"authors", "rank"}
    figure = bandwidth(drawn, "a machine", down="variant")
    assert [axes.get_title() for axes in figure.axes] == [
        *("authors forward", "authors cold", "rank forward", "rank cold")
    ]
    (path,) = bench.draw_results(tmp_path, rows)
    assert path.name.startswith("active_image_") and path.stat().st_size > 10_000


def row(provider, median_us, mode="forward", benchmark="rrelu"):
    facts = {f: "" for f in timings.Row.__dataclass_fields__}
    facts |= {"benchmark": benchmark, "provider": provider, "mode": mode, "median_us": median_us}
    return timings.Row(**facts | {"shape": "1024", "dtype": "float32"})


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_kernel_speedup_draws_eager_over_fused_and_skips_what_has_no_pair():
    rows = [row("fused", 10.0), row("eager", 25.0), row("fused", 30.0, "full")]
    rows += [row("eager", 15.0, "full"), row("silu", 5.0), row("fused", 1.0, "backward")]
    (axes,) = kernel_speedup(rows).axes
    assert [bar.get_width() for bar in axes.patches] == [2.5, 0.5]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["rrelu forward\n1024 float32", "rrelu full\n1024 float32"]
    assert "2.5x" in texts(axes)[0] and "25 µs to 10 µs" in texts(axes)[0]


def test_kernel_speedup_needs_a_pair():
    with pytest.raises(InputError, match="eager"):
        kernel_speedup([row("fused", 1.0), row("silu", 1.0)])


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0.5, "0.5 µs"), (12.345, "12.3 µs"), (999.9, "1e+03 µs"), (1500, "1.5 ms"), (2e6, "2 s")],
)
def test_duration_picks_the_unit(microseconds, text):
    assert duration(microseconds) == text
