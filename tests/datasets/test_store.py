"""Stores: what they hold, what a second run takes over, and what is refused."""

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from clips import random_frames, write_folder
from stores import SIZE, contents, count_clips, frame_of, make, write_tree

from originet import datasets
from originet.clips.frames import resize
from originet.datasets import Correction, Gap, Omission, clip_list_hash, store
from originet.datasets.prepare import Settings, prepare_clips
from originet.system.errors import InputError

SETTINGS = Settings(image_size=SIZE)


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_store_holds_images_table_sheets_and_manifest(tree, out):
    found = datasets.survey("folder", tree)
    made = make(tree, out, "rank", "cumulative", jobs=2)
    assert sorted(contents(out)) == [
        "clips.csv",
        "happiness-cumulative.png",
        "happiness-rank.png",
        "images.safetensors",
        "manifest.json",
        "sadness-cumulative.png",
        "sadness-rank.png",
    ]
    want = prepare_clips(found.table, Settings(("cumulative", "rank"), SIZE)).images
    tensors = safetensors.numpy.load_file(out / "images.safetensors")
    for method in ("cumulative", "rank"):
        np.testing.assert_array_equal(made.images[method], want[method])
        np.testing.assert_array_equal(tensors[method], want[method])
        digest = hashlib.sha256(want[method].tobytes()).hexdigest()
        assert made.manifest["images_sha256"][method] == digest
        assert not made.images[method].flags.writeable
    pd.testing.assert_frame_equal(made.table, found.table)
    assert made.image_size == SIZE and not made.crop_face
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest == made.manifest
    assert manifest["methods"] == ["cumulative", "rank"]
    assert manifest["classes"] == {"happiness": 2, "sadness": 2}
    assert manifest["clip_list_sha256"] == clip_list_hash(found.table)
    assert len(set(manifest["fingerprints"])) == 4
    assert manifest["versions"]["opencv"] == cv2.__version__
    assert manifest["settings"]["image_size"] == SIZE and manifest["failed"] == []
    sheet = cv2.imread(str(out / "sadness-rank.png"), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape[1] > 2 * 128 > sheet.shape[0]  # two clips side by side, of 128 pixels


def test_the_manifest_tells_what_the_survey_found(tmp_path, tree, out):
    workbook = tmp_path / "coding.xlsx"
    workbook.write_bytes(b"cells")
    found = dataclasses.replace(
        datasets.survey("folder", tree),
        annotations=workbook,
        corrections=[Correction("row 62", "s1", "a", "offset", "98", "91", "known")],
        unusable=[Omission("row 3", "s1", "b", "sadness", "no folder of frames")],
        left_out=[Omission("row 4", "s1", "c", "fear", "no class")],
        gaps=[Gap("s1", "d", 2, "4-5")],
        remarks=["cropped frames taken"],
    )
    manifest = store.write_store(found, out, SETTINGS).manifest
    assert manifest["annotations"] == "coding.xlsx"
    assert manifest["annotations_sha256"] == hashlib.sha256(b"cells").hexdigest()
    assert manifest["corrections"] == [found.corrections[0]._asdict()]
    assert manifest["unusable"][0]["reason"] == "no folder of frames"
    assert manifest["left_out"][0]["emotion"] == "fear"
    assert manifest["gaps"] == [{"subject": "s1", "clip": "d", "missing": 2, "numbers": "4-5"}]
    assert manifest["remarks"] == ["cropped frames taken"]


def test_threads_and_repetition_change_nothing(monkeypatch, tree, out, tmp_path):
    make(tree, out, jobs=4)
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    made = count_clips(monkeypatch)
    calls = []
    make(tree, out, progress=lambda *call: calls.append(call))
    assert made == [] and calls == [(4, 4)]
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    make(tree, tmp_path / "again", jobs=1)
    assert contents(tmp_path / "again") == before


def test_a_failed_clip_is_listed_and_made_once_it_is_mended(monkeypatch, tree, out, tmp_path):
    folder = write_folder(tree / "sadness" / "s1" / "jpeg", random_frames(4, seed=9))
    for path in sorted(folder.iterdir()):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        path.unlink()
    make(tree, tmp_path / "undisturbed")
    frame = folder / "img3.jpg"
    data = frame.read_bytes()
    frame.write_bytes(data[: len(data) // 2])
    made = make(tree, out)
    (failed,) = made.manifest["failed"]
    assert (failed["subject"], failed["clip"]) == ("s1", "jpeg")
    assert str(frame) in failed["reason"] and "\n" not in failed["reason"]
    assert "jpeg" not in set(made.table["clip"]) and len(made.table) == 4
    assert made.images["cumulative"].shape == (4, SIZE, SIZE)
    frame.write_bytes(data)
    count = count_clips(monkeypatch)
    make(tree, out)
    assert len(count) == 1
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_clip_whose_frames_changed_is_made_again(monkeypatch, tree, out, tmp_path):
    make(tree, out)
    for path in (tree / "sadness" / "s1" / "sadness_1").iterdir():
        cv2.imwrite(str(path), random_frames(1, (30, 30))[0])
    write_folder(tree / "sadness" / "s9" / "new", random_frames(3))
    made = count_clips(monkeypatch)
    make(tree, out)
    assert len(made) == 2
    make(tree, tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_methods_are_added_and_kept(monkeypatch, tree, out, tmp_path):
    make(tree, out, "rank")
    made = count_clips(monkeypatch)
    both = make(tree, out, "cumulative")
    assert made == [("cumulative",)] * 4
    assert list(both.images) == ["cumulative", "rank"]
    make(tree, tmp_path / "at once", "rank", "cumulative")
    assert contents(out) == contents(tmp_path / "at once")  # rank's sheets have new names


def test_a_clip_that_failed_gets_all_methods(monkeypatch, tree, out, tmp_path):
    frame = frame_of(tree)
    data = frame.read_bytes()
    frame.unlink()
    make(tree, out, "cumulative")
    frame.write_bytes(data)
    made = count_clips(monkeypatch)
    make(tree, out, "rank")
    assert sorted(made) == [("cumulative", "rank"), *[("rank",)] * 3]
    make(tree, tmp_path / "at once", "cumulative", "rank")
    assert contents(out) == contents(tmp_path / "at once")


def test_a_store_outlives_a_move_of_its_frames(monkeypatch, tree, out, tmp_path):
    make(tree, out)
    tree.rename(tmp_path / "moved")
    old = store.read_store(out)
    assert old.table["frames"][0][0].startswith(str(tree))
    made = count_clips(monkeypatch)
    new = make(tmp_path / "moved", out)
    assert made == []
    assert new.table["frames"][0][0].startswith(str(tmp_path / "moved"))
    np.testing.assert_array_equal(new.images["cumulative"], old.images["cumulative"])


def test_frames_that_a_csv_names_lie_beside_the_store(tree, tmp_path):
    (tree / "clips.csv").write_text("path,subject,emotion\nsadness/s1/sadness_1,1,sad\n")
    found = datasets.survey("folder", tree / "clips.csv")
    made = store.write_store(found, tree / "out", SETTINGS)
    pd.testing.assert_frame_equal(made.table, found.table)


@pytest.mark.parametrize(
    ("found", "settings", "told"),
    [
        ({}, {"image_size": 24}, "settings.image_size is 16 there, 24 here"),
        ({}, {"crop_face": True}, "settings.crop_face is False there, True here"),
        (
            {},
            {"crop_face": True, "face_by": "landmarks"},
            "settings.crop_face is False there, True here; "
            "settings.face_by is 'viola-jones' there, 'landmarks' here",
        ),
        ({"task": "three"}, {}, "task is 'original' there, 'three' here"),
        ({"cropped": False}, {}, "cropped is True there, False here"),
        ({"dataset": "samm"}, {}, "dataset is 'folder' there, 'samm' here"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_commands_store_is_refused(tree, out, finished, found, settings, told):
    def interrupt(done, total):
        if done and not finished:
            raise KeyboardInterrupt

    try:
        make(tree, out, progress=interrupt)
    except KeyboardInterrupt:
        assert not finished
    before = contents(out)
    other = dataclasses.replace(datasets.survey("folder", tree), **found)
    with pytest.raises(InputError) as error:
        store.write_store(other, out, dataclasses.replace(SETTINGS, **settings))
    assert str(error.value) == f"{out} is a store made by another command: {told}"
    assert contents(out) == before


def test_images_of_another_version_are_not_mixed(monkeypatch, tree, out):
    make(tree, out)
    monkeypatch.setattr(cv2, "__version__", "4.0")
    with pytest.raises(InputError, match=r"versions\.opencv is '.*' there, '4\.0' here"):
        make(tree, out)


def test_folders_that_are_not_free_are_refused(tree, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("")
    with pytest.raises(InputError, match=r"used is not a store and contains thesis\.txt"):
        make(tree, tmp_path / "used")
    (tmp_path / "used" / "manifest.json").write_text('{"name": "an app"}')
    with pytest.raises(InputError, match=r"used is not a store and contains manifest\.json"):
        make(tree, tmp_path / "used")
    with pytest.raises(InputError, match=r"tree/new is inside .*tree, among the clips"):
        make(tree, tree / "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to .*file: (File exists|Not a)"):
        make(tree, tmp_path / "file")
    assert sorted(contents(tmp_path / "used")) == ["manifest.json", "thesis.txt"]


def test_nothing_usable_is_an_error(tree, out):
    for path in tree.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"none of 4 clips could be read, for example .*empty file"
    ):
        make(tree, out)
    assert not contents(out)  # so that other settings may be tried there
    found = datasets.survey("folder", tree)
    none = dataclasses.replace(
        found,
        table=found.table.iloc[:0],
        unusable=[Omission("row 2", "s1", "a", "fear", "no folder of frames")],
    )
    with pytest.raises(InputError, match="can be used, for example row 2: no folder of frames"):
        store.write_store(none, out, SETTINGS)


def test_classes_whose_file_names_would_be_the_same(tree, out):
    found = datasets.survey("folder", tree)
    table = found.table.assign(label=["a/b", "a?b", "..", "a b"])
    made = store.write_store(dataclasses.replace(found, table=table), out, SETTINGS)
    sheets = ["_..png", "a_b.png", "a_b-2.png", "a_b-3.png"]
    assert made.manifest["contact_sheets"] == sheets
    assert all((out / name).is_file() for name in sheets)


def test_damaged_and_foreign_stores_are_told(tree, out, tmp_path):
    with pytest.raises(InputError, match=r"out is not a store: it has no manifest\.json"):
        store.read_store(out)
    make(tree, out)
    other = tmp_path / "other"
    make(write_tree(tmp_path / "tree 2", labels=("fear", "surprise")), other)

    def refused(name, data, reason):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(data)
        with pytest.raises(InputError, match=reason):
            store.read_store(out)
        (out / name).write_bytes(whole)

    manifest = (out / "manifest.json").read_bytes()
    images = (out / "images.safetensors").read_bytes()
    flipped = images[:-1] + bytes([images[-1] ^ 1])
    refused("images.safetensors", flipped, r"images\.safetensors is not the file that manifest")
    refused("images.safetensors", images[:-1], r"images\.safetensors is damaged or no")
    refused("clips.csv", (other / "clips.csv").read_bytes(), r"clips\.csv is not the file that")
    refused("manifest.json", manifest.replace(b'"format": 1', b'"format": 2'), "format 2, not 1")
    refused("manifest.json", b"{", r"manifest\.json is not valid JSON")
    (out / "clips.csv").unlink()
    with pytest.raises(InputError, match=r"no such file: .*clips\.csv"):
        store.read_store(out)


def named(made, dataset, **values):
    """A store as if it were of another data set."""
    manifest = {**made.manifest, "dataset": dataset, **values}
    return dataclasses.replace(made, table=made.table.assign(dataset=dataset), manifest=manifest)


def test_stores_are_combined_and_their_subjects_kept_apart(tree, out, tmp_path):
    first = make(tree, out, "cumulative", "rank")
    second = named(make(tree, tmp_path / "second", "rank", "authors"), "samm")
    both = store.combine_stores([second, first])
    assert list(both.images) == ["rank"]
    assert both.table["dataset"].tolist() == ["samm"] * 4 + ["folder"] * 4
    np.testing.assert_array_equal(both.images["rank"][4:], first.images["rank"])
    assert both.manifest["dataset"] == "samm+folder"
    assert [part["dataset"] for part in both.manifest["stores"]] == ["samm", "folder"]
    assert store.combine_stores([first]) is first


def test_stores_that_do_not_fit_are_not_combined(tree, out, tmp_path):
    first = make(tree, out)
    with pytest.raises(
        InputError, match=r"two tables of the composite contain a data set named folder.*--name"
    ):
        store.combine_stores([first, first])
    with pytest.raises(InputError, match=r"different tasks .*folder: original, samm: three"):
        store.combine_stores([first, named(first, "samm", task="three")])
    found = datasets.survey("folder", tree)
    small = store.write_store(found, tmp_path / "small", Settings(image_size=8))
    with pytest.raises(InputError, match=r"different image sizes .*folder: 16, samm: 8"):
        store.combine_stores([first, named(small, "samm")])
    rank = named(make(tree, tmp_path / "rank", "rank"), "samm")
    text = r"without a common method .*folder: cumulative, samm: rank"
    with pytest.raises(InputError, match=text):
        store.combine_stores([first, rank])
    with pytest.raises(InputError, match="at least one clip table"):
        store.combine_stores([])


def test_stores_of_faces_found_in_different_ways_are_not_combined(tree, out):
    made = make(tree, out)

    def cut(dataset, crop_face, face_by):
        settings = {**made.manifest["settings"], "crop_face": crop_face, "face_by": face_by}
        return named(made, dataset, settings=settings)

    by_landmarks = cut("samm", True, "landmarks")
    with pytest.raises(
        InputError, match=r"found differently .*casme: viola-jones, samm: landmarks"
    ):
        store.combine_stores([cut("casme", True, "viola-jones"), by_landmarks])
    both = store.combine_stores([cut("casme", False, "viola-jones"), by_landmarks])
    assert both.crop_face and both.face_by == by_landmarks.face_by == "landmarks"
    assert made.face_by == "viola-jones"


def test_a_flow_is_stored_beside_images_and_later_ones_join_it(tree, out, monkeypatch):
    plain = make(tree, out, "cumulative")
    assert not {"channels", "estimated_apexes"} & plain.manifest.keys()
    made = count_clips(monkeypatch)
    both = make(tree, out, "dis", "apex")
    assert made == [("apex", "dis")] * 4  # the images were there
    table = datasets.survey("folder", tree).table
    want = prepare_clips(table, Settings(("cumulative", "apex", "dis"), SIZE)).images
    assert list(both.images) == ["cumulative", "apex", "dis"]
    for method, images in want.items():
        assert both.images[method].dtype == images.dtype
        np.testing.assert_array_equal(both.images[method], images)
    assert both.images["dis"].shape == (4, SIZE, SIZE, 3)
    assert both.image_size == SIZE and not both.images["dis"].flags.writeable
    assert both.manifest["channels"] == {"dis": ["u", "v", "strain"]}
    assert len(both.manifest["estimated_apexes"]) == 4  # folders have no annotations
    assert {"happiness-dis.png", "sadness-apex.png"} <= contents(out).keys()
    again = contents(out)
    make(tree, out, "dis", "apex")
    assert contents(out) == again and len(made) == 4
    at_once = out.with_name("at-once")
    make(tree, at_once, "cumulative", "apex", "dis", jobs=2)
    assert contents(at_once) == again


def test_an_annotated_apex_is_taken(tree, out):
    rows = ["path,subject,emotion,apex"]
    rows += [
        f"{clip.relative_to(tree)},{clip.parent.name},{clip.parent.parent.name},4"
        for clip in sorted(tree.glob("*/*/*"))
    ]
    rows[-1] = rows[-1][:-1]  # the last one has none
    (tree / "clips.csv").write_text("\n".join(rows) + "\n")
    found = datasets.survey("folder", tree / "clips.csv")
    made = store.write_store(found, out, Settings(("onset", "apex"), SIZE))
    last = found.table.iloc[-1]
    assert made.manifest["estimated_apexes"] == [f"{last['subject']}/{last['clip']}"]
    for row, image in zip(found.table.to_dict("records")[:-1], made.images["apex"], strict=False):
        frame = cv2.imread(row["frames"][3], cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(image, resize(frame, SIZE))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda flow: flow[:, :, :, :2].copy(), r"dis must be \[4, 16, 16, 3\] pixels"),
        (lambda flow: np.where(flow == flow.max(), np.nan, flow), "dis holds values that are not"),
        (lambda flow: flow.astype(np.uint8), "dis must be float32, got uint8"),
    ],
)
def test_a_damaged_flow_is_refused(tree, out, change, told):
    made = make(tree, out, "cumulative", "dis")
    tensors = {**made.images, "dis": change(made.images["dis"])}
    (out / "images.safetensors").write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(InputError, match=told):
        store.read_store(out)


def test_a_flow_that_cannot_be_computed_is_refused_before_anything_is_written(tree, out):
    found = datasets.survey("folder", tree)
    with pytest.raises(InputError, match="'dis' needs frames of 16 pixels, got 15"):
        store.write_store(found, out, Settings(("dis",), 15))
    assert not out.exists()
