"""Results of somebody else, with anything in them: they are read and reported, or refused."""

import functools
import shutil

import pytest
from folds import SHORT, composite_set, run
from saved import outcomes

from originet.evaluation import by_dataset, metrics, report
from originet.evaluation.executors import Serial
from originet.evaluation.result import read_results

pytestmark = pytest.mark.usefixtures("one_thread")

ONE = Serial(threads=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run(*composite_set(), config=SHORT, out=out, keep_weights=False, executor=ONE)
    return out


@pytest.mark.slow
def test_mutated_results_are_reported_or_refused(finished, tmp_path, monkeypatch):
    out = shutil.copytree(finished, tmp_path / "out")

    def read_and_render():
        result = read_results(out)
        report.write_loso_report(tmp_path / "report.html", result, {})
        by_dataset.records({"": result}, result.majority_accuracy)
        assert result.to_json()["per_class"].keys() == set(result.classes)

    read, refused = outcomes(out / "results.json", monkeypatch, read_and_render, 300)
    assert read > 20 and refused > 150


@pytest.mark.slow
def test_names_that_a_terminal_or_a_font_obeys_are_reported(tmp_path):
    table, images = composite_set()
    hostile = "\x00\x1b[31m\n\u202e$\\frac{"
    table = table.assign(
        **{name: table[name].astype(str) + hostile for name in ("subject", "clip", "label")}
    )
    result = run(table, images, config=SHORT, out=tmp_path, keep_weights=False)
    again = read_results(tmp_path)
    assert again.to_json() == result.to_json()
    report.write_loso_report(tmp_path / "report.html", again, {})
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_mutated_folds_are_gone_on_with_or_refused(finished, tmp_path, monkeypatch):
    out = shutil.copytree(finished, tmp_path / "out")
    (path, *_) = sorted((out / "folds").iterdir())

    def resume():
        run(*composite_set(), config=SHORT, out=out, keep_weights=False, executor=ONE)
        read_results(out)

    few = functools.partial(metrics.bootstrap_intervals, resamples=9)
    monkeypatch.setattr(metrics, "bootstrap_intervals", few)
    read, refused = outcomes(path, monkeypatch, resume, 120)
    assert read > 5 and refused > 60
