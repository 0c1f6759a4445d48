"""The directory of a run: what is in it, and what is refused."""

import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from folds import CLASSES, QUICK, run, small_set

from originet.evaluation.run_files import claim
from originet.system import renamed
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")


def test_output_files_hold_the_result(tmp_path: Path) -> None:
    table, images = small_set()
    table["subject"] = table["subject"].replace({"s00": "a/b c", "s01": "a_b c"})
    result = run(table, images, out=tmp_path / "new" / "out")
    config = json.loads((tmp_path / "new/out/config.json").read_text())
    assert Config.from_dict(config["config"]) == QUICK
    assert config["clip_list_sha256"] == result.clip_list_sha256
    stored = hashlib.sha256(images.tobytes()).hexdigest()  # this table is in order already
    assert config["images_sha256"] == stored
    names = sorted(path.name for path in (tmp_path / "new/out/folds").glob("*.json"))
    assert names[:2] == ["seed0_000_a_b_c.json", "seed0_001_a_b_c.json"]
    with (tmp_path / "new/out/predictions.csv").open(newline="") as file:
        rows = {(row["subject"], row["clip"]): row for row in csv.DictReader(file)}
    assert len(rows) == 24
    for key, true, predicted in zip(result.clips, result.y_true, result.y_pred[0], strict=True):
        assert rows[key]["label"] == CLASSES[true]
        assert rows[key]["predicted"] == CLASSES[predicted]
        assert float(rows[key][CLASSES[predicted]]) >= 0.5


def test_every_output_names_the_protocol_and_whether_it_leaks(tmp_path: Path) -> None:
    table, images = small_set()
    paper = {"protocol": "paper", "equalize": True, "class_weights": "balanced"}
    for config, label in (
        (QUICK, "strict"),
        (Config.from_dict(QUICK.to_dict() | paper), "paper (leaky)"),
    ):
        out, leaky = tmp_path / config.protocol, label != "strict"
        run(table, images, config=config, out=out)
        results = json.loads((out / "results.json").read_text())
        assert (results["protocol"], results["leaky"]) == (config.protocol, leaky)
        assert results["config"]["class_weights"] == config.class_weights
        settings = json.loads((out / "config.json").read_text())
        assert (settings["config"]["protocol"], settings["leaky"]) == (config.protocol, leaky)
        for path in (out / "folds").glob("*.json"):
            fold = json.loads(path.read_text())
            assert (fold["protocol"], fold["leaky"]) == (config.protocol, leaky)
            assert (fold["shared_clips"] > 0) == leaky
        with (out / "predictions.csv").open(newline="") as file:
            assert {row["protocol"] for row in csv.DictReader(file)} == {label}
    with pytest.raises(InputError, match=r"config\.protocol is 'strict' there, 'paper' here"):
        run(table, images, config=config, out=tmp_path / "strict")


def test_a_directory_of_an_earlier_version_tells_hashes_by_the_methods_names_of_today(
    tmp_path: Path,
) -> None:
    old = {"config": {"method": "rank"}, "images_sha256": {"paper": "ab", "rank": "cd"}}
    (tmp_path / "config.json").write_text(json.dumps(old))
    hashes = {"rank": "cd", "telescoped": "ab"}
    config = {"method": "rank", "face_by": "viola-jones"} | renamed.ONLY_WAY
    claim(tmp_path, {"config": config, "images_sha256": hashes})
    with pytest.raises(InputError, match=r"images_sha256\.telescoped is 'ab' there, 'ef' here$"):
        claim(tmp_path, {"config": config, "images_sha256": hashes | {"telescoped": "ef"}})


def test_a_run_of_an_earlier_version_that_lacks_settings_of_today_is_gone_on_with(
    tmp_path: Path,
) -> None:
    table, images = small_set(2, 2)
    config = dataclasses.replace(QUICK, epochs=1)
    whole = run(table, images, out=tmp_path, config=config)
    path = tmp_path / "config.json"
    identity = json.loads(path.read_text())
    for name, value in renamed.ONLY_WAY.items():
        assert identity["config"].pop(name) == value
    path.write_text(json.dumps(identity))
    assert run(table, images, out=tmp_path, config=config).to_json() == whole.to_json()
    with pytest.raises(InputError, match=r"config\.mixup_alpha is 0 there, 0\.2 here$"):
        changed = dataclasses.replace(config, mixup_alpha=0.2)
        run(table, images, out=tmp_path, config=changed)


def test_damaged_or_exchanged_files_are_refused(tmp_path: Path) -> None:
    table, images = small_set()
    run(table, images, out=tmp_path)
    first, second = sorted((tmp_path / "folds").glob("*.json"))[:2]
    content = first.read_text()
    first.write_text(second.read_text())
    with pytest.raises(InputError, match=r"seed0_000_s00\.json is another fold's: .*subject"):
        run(table, images, out=tmp_path)
    first.write_text(content[:100])
    with pytest.raises(InputError, match=r"seed0_000_s00\.json is not valid JSON"):
        run(table, images, out=tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds folds but no config\.json"):
        run(table, images, out=tmp_path)


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out: cannot write to .*file/out: Not a directory"):
        run(*small_set(), out=tmp_path / "file" / "out")
    with pytest.raises(InputError, match=r"out: cannot write to .*xxx: File name too long"):
        run(*small_set(), out=tmp_path / ("x" * 300))


def test_long_names_of_subjects_fit_into_names_of_files(tmp_path: Path) -> None:
    table, images = small_set(subjects=2)
    table["subject"] = table["subject"] + "\U00020000" * 100  # letters of four bytes each
    run(table, images, out=tmp_path)
    names = sorted(path.name for path in (tmp_path / "folds").iterdir())
    stems = [f"seed0_{index:03d}_s0{index}" + "\U00020000" * 29 for index in range(2)]
    assert names == [stem + end for stem in stems for end in (".json", ".safetensors")]
