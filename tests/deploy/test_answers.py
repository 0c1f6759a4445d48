"""originet.deploy.answers: tables of answers."""

import csv
import io
import json

import pytest
from clips import random_frames, write_folder

from originet import load_model
from originet.deploy import answers
from originet.deploy.answers import Answer, answer_all
from originet.deploy.model import Prediction
from originet.system.errors import InputError


@pytest.fixture
def three(tmp_path):
    for number in range(2):
        write_folder(tmp_path / f"clip{number}", random_frames(5, (16, 16), seed=number))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    return [tmp_path / "clip0", tmp_path / "broken.mp4", tmp_path / "clip1"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_answers_come_in_the_order_of_the_clips_and_failures_stop_nothing(model, three, jobs):
    seen = []
    found = answer_all(model, three, jobs=jobs, progress=lambda *done: seen.append(done))
    assert [answer.clip for answer in found] == list(map(str, three))
    assert found[0].prediction == model.predict(three[0])
    assert found[2].prediction == model.predict(three[2])
    assert found[1].prediction is None and "broken.mp4" in found[1].failed
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_table_has_a_column_a_class(model, three):
    found = [*answer_all(model, three), Answer("dark.mp4", note="no face found")]
    rows = list(csv.DictReader(io.StringIO(answers.text(".csv", model, found))))
    assert [row["clip"] for row in rows] == [str(three[0]), str(three[2]), "dark.mp4"]
    assert float(rows[0]["left"]) + float(rows[0]["right"]) == pytest.approx(1, abs=1e-3)
    assert rows[2]["label"] == "" and rows[2]["note"] == "no face found"
    listed = json.loads(answers.text(".json", model, found))
    assert [each["failed"] is None for each in listed] == [True, False, True, True]
    assert listed[3]["probabilities"] is None and listed[3]["note"] == "no face found"


def test_cells_that_a_spreadsheet_would_compute_are_guarded(model):
    found = Answer("=cmd()", Prediction("left", 1.0, {"left": 1.0, "right": 0.0}))
    assert "\n'=cmd()," in answers.text(".csv", model, [found])


def test_no_jobs_are_refused(model):
    with pytest.raises(InputError, match="--jobs must be at least 1, got 0"):
        answer_all(model, [], jobs=0)


def test_threads_share_a_model_that_was_just_read(folder, three):
    """A network that is moved while another thread computes with it gives other answers."""
    one = load_model(folder)
    expected = one.predict(three[0])
    for _ in range(5):
        found = answer_all(load_model(folder), [three[0]] * 8, jobs=8)
        assert {answer.prediction.confidence for answer in found} == {expected.confidence}
