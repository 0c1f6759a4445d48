"""Logs for TensorBoard, read back by its own reader."""

import struct
import sys

import pytest
from loso_results import EPOCHS, make_result
from stores import contents

from originet.evaluation import tensorboard
from originet.system.errors import InputError

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(folder):
    """The scalars of a run by tag: (step, value, time)."""
    reader = accumulators.EventAccumulator(str(folder))
    reader.Reload()
    return {
        tag: [(each.step, each.value, each.wall_time) for each in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def single(value):
    """A number as the logs hold it, in float32."""
    return struct.unpack("f", struct.pack("f", value))[0]


def test_each_fold_is_a_run_with_its_history(tmp_path):
    result = make_result()
    assert tensorboard.write_logs(result, tmp_path / "logs") == 6
    folders = sorted((tmp_path / "logs").iterdir())
    assert [folder.name for folder in folders] == [
        f"seed{seed}_{index:03d}_{name}"
        for seed in (0, 1)
        for index, name in enumerate(("s1", "s2", "s_b_3"))
    ]
    for folder, fold in zip(folders, result.folds, strict=True):
        told = scalars(folder)
        assert len(told) == 5
        for tag, name in (
            ("loss/training", "loss"),
            ("accuracy/training", "accuracy"),
            ("loss/validation", "validation_loss"),
            ("accuracy/validation", "validation_accuracy"),
        ):
            # 7 epochs in 7 seconds
            assert told[tag] == [(r["epoch"], single(r[name]), r["epoch"]) for r in fold["history"]]
        kept = fold["selected_epoch"]
        assert told["accuracy/test"] == [(kept, single(fold["accuracy"]), kept)]


def test_folds_without_validation_have_no_such_curves(tmp_path):
    result = make_result(seeds=(0,))
    for record in result.folds[0]["history"]:
        record |= {"validation_loss": None, "validation_accuracy": None}
    tensorboard.write_logs(result, tmp_path)
    told = scalars(tmp_path / "seed0_000_s1")
    assert told.keys() == {"loss/training", "accuracy/training", "accuracy/test"}


def test_logs_written_again_do_not_pile_up(tmp_path):
    for _ in range(2):
        tensorboard.write_logs(make_result(), tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 6
    assert len(scalars(tmp_path / "seed0_000_s1")["loss/training"]) == EPOCHS


@pytest.mark.parametrize("there", [False, True])
def test_where_the_disk_is_full_nothing_is_left_and_the_folder_is_named(
    tmp_path, file_limit, capfd, there
):
    logs = tmp_path / "made" / "logs"
    result = make_result()
    if there:
        tensorboard.write_logs(result, logs)
    before = contents(tmp_path)
    result.folds[4]["history"] *= 50  # whose file alone is too large
    with file_limit(5000), pytest.raises(InputError) as told:
        tensorboard.write_logs(result, logs)
    assert str(told.value) == f"cannot write logs to {logs}: File too large"
    assert contents(tmp_path) == before and capfd.readouterr().err == ""
    assert there or list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("subject", ["../../x", "/etc", "..", "", "a/b", "a\0b", "." * 300])
def test_names_of_folders_stay_in_the_folder(tmp_path, subject):
    result = make_result(seeds=(0,))
    result.folds[1]["subject"] = subject
    tensorboard.write_logs(result, tmp_path / "logs")
    assert len(list((tmp_path / "logs").glob(f"seed0_001_*/{tensorboard.EVENTS}"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_a_missing_package_is_told(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match="need the package tensorboard: pip install"):
        tensorboard.write_logs(make_result(), tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
