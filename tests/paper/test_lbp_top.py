"""LBP-TOP against a slow loop, frames as they are read, and an SVM that must learn nothing else."""

import json
import math

import cv2
import numpy as np
import pandas as pd
import pytest
from clips import random_frames, write_folder, write_video
from folds import sorted_clips
from sklearn.svm import LinearSVC
from stores import write_tree

from originet.datasets import load_dataset
from originet.datasets.prepare import Settings
from originet.paper import lbp_top as module
from originet.paper.lbp_top import features_of, lbp_top, predict_loso, run_lbp_top
from originet.system.errors import InputError
from originet.training.config import Config

CONFIG = Config()


def code(signs):
    """The number of a pattern of 8 neighbours, in scikit-image's order, by its definition."""
    changes = sum(signs[k] != signs[k - 1] for k in range(8))
    ones = sum(signs)
    if changes > 2:
        return 58
    if ones in (0, 8):
        return 57 if ones else 0
    start = next(k for k in range(8) if signs[k] and not signs[k - 1])  # where the ones begin
    return 1 + (ones - 1) * 8 + (-start) % 8


def slow_lbp_top(clip):
    """The histograms, pixel by pixel: a neighbour off the grid is interpolated from four pixels."""
    length, height, width = clip.shape
    counts = np.zeros((3, 25, 59))
    # The axes that a plane's rows and columns run along.
    for plane, (down, right) in enumerate([(1, 2), (0, 2), (0, 1)]):
        for t in range(1, length - 1):
            for y in range(1, height - 1):
                for x in range(1, width - 1):
                    signs = []
                    for k in range(8):
                        angle = 2 * math.pi * k / 8
                        at = [t, y, x]
                        at[down] += round(-math.sin(angle), 5)
                        at[right] += round(math.cos(angle), 5)
                        value = 0.0
                        for corner in np.ndindex(2, 2, 2):
                            whole = [math.floor(a) + c for a, c in zip(at, corner, strict=True)]
                            weights = [1 - abs(a - w) for a, w in zip(at, whole, strict=True)]
                            if min(weights) > 0:
                                value += math.prod(weights) * clip[tuple(whole)]
                        signs.append(value - clip[t, y, x] >= -1e-9)
                    block = (y - 1) * 5 // (height - 2) * 5 + (x - 1) * 5 // (width - 2)
                    counts[plane, block, code(signs)] += 1
    return counts / counts.sum(axis=2, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 7, 7), (5, 13, 10)])
def test_histograms_are_those_of_a_slow_loop(shape):
    clip = random_frames(shape[0], shape[1:])
    still = clip.copy()
    still[1:] = clip[1]  # neighbours in time that are just as bright
    for volume in (clip, still):
        got = lbp_top(volume)
        assert got.shape == (3, 25, 59) and got.dtype == np.float64
        np.testing.assert_allclose(got, slow_lbp_top(volume), rtol=0, atol=1e-12)


def test_a_clip_that_brightens_evenly():
    ramp = np.arange(0, 60, 10, np.uint8)
    clip = np.broadcast_to(ramp[:, None, None], (6, 9, 8))
    xy, xt, yt = lbp_top(clip)
    # Flat in space: all neighbours are as bright. In time: those of this frame and the next are,
    # which lie at the angles 0, 180, 225, 270 and 315 degrees below the later rows.
    want = code([True, False, False, False, True, True, True, True])
    assert (xy[:, 57] == 1).all() and (xt[:, want] == 1).all() and (yt[:, want] == 1).all()
    # The other way round, the frame before is brighter.
    darker = code([True, True, True, True, True, False, False, False])
    assert (lbp_top(clip[::-1])[1:, :, darker] == 1).all()


def test_motion_shows_where_it_is():
    still = np.broadcast_to(random_frames(1, (27, 27), seed=3), (8, 27, 27))
    moving = still.copy()
    moving[4:, 12:15, 12:15] = random_frames(4, (3, 3), seed=4)  # in the middle of the 13th block
    changed = (lbp_top(still) != lbp_top(moving)).any(axis=2)
    assert (changed == (np.arange(25) == 12)).all()
    # A clip's length alone changes nothing in its planes of space.
    np.testing.assert_allclose(lbp_top(still[:3])[0], lbp_top(still)[0], atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 20, 20), (5, 6, 20), (5, 20, 6), (20, 20)])
def test_clips_that_are_too_small_are_refused(shape):
    with pytest.raises(InputError, match=r"at least 3 frames of 7 x 7 pixels, got \d+ x \d+"):
        lbp_top(np.zeros(shape, np.uint8))


def rows(*clips):
    names = ["frames", "onset", "offset"]
    table = pd.DataFrame([dict(zip(names, clip, strict=True)) for clip in clips])
    return table.astype({"onset": "Int64", "offset": "Int64"})


def test_frames_are_those_of_the_clip_resized(tmp_path):
    frames = random_frames(9, (40, 40))
    folder = write_folder(tmp_path / "clip", frames, first=11)
    paths = tuple(str(folder / f"img{number}.png") for number in range(11, 20))
    film = str(write_video(tmp_path / "film.avi", frames))
    table = rows((paths, None, None), (paths, 13, 17), ((film,), 3, 7))
    seen = []
    progress = lambda done, total: seen.append((done, total))  # noqa: E731
    got = features_of(table, [Settings(image_size=20)] * 3, jobs=2, progress=progress)
    assert got.shape == (3, 3 * 25 * 59) and seen == [(1, 3), (2, 3), (3, 3)]
    small = np.stack(
        [cv2.resize(frame, (20, 20), interpolation=cv2.INTER_AREA) for frame in frames]
    )
    np.testing.assert_array_equal(got[0], lbp_top(small).ravel())
    np.testing.assert_array_equal(got[1], lbp_top(small[2:7]).ravel())
    capture = cv2.VideoCapture(film)
    decoded = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY) for _ in frames][2:7]
    decoded = [cv2.resize(frame, (20, 20), interpolation=cv2.INTER_AREA) for frame in decoded]
    # Another way of OpenCV's from colour to grey may round another way.
    assert np.abs(got[2] - lbp_top(np.stack(decoded)).ravel()).sum() < 0.1 * got[2].sum()


def test_clips_that_cannot_be_used_are_named(tmp_path):
    folder = write_folder(tmp_path / "short", random_frames(2))
    paths = tuple(str(path) for path in sorted(folder.iterdir()))
    with pytest.raises(InputError, match=rf"{folder}: LBP-TOP needs at least 3 frames .* 2 x 16"):
        features_of(rows((paths, None, None)), [Settings(image_size=16)])
    gone = (str(tmp_path / "gone.png"),)
    with pytest.raises(InputError, match=r"frames are needed, but .*gone\.png does not exist"):
        features_of(rows((paths, None, None), (gone, None, None)), [Settings()] * 2)
    # A face is looked for where the settings say so, and noise has none.
    folder = write_folder(tmp_path / "noise", random_frames(5))
    noise = tuple(str(folder / f"img{number}.png") for number in range(1, 6))
    with pytest.raises(InputError, match="no face"):
        features_of(rows((noise, None, None)), [Settings(image_size=16, crop_face=True)])


@pytest.fixture
def drawn():
    """Features of 6 subjects with 8 clips each in 2 classes, which the first feature tells."""
    rng = np.random.default_rng(0)
    subjects = np.repeat([f"s{n}" for n in range(6)], 8)
    labels = np.tile([0, 1], 24)
    features = rng.normal(size=(48, 4))
    features[:, 0] += 20 * labels
    return features, labels, subjects


def test_what_can_be_learned_is_learned(drawn):
    features, labels, subjects = drawn
    predicted = predict_loso(features, labels, subjects, Config(seeds=(0, 5)))
    assert predicted.shape == (2, 48) and (predicted == labels).all()
    # Nothing is left of it with the labels drawn by lot.
    shuffled = np.random.default_rng(1).permutation(labels)
    assert 0.25 < (predict_loso(features, shuffled, subjects, CONFIG) == shuffled).mean() < 0.75


def test_labels_that_are_the_subjects_are_never_right(drawn):
    _, _, subjects = drawn
    names, labels = np.unique(subjects, return_inverse=True)
    features = np.eye(len(names))[labels]  # everything is told to who looks at the test subject
    predicted = predict_loso(features, labels, subjects, CONFIG)
    assert not (predicted == labels).any()


class Spy(LinearSVC):
    """Notes the weights that were learned, fold by fold."""

    learned: list

    def fit(self, X, y):
        super().fit(X, y)
        self.learned.append((X.mean(axis=0), X.std(axis=0), self.coef_.tobytes()))
        return self


def test_a_poisoned_test_subject_changes_nothing_in_its_fold(drawn, monkeypatch):
    features, labels, subjects = drawn
    poisoned, wrong = features.copy(), labels.copy()
    poisoned[subjects == "s2"] *= 1e6
    wrong[subjects == "s2"] = 1
    monkeypatch.setattr("sklearn.svm.LinearSVC", Spy)
    folds = []
    for data in ((features, labels), (poisoned, wrong)):
        Spy.learned = []
        predict_loso(*data, subjects, CONFIG)
        folds.append(Spy.learned)
    same = [one[2] == other[2] for one, other in zip(*folds, strict=True)]
    assert same == [subject == "s2" for subject in np.unique(subjects)]
    # The scale is the training clips' own: they have mean 0 and deviation 1 in every fold.
    for mean, deviation, _ in folds[0]:
        np.testing.assert_allclose(mean, 0, atol=1e-9)
        np.testing.assert_allclose(deviation, 1)


def test_balance_helps_the_rare_class(drawn):
    rng = np.random.default_rng(2)
    subjects = np.repeat([f"s{n}" for n in range(10)], 20)
    labels = (np.arange(200) % 10 == 0).astype(np.int64)
    features = rng.normal(size=(200, 2)) + labels[:, None]
    found = {}
    for name, config in (
        ("none", CONFIG),
        ("weights", Config(class_weights="balanced")),
        ("sampling", Config(sampling="balanced")),
    ):
        found[name] = predict_loso(features, labels, subjects, config)
    assert found["none"].sum() < 10 < found["weights"].sum()
    assert (found["weights"] == found["sampling"]).all()


def test_an_svm_that_does_not_converge_is_no_result(drawn, monkeypatch):
    features, _, subjects = drawn
    labels = np.random.default_rng(0).integers(0, 2, 48)
    monkeypatch.setattr("sklearn.svm.LinearSVC", lambda **k: LinearSVC(**(k | {"max_iter": 1})))
    with pytest.raises(InputError, match="SVM without subject s0: Liblinear failed to converge"):
        predict_loso(features, labels, subjects, CONFIG)


@pytest.fixture
def tree(tmp_path):
    table = load_dataset("folder", write_tree(tmp_path / "tree", subjects=3))
    images = np.random.default_rng(0).integers(0, 256, (len(table), 16, 16), np.uint8)
    return table, images, [Settings(image_size=16 + row) for row in range(len(table))]


def run(table, images, cuts, config, **options):
    return run_lbp_top(sorted_clips(table, images, cuts=cuts), config, **options)


def test_a_run_is_written_whole_and_read_when_it_is_there(tree, tmp_path, monkeypatch):
    table, images, cuts = tree
    config, out = Config(seeds=(0, 1), image_size=16), tmp_path / "out"
    result = run(table, images, cuts, config, out=out)
    told = json.loads((out / "results.json").read_text())
    assert told["method"]["features"] == "LBP-TOP" and told["metrics"] == result.metrics
    assert told["config"] == config.to_dict() and told["classes"] == ["happiness", "sadness"]
    lines = pd.read_csv(out / "predictions.csv")
    assert len(lines) == 2 * len(table) and result.confusion.sum() == 2 * len(table)
    for seed, predicted in zip(config.seeds, result.y_pred, strict=True):
        by_clip = lines[lines.seed == seed].set_index("clip")
        assert [told["classes"][c] for c in predicted] == by_clip.predicted[table["clip"]].tolist()
        assert by_clip.label[table["clip"]].tolist() == table.label.tolist()

    # Rows in another order, and nothing is computed again.
    monkeypatch.setattr(module, "features_of", lambda *_, **__: pytest.fail("computed again"))
    order = np.random.default_rng(0).permutation(len(table))
    before, seen = (out / "results.json").read_bytes(), []
    shuffled = table.iloc[order], images[order], [cuts[row] for row in order]
    again = run(*shuffled, config, out=out, progress=lambda *done: seen.append(done))
    assert (again.y_pred == result.y_pred[:, order]).all() and again.metrics == result.metrics
    assert (out / "results.json").read_bytes() == before and seen == [(6, 6)]

    # Others' results are refused.
    for what, arguments in (
        ("config.seeds", (table, images, cuts, Config(image_size=16))),
        ("cuts", (table, images, [Settings(image_size=40)] * len(table), config)),
        ("images_sha256", (table, 255 - images, cuts, config)),
    ):
        with pytest.raises(InputError, match=f"results of another run: {what}"):
            run(*arguments, out=out)
    (out / "results.json").write_text("{}")
    with pytest.raises(InputError, match=r"results\.json does not hold .* field `dataset`"):
        run(table, images, cuts, config, out=out)


def test_the_order_of_the_rows_does_not_matter(tree):
    table, images, cuts = tree
    config = Config(image_size=16)
    result = run(table, images, cuts, config)
    order = np.random.default_rng(1).permutation(len(table))
    other = run(table.iloc[order], images[order], [cuts[row] for row in order], config)
    assert (other.y_pred == result.y_pred[:, order]).all() and other.metrics == result.metrics


def test_scikit_image_is_asked_for(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage.feature", None)
    with pytest.raises(InputError, match=r"needs scikit-image \(pip install 'originet\[baselines"):
        lbp_top(np.zeros((3, 9, 9), np.uint8))
