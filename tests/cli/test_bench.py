"""`originet bench`: what it measures, writes, prints and compares."""

import functools

import cv2
import pytest
from benches import disturbed, make_rows

from originet import bench
from originet.system import clock, timings


@pytest.fixture
def run(run):
    """Runs `originet bench ...`; returns (exit code, stdout, stderr)."""
    return functools.partial(run, "bench")


@pytest.fixture
def short(monkeypatch):
    """Times every case in one round, however busy the machine."""
    time_case = clock.time_case
    monkeypatch.setattr(clock, "time_case", lambda case, budget: time_case(case, budget=0))
    monkeypatch.setattr(clock, "_MIN_ROUNDS", 1)
    monkeypatch.setattr(clock, "_ATTEMPTS", 1)


@pytest.mark.slow
def test_bench_measures_writes_and_prints(run, short, tmp_path):
    folder = tmp_path / "out"
    options = ("--quick", "--threads", 1, "--device", "cpu", "--commit", "abc", "--out", folder)
    code, out, err = run(*options)
    assert code == 0, err
    for title in ("Psi on", "Active image on", "OrigiNet on"):
        assert title in out
    rows = bench.read_results(folder)
    subjects = {"rrelu", "join", "active_image", "ragged", "windows", "stream", "model", "prepare"}
    subjects.add("loso")
    assert {row.subject for row in rows} == subjects
    assert {row.threads for row in rows} == {1} and all(row.commit for row in rows)
    names = {path.name for path in folder.iterdir()}
    assert names > {f"{subject}.csv" for subject in subjects}
    pictures = sorted(folder.glob("*.png"))
    assert [path.name.rpartition("_")[0] for path in pictures] == [
        *("active_image", "rrelu", "windows")
    ]
    assert all(cv2.imread(str(path)) is not None for path in pictures)
    code, out, _ = run("--results", folder, "--compare", "--baseline", folder)
    assert code == 0 and "cases 24, ratios 57; worse by more than 10%: 0" in out


def test_bench_prints_what_is_unreliable_with_its_mark(run, tmp_path):
    fused, *others = make_rows(fused=1000.0)
    bench.write_results(tmp_path, [fused, *others])
    code, out, _ = run("--results", tmp_path)
    assert code == 0 and "unreliable" not in out and "0.00x ?" not in out
    bench.write_results(tmp_path, [disturbed(fused), *others])
    code, out, _ = run("--results", tmp_path)
    words = " ".join(out.split())
    assert code == 0 and timings.MARK_NOTE in words and " 0.00x ?" in words


@pytest.mark.slow
def test_bench_takes_one_subject_and_the_dtypes_asked_for(run, short, tmp_path):
    options = ("--quick", "--threads", 1, "--subject", "rrelu", "--dtype", "float64")
    code, _, err = run(*options, "--device", "cpu", "--out", tmp_path)
    assert code == 0, err
    assert {(row.subject, row.dtype) for row in bench.read_results(tmp_path)} == {
        ("rrelu", "float64")
    }


def test_bench_compare_ends_with_an_error_code_if_a_ratio_got_worse(run, tmp_path):
    bench.write_results(tmp_path / "then", make_rows())
    bench.write_results(tmp_path / "now", make_rows(fused=3.0))
    options = ("--results", tmp_path / "now", "--compare", "--baseline", tmp_path / "then")
    code, out, _ = run(*options)
    assert code == 1
    assert "cases 1, ratios 3; worse by more than 10%: 3" in out
    assert "2.00" in out and "3.00" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--compare"], "bench/results: no benchmark results"),
        (["--compare", "--baseline", "none"], "none: no benchmark results"),
        (["--results", "none"], "none: no benchmark results"),
        (["--subject", "psi"], "subject must be one of rrelu"),
        (["--dtype", "int8"], "dtype must be one of float32"),
        (["--threads", "0"], "threads must be at least 1"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
    ],
)
def test_bench_refuses_bad_options(run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)  # outside of a checkout
    code, _, err = run(*options)
    assert code == 2 and err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []
