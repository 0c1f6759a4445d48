"""Which clips can be evaluated, how they are split, and in which order they are taken."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from folds import QUICK, composite_set, run, small_set, sorted_clips

from originet.datasets.prepare import Settings
from originet.evaluation.splits import dataset_splits, sort_clips, subject_splits
from originet.system.errors import InputError

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


def test_a_data_set_is_left_out_whole() -> None:
    datasets = ["samm", "casme2", "smic", "casme2", "samm", "casme2"]
    splits = list(dataset_splits(datasets))
    assert [test.tolist() for _, test in splits] == [[1, 3, 5], [0, 4], [2]]
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(6))


def test_tables_that_do_not_allow_leaving_a_data_set_out_are_refused() -> None:
    table, images = small_set()
    with pytest.raises(InputError, match=r"at least 2 of them, got 1 \(folder\)"):
        run(table, images, leave_out="dataset")
    with pytest.raises(InputError, match=r"at least 2 of them, got 1 \(samm\)"):
        dataset_splits(["samm", "samm"])
    table, images = composite_set(4)
    table.loc[(table["dataset"] == "samm") & (table["clip"] == "c3"), "label"] = "surprise"
    with pytest.raises(InputError, match="only data set 'samm' shows class 'surprise'"):
        run(table, images, leave_out="dataset")
    run(table, images, config=dataclasses.replace(QUICK, epochs=1))
    with pytest.raises(InputError, match="leave_out must be one of subject, dataset, got 'clip'"):
        run(table, images, leave_out="clip")


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


@pytest.mark.parametrize("column", ["subject", "clip", "label"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "n" * 10**6,
            r"^{column} 'nnnnnnnnnnnnnnnnnnnn'\.\.\. has 1,000,000 characters; at most 1,000",
        ),
        ("caf\udce9", r"^{column} 'caf\\udce9' is not UTF-8"),
    ],
)
def test_names_that_could_not_be_read_again_are_refused_at_once(tmp_path, column, name, message):
    table, images = small_set(2)
    table.loc[table["clip"] == "c1", column] = name
    with pytest.raises(InputError, match=message.format(column=column)):
        run(table, images, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_clips_are_taken_by_subject_and_name_with_all_that_is_theirs():
    table, images = small_set(3, clips=2)
    order = np.array([4, 1, 5, 0, 3, 2])
    cuts = [Settings(margin=0.1 * row) for row in range(6)]
    plain = sorted_clips(table, {"cumulative": images, "rank": 255 - images}, cuts=cuts)
    shuffled = sorted_clips(
        table.iloc[order].reset_index(drop=True),
        {"cumulative": images[order], "rank": 255 - images[order]},
        cuts=[cuts[row] for row in order],
    )
    assert order[shuffled.order].tolist() == plain.order.tolist() == list(range(6))
    assert shuffled.cuts == plain.cuts == cuts
    pd.testing.assert_frame_equal(shuffled.rows, table)
    for name in ("subjects", "names", "datasets", "labels"):
        assert (getattr(shuffled, name) == getattr(plain, name)).all()
    assert (shuffled.images["rank"] == 255 - images).all()
    assert shuffled.images_sha256 == plain.images_sha256
    assert len(set(plain.images_sha256.values())) == 2
    assert shuffled.clip_list_sha256 == plain.clip_list_sha256


def test_images_must_be_as_the_table_and_the_settings_say():
    table, images = small_set(2)
    for given, message in (
        (images[1:], r"images must be \[12, 16, 16\] uint8, got \[11, 16, 16\] uint8"),
        (images / 255, r"images must be \[12, 16, 16\] uint8, got .* float64"),
    ):
        with pytest.raises(InputError, match=message):
            sort_clips(table, {"rank": images, "cumulative": given}, 16)
    clips = sorted_clips(table, images)
    clips.check_images(QUICK)
    for change, message in (
        ({"method": "rank"}, "images by 'rank' are needed, got cumulative"),
        ({"image_size": 48}, "images of 48 pixels a side are needed, got 16"),
    ):
        with pytest.raises(InputError, match=message):
            clips.check_images(dataclasses.replace(QUICK, **change))


def test_channels_must_be_as_their_method_says():
    table, images = small_set(2)
    two = np.stack([images, images], axis=-1)
    flow = np.zeros((*images.shape, 3), np.float32)
    clips = sort_clips(table, {"rank,onset": two, "dis": flow, "own:a,b": two}, 16)
    assert clips.images["dis"].shape == (12, 16, 16, 3)
    bad = flow.copy()
    bad[3, 1, 1, 0] = np.inf
    for method, given, message in (
        ("rank,onset", two[..., :1], "must have the 2 channels rank, onset, got 1"),
        ("rank,onset", images, r"must be \[12, 16, 16, 2\] uint8 or float32, got \[12, 16, 16\]"),
        ("cumulative", two, "must have the 1 channels cumulative, got 2: method names them"),
        ("own:a,b,c", two, "must have the 3 channels a, b, c, got 2"),
        ("dis", flow.astype(np.float64), "uint8 or float32, got .* float64"),
        ("dis", flow.astype(np.uint8), "a vector, u and v, must be float32"),
        ("dis", bad, "must be finite"),
    ):
        with pytest.raises(InputError, match=message):
            sort_clips(table, {method: given}, 16)


def test_frames_are_cut_as_the_settings_say_unless_the_clips_do():
    table, images = small_set(2, clips=2)
    config = dataclasses.replace(QUICK, crop_face=True)
    usual = Settings(image_size=16, crop_face=True)
    assert sorted_clips(table, images).cuts_as(config) == [usual] * 4
    own = [Settings(image_size=20 + row) for row in range(4)]
    assert sorted_clips(table, images, cuts=own).cuts_as(config) == own
