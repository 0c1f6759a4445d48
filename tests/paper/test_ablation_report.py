"""The report of the ablations, of results that are made up."""

import dataclasses

import pytest
from loso_results import make_result
from pages import Parsed

from originet.paper import ablation
from originet.paper.ablation import Ablation, rows_named
from originet.paper.ablation_report import notes, write_ablation_report
from originet.training.config import Config


def made(*names, config=None, failed=None, dataset="semi-synthetic"):
    result = make_result(dataset)
    result = result if config is None else dataclasses.replace(result, config=config)
    results = {name: result for name in names if name not in (failed or {})}
    return Ablation(rows_named(names), result.config, results, failed or {})


def written(tmp_path, study):
    path = tmp_path / "report.html"
    write_ablation_report(path, study, {"command": "originet ablation <store>"})
    return Parsed(path.read_text())


@pytest.mark.slow
def test_each_row_has_its_scores_and_sizes_beside_the_papers(tmp_path):
    page = written(tmp_path, made("LFC", "OrigiNet", failed={"LFC": "out of <memory>"}))
    failed, whole, small, large = (
        row for row in page.rows if row and row[0] in ("LFC", "OrigiNet")
    )
    assert failed == ["LFC", "one FC layer", "failed", "-", "-", "-", "-", "52.92 %"]
    assert whole[:4] == ["OrigiNet", "nothing", "75.0 ± 2.0 %", "61.2 to 80.0 %"]
    assert whole[-1] == "62.09 %"
    sizes = {row.name: row.complexity(Config(), classes=2) for row in ablation.ROWS}
    assert small[:2] == ["LFC", f"{sizes['LFC'].parameters:,}"] and small[2].startswith("≠ ")
    assert large == [
        *("OrigiNet", f"{sizes['OrigiNet'].parameters:,}", "1.8M"),
        *(f"{sizes['OrigiNet'].memory_mib:.1f}", "14.3"),
    ]
    assert "LFC could not be evaluated: out of <memory>" in page.text
    assert ["command", "originet ablation <store>"] in page.rows
    assert "Ablations of Table VI on semi-synthetic clips" in page.text


def test_what_departs_from_the_paper_is_noted():
    told = " ".join(notes(made("OrigiNet")))
    assert (
        "Not as the paper's figures (CASME II, four classes, 128 pixels, protocol paper): " in told
    )
    assert "the clips are semi-synthetic, the protocol is strict." in told
    assert "LFC has" not in told


@pytest.mark.slow
def test_both_forms_of_lfc_are_noted():
    study = made("LFC")
    both, small = (study.lfc_forms()[variant].parameters for variant in ("paper", "authors"))
    (line,) = (line for line in notes(study) if line.startswith("LFC has "))
    assert line.startswith(f"LFC has {both:,} parameters") and f"{small:,} (" in line


@pytest.mark.parametrize(("protocol", "leaky"), [("paper", True), ("strict", False)])
def test_a_leak_is_noted(protocol, leaky):
    config = Config(seeds=(0, 1), epochs=7, protocol=protocol)
    told = notes(made("OrigiNet", config=config))
    assert any(line.startswith("Leaky: ") for line in told) == leaky
