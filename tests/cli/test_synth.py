"""`originet synth`: the residual that it is told, and folders in use."""

import json

import pytest


def test_synth_into_a_folder_in_use(refuse, tmp_path):
    (tmp_path / "mine").touch()
    refuse("is not an empty folder", "synth", tmp_path)


@pytest.mark.slow
def test_synth_leaves_the_residual_it_is_told(run, refuse, tmp_path):
    few = ("--subjects", 1, "--clips-per-class", 1)
    for name, options, want in (
        ("default", (), [0, 0.1]),
        ("cut", ("--residual", 0.4, 0.85), [0.4, 0.85]),
    ):
        code, _, err = run("synth", tmp_path / name, *few, *options)
        assert code == 0, err
        assert json.loads((tmp_path / name / "dataset.json").read_text())["residual"] == want
    for low, high in ((0.5, 0.2), (-0.1, 0.2), (0, 1.5), (0, "nan")):
        told = f"residual must be two numbers with 0 <= low <= high <= 1, got {low:.1f}, {high}"
        refuse(told, "synth", tmp_path / "bad", *few, "--residual", low, high)
    assert not (tmp_path / "bad").exists()
