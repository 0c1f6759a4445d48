"""What results.json must be like: types, ranges, and parts that fit each other."""

import json

import pytest
from folds import SHORT, composite_set, run

from originet.evaluation.executors import Serial
from originet.evaluation.result import read_results
from originet.system.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run(*composite_set(), config=SHORT, out=out, keep_weights=False, executor=Serial(threads=1))
    return out


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -0.1, 1.0000001, "0.5", None])
@pytest.mark.parametrize(
    "way",
    [
        ("metrics", "uf1"),
        ("metrics", "uar_std"),
        ("majority_baseline", "fold_accuracy"),
        ("intervals", "uf1", 1),
        ("by_dataset", "samm", "metrics", "pooled_accuracy"),
        ("folds", 0, "probabilities", 0, 0),
        ("folds", 1, "accuracy"),
        ("folds", 2, "history", 1, "accuracy"),
    ],
)
def test_what_is_no_share_is_refused(finished, tmp_path, way, value):
    values = json.loads((finished / "results.json").read_text())
    parent = values
    for key in way[:-1]:
        parent = parent[key]
    parent[way[-1]] = value
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"^{tmp_path}/results\.json "):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["classes"].__setitem__(0, "l" * 10**6), r"length <= 1000 - at `\$.classes"),
        (lambda v: v["classes"].__setitem__(0, "right"), "classes with different names"),
        (lambda v: v["config"].update(epochs=10**12), "epochs must be at most 1,000,000, got"),
        (
            lambda v: v["intervals"].update(uf1=[0.6, 0.5]),
            "interval of uf1 has its ends in the wrong order",
        ),
        (lambda v: v["folds"].pop(), "its folds must cover at least 2 subjects"),
        (lambda v: v["folds"].reverse(), "its folds must cover at least 2 subjects"),
        (lambda v: v["folds"][1].update(subject="casme2/s02"), "fold 5 has another subject or"),
        (lambda v: v["folds"][1]["clips"].append("c9"), "fold 1: its clips, true, .* same length"),
        (lambda v: v["folds"][1].update(selected_epoch=3), r"selected_epoch must be in 1\.\.2"),
        (lambda v: v["folds"][1]["history"].pop(), "fold 1: its history must have the 2 epochs"),
        (lambda v: v["folds"][1].update(accuracy=0.123), "fold 1: its accuracy is not that of"),
        (lambda v: v["y_true"].__setitem__(0, 2), "must be class indices below 2"),
        (lambda v: v["clips"].__setitem__(0, ["s00", "c9"]), "the folds' clips are not those of"),
        (lambda v: v.update(seconds=-1), r"Expected `float` >= 0.0 - at `\$.seconds`"),
        (lambda v: v.update(dataset="\udc80"), "str` matching regex"),
    ],
)
def test_parts_that_do_not_fit_are_refused(finished, tmp_path, change, message):
    values = json.loads((finished / "results.json").read_text())
    change(values)
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"^{tmp_path}/results\.json .*{message}"):
        read_results(tmp_path)


def without(key):
    return lambda values: values.pop(key)


def wrong_confusion(values):
    values["confusion"][0][0] += 1


def wrong_fold(values):
    fold = values["folds"][0]
    fold["predicted"][0] = 1 - fold["predicted"][0]
    right = [t == p for t, p in zip(fold["true"], fold["predicted"], strict=True)]
    fold["accuracy"] = sum(right) / len(right)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("folds"), "does not hold what it should: .* missing required field `folds`"),
        (without("intervals"), "missing required field `intervals`"),
        (lambda values: values["folds"][3].pop("history"), "missing required field `history`"),
        (lambda values: values.update(config={"epoch": 3}), "unknown settings: epoch"),
        (lambda values: values.update(intervals=[]), r"got `array` - at `\$.intervals`"),
        (lambda values: values.update(clips=[["a"]]), r"got 1 - at `\$.clips\[0\]`"),
        (lambda values: values.update(y_pred="x"), r"got `str` - at `\$.y_pred`"),
        (lambda values: values["y_true"].pop(), r"y_true and y_pred must be \[8\] and \[2, 8\]"),
        (wrong_confusion, "damaged: the confusion matrix is not that of the predictions"),
        (wrong_fold, "damaged: the folds' predictions are not the pooled ones"),
    ],
)
def test_damaged_results_are_refused_in_one_line(finished, tmp_path, spoil, message):
    values = json.loads((finished / "results.json").read_text())
    spoil(values)
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=message) as error:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in str(error.value)
    assert "\n" not in str(error.value)
