"""Leave-one-subject-out: splits, honesty, resuming, output, refusals."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folds import CLASSES, QUICK, SIZE, run, small_set, tiny, without_time
from torch import nn

from originet.evaluation import metrics
from originet.evaluation.loso import run_loso
from originet.evaluation.result import read_results
from originet.evaluation.run_files import claim
from originet.evaluation.splits import subject_splits
from originet.system.device import set_seed
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.predict import predict
from originet.training.train import fit

pytestmark = pytest.mark.usefixtures("one_thread")


def test_splits_are_in_sorted_order_and_leave_whole_subjects_out() -> None:
    subjects = ["b", "a", "c", "a", "b", "a"]
    splits = list(subject_splits(subjects))
    assert [test.tolist() for _, test in splits] == [[1, 3, 5], [0, 4], [2]]
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(6))


@pytest.mark.parametrize(("subjects", "count"), [([], 0), (["a"], 1), (["a", "a"], 1)])
def test_splits_refuse_fewer_than_two_subjects(subjects: list[str], count: int) -> None:
    with pytest.raises(InputError, match=f"at least 2 subjects, got {count}"):
        subject_splits(subjects)


def test_result_learns_what_can_be_learned() -> None:
    table, images = small_set()
    calls: list[tuple[int, int]] = []
    result = run(table, images, progress=lambda *call: calls.append(call))
    assert calls == [(done, 20) for done in range(1, 21)]  # 4 folds of 5 epochs
    assert result.classes == CLASSES
    assert result.clips == list(zip(table["subject"], table["clip"], strict=True))
    np.testing.assert_array_equal(result.y_true, np.arange(24) % 2)
    assert result.metrics["pooled_accuracy"] > 0.9 > result.majority_accuracy == 0.5
    assert result.metrics["pooled_accuracy"] == np.mean(result.y_pred == result.y_true)
    assert result.metrics["pooled_accuracy_std"] == 0
    assert result.confusion.sum() == 24
    assert not result.semi_synthetic
    fold = result.folds[1]
    assert (fold["subject"], fold["clips"]) == ("s01", [f"c{i}" for i in range(6)])
    assert sum(fold["training_counts"].values()) == 14
    assert fold["validation_counts"] == {"left": 2, "right": 2}


def test_a_fold_is_training_and_prediction_and_nothing_else() -> None:
    table, images = small_set()
    result = run(table, images)
    for fold in result.folds:
        test = (table["subject"] == fold["subject"]).to_numpy()
        digest = hashlib.sha256(f"0/{fold['subject']}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        set_seed(seed)
        network = tiny(2)
        train = images[~test], result.y_true[~test]
        history = fit(network, *train, QUICK, seed=seed, device="cpu")
        assert fold["history"] == history.epochs
        assert fold["probabilities"] == predict(network, images[test], device="cpu").tolist()


def test_shuffled_rows_give_the_same_prediction_for_every_clip() -> None:
    table, images = small_set()
    images = np.random.default_rng(1).integers(0, 256, images.shape).astype(np.uint8)  # no ties
    order = np.random.default_rng(2).permutation(len(table))
    plain = run(table, images)
    shuffled = run(table.iloc[order].reset_index(drop=True), images[order])
    np.testing.assert_array_equal(shuffled.y_true, plain.y_true[order])
    np.testing.assert_array_equal(shuffled.y_pred, plain.y_pred[:, order])
    assert shuffled.folds[0]["history"] == plain.folds[0]["history"]
    assert shuffled.metrics == plain.metrics
    assert shuffled.intervals == plain.intervals
    assert shuffled.clip_list_sha256 == plain.clip_list_sha256
    assert shuffled.images_sha256 == plain.images_sha256


def test_a_leak_would_show_where_only_the_subject_tells_the_label() -> None:
    # Images show the subject alone, and every subject has one label, so a network which saw the
    # test subject would score 1; an honest one can only guess from other people.
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (8, SIZE, SIZE))
    table = pd.DataFrame(
        {"dataset": "folder", "subject": f"s{s}", "clip": f"c{c}", "label": CLASSES[s % 2]}
        for s in range(8)
        for c in range(6)
    )
    noise = rng.integers(-5, 6, (48, SIZE, SIZE))
    images = np.clip(np.repeat(faces, 6, axis=0) + noise, 0, 255).astype(np.uint8)
    result = run(table, images)
    assert result.folds[0]["history"][-1]["accuracy"] == 1  # it does learn the subjects
    assert result.metrics["pooled_accuracy"] < 0.8


@pytest.mark.slow
def test_shuffled_labels_fall_to_chance() -> None:
    table, images = small_set(subjects=6, clips=8)
    config = Config.from_dict(QUICK.to_dict() | {"seeds": [0, 1, 2]})
    honest = run(table, images, config=config).metrics["pooled_accuracy"]
    table["label"] = np.random.default_rng(0).permutation(table["label"])
    chance = run(table, images, config=config).metrics["pooled_accuracy"]
    assert honest > 0.9
    assert 0.25 < chance < 0.7


def test_seeds_differ_and_are_averaged() -> None:
    table, _ = small_set()
    images = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE)).astype(np.uint8)
    both = run(table, images, config=Config.from_dict(QUICK.to_dict() | {"seeds": [3, 4]}))
    alone = run(table, images, config=Config.from_dict(QUICK.to_dict() | {"seeds": [4]}))
    assert both.seeds == (3, 4)
    np.testing.assert_array_equal(both.y_pred[1], alone.y_pred[0])
    assert not np.array_equal(both.y_pred[0], both.y_pred[1])
    scores = [np.mean(predicted == both.y_true) for predicted in both.y_pred]
    assert both.metrics["pooled_accuracy"] == pytest.approx(np.mean(scores))
    assert both.metrics["pooled_accuracy_std"] == pytest.approx(np.std(scores))
    assert both.confusion.sum() == 48
    assert both.per_class["left"]["support"] == 24
    subjects = table["subject"].to_numpy()
    pooled = metrics.bootstrap_intervals(both.y_true, both.y_pred, subjects)
    assert both.intervals == pooled and pooled["uf1"][0] < both.metrics["uf1"] < pooled["uf1"][1]


def test_interrupted_run_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    table, images = small_set()
    undisturbed = run(table, images, out=tmp_path / "whole")

    def interrupt(done: int, total: int) -> None:
        if done == 12:  # in the third fold
            raise KeyboardInterrupt

    out = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        run(table, images, out=out, progress=interrupt)
    finished = sorted((out / "folds").glob("*.json"))
    assert [path.name for path in finished] == ["seed0_000_s00.json", "seed0_001_s01.json"]
    assert not (out / "results.json").exists()
    content = [path.read_bytes() for path in finished]

    calls: list[tuple[int, int]] = []
    resumed = run(table, images, out=out, progress=lambda *call: calls.append(call))
    assert calls[:3] == [(5, 20), (10, 20), (11, 20)]  # finished folds count at once
    assert [path.read_bytes() for path in finished] == content
    assert without_time(resumed) == without_time(undisturbed)
    again = run(table, images, out=out)
    assert again.to_json() == json.loads((out / "results.json").read_text())
    assert not list(out.rglob("*.tmp"))


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


def test_results_hold_every_score(tmp_path: Path) -> None:
    table, _ = small_set()
    images = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE)).astype(np.uint8)
    table["subject"] = table["subject"].replace({"s03": "s00"})
    table["clip"] = [f"c{i}" for i in range(24)]
    result = run(table, images, out=tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    true, predicted = stored["y_true"], stored["y_pred"][0]
    subjects = [subject for subject, _ in stored["clips"]]
    for name, score in metrics.four_scores(true, predicted, subjects).items():
        assert stored["metrics"][name] == pytest.approx(score)
        low, high = stored["intervals"][name]
        assert 0 <= low <= score <= high <= 1
        assert result.intervals[name] == (low, high)
    told = {name: stored["intervals"][name] for name in ("resampled", "resamples", "level")}
    assert told == {"resampled": "subjects", "resamples": 10_000, "level": 0.95}
    assert stored["majority_baseline"] == metrics.majority_baseline(true, subjects)
    assert stored["majority_accuracy"] == result.majority_accuracy == 0.5
    matrix = metrics.confusion_matrix(true, predicted, 2)
    assert stored["per_class"] == metrics.per_class(matrix, CLASSES)


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


def test_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    table, images = small_set()
    run(table, images, out=tmp_path)
    longer = Config.from_dict(QUICK.to_dict() | {"epochs": 6})
    with pytest.raises(InputError, match=r"another run: config\.epochs is 5 there, 6 here"):
        run(table, images, out=tmp_path, config=longer)
    with pytest.raises(InputError, match=r"another run: images_sha256 is"):
        run(table, 255 - images, out=tmp_path)
    with pytest.raises(InputError, match=r"clip_list_sha256 is"):
        run(table.assign(clip="x" + table["clip"]), images, out=tmp_path)
    wider = nn.Sequential
    with pytest.raises(InputError, match=r"model\.architecture_sha256 is"):
        run(table, images, out=tmp_path, model=lambda n: wider(tiny(n), nn.Identity()))


def test_a_run_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    table, images = small_set()
    config = Config.from_dict(QUICK.to_dict() | {"method": "telescoped"})
    first = run(table, images, config=config, out=tmp_path)
    path, last = tmp_path / "config.json", max((tmp_path / "folds").glob("*.json"))
    path.write_text(path.read_text().replace("telescoped", "paper"))
    last.unlink()
    calls: list[tuple[int, int]] = []
    progress = lambda *call: calls.append(call)  # noqa: E731
    again = run(table, images, config=config, out=tmp_path, progress=progress)
    assert calls[:3] == [(5, 20), (10, 20), (15, 20)] and last.exists()
    assert without_time(again) == without_time(first)
    with pytest.raises(InputError, match=r"method is 'telescoped' there, 'cumulative' here$"):
        run(table, images, out=tmp_path)


def test_a_directory_of_an_earlier_version_tells_hashes_by_the_methods_names_of_today(
    tmp_path: Path,
) -> None:
    old = {"config": {"method": "rank"}, "images_sha256": {"paper": "ab", "rank": "cd"}}
    (tmp_path / "config.json").write_text(json.dumps(old))
    hashes = {"rank": "cd", "telescoped": "ab"}
    claim(tmp_path, {"config": {"method": "rank"}, "images_sha256": hashes})
    with pytest.raises(InputError, match=r"images_sha256\.telescoped is 'ab' there, 'ef' here$"):
        claim(tmp_path, old | {"images_sha256": hashes | {"telescoped": "ef"}})


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


def test_tables_that_do_not_allow_loso_are_refused() -> None:
    table, images = small_set()
    with pytest.raises(InputError, match="at least 2 subjects, got 1"):
        run(table.assign(subject="s00", clip=table["subject"] + table["clip"]), images)
    with pytest.raises(InputError, match=r"evaluation needs at least 2 classes, got 1 \('left'\)"):
        run(table.assign(label="left"), images)
    alone = table.copy()
    alone.loc[alone["subject"] == "s03", "label"] = "surprise"
    with pytest.raises(InputError, match=r"only subject 's03' shows class 'surprise'"):
        run(alone, images)
    with pytest.raises(InputError, match="table has no column label"):
        run(table.drop(columns="label"), images)
    with pytest.raises(InputError, match="has clip folder/s00/c0 twice"):
        run(table.replace({"clip": {"c2": "c0"}}), images)
    for column in ("dataset", "subject", "clip", "label"):
        nameless = table.copy()
        nameless.loc[7, column] = None
        with pytest.raises(
            InputError, match=rf"table has no {column} in row 7 \(counting from 0\)"
        ):
            run(nameless, images)


def test_names_may_be_numbers(tmp_path: Path) -> None:
    table, images = small_set(subjects=2)
    names = {
        "subject": table["subject"].str[1:].astype(int),
        "clip": table["clip"].str[1:].astype(int),
        "label": (table["label"] == "right").astype(int),
    }
    result = run(table.assign(**names), images, out=tmp_path, keep_weights=False)
    in_text = {name: column.astype(str) for name, column in names.items()}
    assert without_time(result) == without_time(run(table.assign(**in_text), images))
    assert read_results(tmp_path).to_json() == result.to_json()


def test_long_names_of_subjects_fit_into_names_of_files(tmp_path: Path) -> None:
    table, images = small_set(subjects=2)
    table["subject"] = table["subject"] + "\U00020000" * 100  # letters of four bytes each
    run(table, images, out=tmp_path)
    names = sorted(path.name for path in (tmp_path / "folds").iterdir())
    stems = [f"seed0_{index:03d}_s0{index}" + "\U00020000" * 29 for index in range(2)]
    assert names == [stem + end for stem in stems for end in (".json", ".safetensors")]


def test_images_and_model_must_fit() -> None:
    table, images = small_set()
    with pytest.raises(
        InputError, match=r"images must be \[24, 16, 16\] uint8, got \[23, 16, 16\]"
    ):
        run(table, images[1:])
    with pytest.raises(InputError, match=r"images must be .* float64"):
        run(table, images / 255)
    model = tiny(2)
    with pytest.raises(InputError, match="model must return a new network at every call"):
        run(table, images, model=lambda _: model)
    with pytest.raises(InputError, match=r"model must make networks, .* got one network"):
        run(table, images, model=model)
    with pytest.raises(InputError, match=r"model must return a torch\.nn\.Module, got NoneType"):
        run(table, images, model=lambda _: None)
    with pytest.raises(InputError, match=r"model must know the sizes .* got one with lazy modules"):
        run(table, images, model=lambda n: nn.Sequential(nn.Flatten(), nn.LazyLinear(n)))


def test_subjects_of_two_data_sets_are_different_people() -> None:
    table, images = small_set(subjects=2)
    other = table.assign(dataset="semi-synthetic")
    both = pd.concat([table, other], ignore_index=True)
    result = run(both, np.concatenate([images, images]))
    assert [fold["subject"] for fold in result.folds] == [
        "folder/s00",
        "folder/s01",
        "semi-synthetic/s00",
        "semi-synthetic/s01",
    ]
    assert result.dataset == "folder+semi-synthetic"
    assert result.semi_synthetic


def test_originet_is_the_default_network() -> None:
    table, images = small_set(subjects=2, clips=4)
    config = Config.from_dict(QUICK.to_dict() | {"epochs": 1, "variant": "authors"})
    result = run_loso(table, config=config, images=images, device="cpu")
    assert result.model["class"] == "OrigiNet"
    assert result.y_pred.shape == (1, 8)
