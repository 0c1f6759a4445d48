"""`originet export`."""

import json

import pytest

from originet.deploy import export


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "coreml"], "--to must be one of onnx, openvino, aoti, got 'coreml'"),
        (["--to", "aoti", "--int8"], "--int8 is for onnx and openvino"),
        (["--to", "onnx"], "is not a model: it has no model.json"),
    ],
)
def test_wrong_options_end_in_one_line(arguments, told, tmp_path, refuse):
    (tmp_path / "model").mkdir()
    refuse(told, "export", tmp_path / "model", "-o", tmp_path / "out", *arguments)


@pytest.mark.slow
def test_a_model_is_exported_and_compared(model, store, run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_BUDGET", 0.01)
    out = tmp_path / "out"
    wanted = ("export", model, "--to", "openvino", "--int8", "-o", out)
    code, _, err = run(*wanted)
    assert code == 2 and "--int8 needs --store" in err
    code, printed, err = run(*wanted, "--store", store)
    assert code == 0, err
    for words in ("openvino float32", "openvino int8", "UAR", "Compared on 8 clips"):
        assert words in printed
    assert "folder: unknown: ask who recorded the clips" in printed
    assert json.loads((out / "preprocessing.json").read_text())["runtime"] == "openvino"
    code, _, err = run(*wanted, "--store", store)
    assert code == 2 and "exists and is not an empty folder" in err
