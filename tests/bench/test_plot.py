"""bench/plot.py: the results that are committed, and what it makes of results."""

import importlib.util
from pathlib import Path

import cv2
import pytest
import typer
from benches import make_rows

from originet import bench
from originet.bench import summary
from originet.system import timings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plot():
    """The program bench/plot.py, loaded as a module."""
    spec = importlib.util.spec_from_file_location("plot", ROOT / "bench" / "plot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_readme_and_docs_are_what_the_committed_results_give(plot):
    rows = bench.read_results(ROOT / "bench" / "results")
    text = (ROOT / "README.md").read_text()
    assert summary.replace_block(text, summary.readme_block(rows, "bench/results")) == text
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert summary.replace_block(text, summary.docs_block(rows, "../bench/results")) == text
    plot.main(check=True)


def test_every_committed_row_says_where_it_was_measured():
    for row in bench.read_results(ROOT / "bench" / "results"):
        assert row.device_name and row.torch and row.commit and row.date
        known = {*bench.PROVIDERS, *bench.ACTIVE_IMAGE_PROVIDERS, "clone"}
        known |= {"list", "equal", "padded", "each", "batch", "serial", "alone", "bfloat16"}
        known |= {"formula", "reference", "unfused"}
        assert row.provider in known


def test_plot_writes_what_it_checks(plot, tmp_path, monkeypatch):
    timings.write_csv(tmp_path / "rrelu.csv", make_rows() + make_rows(shape="65536"))
    readme, docs = tmp_path / "README.md", tmp_path / "benchmarks.md"
    for path in (readme, docs):
        path.write_text("<!-- bench:begin -->\n<!-- bench:end -->\n")
    monkeypatch.setattr(plot, "RESULTS", tmp_path)
    monkeypatch.setattr(plot, "README", readme)
    monkeypatch.setattr(plot, "DOCS", docs)
    with pytest.raises(typer.Exit):
        plot.main(check=True)
    assert "processor" not in docs.read_text() and not list(tmp_path.glob("*.png"))
    plot.main()
    assert "| forward | float32 | 256 KiB |" in docs.read_text()
    assert "processor" not in readme.read_text()  # which shows cases of other sizes alone
    assert len(list(tmp_path.glob("*.png"))) == 1
    plot.main(check=True)


def test_plot_draws_beside_the_given_results(plot, tmp_path):
    timings.write_csv(tmp_path / "mine.csv", make_rows() + make_rows(shape="65536", bytes=524288))
    plot.main([tmp_path / "mine.csv"])
    picture = cv2.imread(str(tmp_path / "rrelu_a-processor-2-threads.png"))
    assert picture is not None and picture.std() > 0
