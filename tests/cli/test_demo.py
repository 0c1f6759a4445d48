"""`originet demo`: what it prints of the demonstration."""

from types import SimpleNamespace

from loso_results import make_result

from originet.cli import demonstration


def test_every_method_has_a_line_and_the_baseline_the_last(run, tmp_path, monkeypatch):
    told = []
    result = make_result(dataset="semi-synthetic")
    methods = {"cumulative": result, "telescoped": result}
    report = tmp_path / "out" / "report.html"

    def run_demo(out, *, device, progress):
        progress(demonstration.STAGES[0], 1, 2)
        told.append((out, device))
        spotted = report.parent / "spotted" / "report.html"
        return SimpleNamespace(loso=result, methods=methods, report=report, spotted=spotted)

    monkeypatch.setattr(demonstration, "run_demo", run_demo)
    code, out, err = run("demo", "-o", tmp_path / "out", "--device", "cpu")
    assert code == 0 and told == [(tmp_path / "out", "cpu")], err
    table = out.partition("Every active-image method on the same 6 clips")[2]
    rows = [line.strip(" │").split() for line in table.splitlines()]
    assert ["cumulative", "0.750", "0.612", "to", "0.800", "0.520"] in [
        [word for word in row if word != "│"] for row in rows
    ]
    assert table.index("cumulative") < table.index("telescoped") < table.index("majority baseline")
    assert out.splitlines()[-1].startswith(f"Report: {report} (")
