"""The files of a store: parts of a run, and the manifest."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy
from stores import contents, make, rewrite, write_tree

from originet import datasets
from originet.datasets import store
from originet.datasets.prepare import Settings
from originet.system.errors import InputError


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


def test_only_plain_pictures_are_removed_as_old_contact_sheets(tmp_path, out, tree):
    victim = tmp_path / "victim" / "file.txt"
    (out / "mine.png").write_text("no picture")
    (out / "link.png").symlink_to(out / "sadness-rank.png")
    (out / "away.png").symlink_to(victim)
    (out / "folder.png").mkdir()
    (out / "old.png").write_bytes((out / "sadness-rank.png").read_bytes())
    names = ["mine.png", "link.png", "away.png", "folder.png", "old.png", "none.png"]
    rewrite(out / "manifest.json", contact_sheets=names)
    make(tree, out, "authors")
    assert not (out / "old.png").exists() and (out / "link.png").is_symlink()
    assert (out / "mine.png").read_text() == "no picture" and (out / "folder.png").is_dir()
    assert victim.read_text() == "precious"


def test_links_among_a_stores_files_are_replaced(tmp_path, out, tree):
    victim = tmp_path / "victim"
    for name in ("images.safetensors", "clips.csv", "manifest.json", "sadness-rank.png"):
        (victim / name).write_bytes((out / name).read_bytes())
        (out / name).unlink()
        (out / name).symlink_to(victim / name)
    before = contents(victim)
    make(tree, out, "authors")
    assert contents(victim) == before
    assert not [path for path in out.iterdir() if path.is_symlink()]


def test_a_folder_in_a_files_place_is_told_before_anything_is_replaced(out, tree):
    (out / "sadness-authors.png").mkdir()
    before = contents(out)
    with pytest.raises(InputError, match=r"sadness-authors\.png is a folder where the store"):
        make(tree, out, "authors")
    assert {name: data for name, data in contents(out).items() if ".parts" not in name} == before


def parts_elsewhere(parts, victim):
    parts.symlink_to(victim)


def parts_no_folder(parts, victim):
    parts.write_text("")


def a_link_in_parts(parts, victim):
    parts.mkdir()
    (parts / "arguments.json").symlink_to(victim / "file.txt")


def a_temporary_link_in_parts(parts, victim):
    parts.mkdir()
    (parts / f".arguments.json.{os.getpid()}.tmp").symlink_to(victim / "file.txt")


def a_hard_link_in_parts(parts, victim):
    parts.mkdir()
    (parts / f".arguments.json.{os.getpid()}.tmp").hardlink_to(victim / "file.txt")


def a_pipe_in_parts(parts, victim):
    parts.mkdir()
    os.mkfifo(parts / f"{'a' * 64}.safetensors")


def a_file_of_ones_own_in_parts(parts, victim):
    parts.mkdir()
    (parts / "thesis.txt").write_text("precious")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (parts_elsewhere, r"\.parts is not a folder left by an interrupted run: remove it"),
        (parts_no_folder, r"\.parts is not a folder left by an interrupted run: remove it"),
        (a_link_in_parts, r"\.parts contains arguments\.json, which no interrupted run left"),
        (a_temporary_link_in_parts, r"\.parts contains \.arguments\.json\.\d+\.tmp, which no"),
        (a_hard_link_in_parts, r"\.parts contains \.arguments\.json\.\d+\.tmp, which no"),
        (a_pipe_in_parts, r"\.parts contains a{64}\.safetensors, which no interrupted run left"),
        (
            a_file_of_ones_own_in_parts,
            r"\.parts contains thesis\.txt, which no interrupted run left",
        ),
    ],
)
@pytest.mark.parametrize("empty", [True, False])
def test_parts_that_no_run_left_are_refused_and_kept(tmp_path, out, tree, prepare, told, empty):
    if empty:  # a folder that was taken for a free one, since `.parts` is hidden
        for path in out.iterdir():
            path.unlink()
    prepare(out / ".parts", tmp_path / "victim")
    before = sorted(path for path in contents(tmp_path) if not path.startswith("tree"))
    with pytest.raises(InputError, match=told):
        make(tree, out, "authors")
    assert sorted(p for p in contents(tmp_path) if not p.startswith("tree")) == before
    assert (tmp_path / "victim" / "file.txt").read_text() == "precious"


@pytest.mark.parametrize("images", [{"rank": np.zeros((8, 16), np.uint8)}, {"x": 0}, {"rank": 0.5}])
def test_a_part_of_another_shape_or_kind_is_made_again(tmp_path, out, tree, images):
    whole = contents(out)
    for path in out.iterdir():
        path.unlink()
    (out / ".parts").mkdir()
    found = datasets.survey("folder", tree)
    arrays = {
        n: v if isinstance(v, np.ndarray) else np.full((16, 16), v) for n, v in images.items()
    }
    for name in store._fingerprints(found.table, tree):
        data = safetensors.numpy.save(arrays)
        (out / ".parts" / f"{name}.safetensors").write_bytes(data)
    make(tree, out, "rank", "cumulative")
    assert contents(out)["images.safetensors"] == whole["images.safetensors"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"methods": []}, r"Expected `array` of length >= 1 - at `\$\.methods`"),
        ({"methods": ["\x1b[31m"]}, r"- at `\$\.methods\[0\]`"),
        ({"methods": ["authors"]}, r"images\.safetensors: authors must be .* pixels, got none"),
        ({"root": None}, r"Expected `str`, got `null` - at `\$\.root`"),
        ({"root": "/a\0b"}, r"at `\$\.root`"),
        ({"images_sha256": {"rank": "../x"}}, r"at `\$\.images_sha256"),
        ({"classes": {"sad": -1}}, r"Expected `int` >= 0 - at `\$\.classes"),
        ({"failed": [{"reason": ""}]}, r"missing required field `dataset` - at `\$\.failed\[0\]`"),
        ({"fingerprints": ["a" * 64]}, r"clips\.csv is not the file that manifest\.json describes"),
        ({"format": None}, r"Expected `int`, got `null` - at `\$\.format`"),
        ({"format": 10**4000}, r"belongs to a store of format 1000.*000, not 1"),
        ({"versions": {"originet": [[[]]]}}, r"Expected `str`, got `array` - at `\$\.versions"),
    ],
)
def test_a_manifest_of_another_shape_is_told_with_its_place(out, values, told):
    rewrite(out / "manifest.json", **values)
    with pytest.raises(InputError, match=told) as error:
        store.read_store(out)
    assert str(out) in str(error.value)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"image_size": 1_000_000}, "image_size"),
        ({"image_size": 0}, "image_size"),
        ({"margin": 1e300}, "margin"),
        ({"margin": -1}, "margin"),
    ],
)
def test_settings_of_a_store_are_those_of_prepare(out, values, place):
    settings = json.loads((out / "manifest.json").read_text())["settings"]
    rewrite(out / "manifest.json", settings=settings | values)
    with pytest.raises(InputError, match=rf"manifest\.json .*at `\$\.settings\.{place}`"):
        store.read_store(out)
    with pytest.raises(InputError, match=place):
        Settings(**({"crop_face": True} | values))


def test_manifests_of_the_first_versions_are_read(out):
    values = json.loads((out / "manifest.json").read_text())
    for name in ("clips_file_sha256", "flat", "skipped"):
        del values[name]
    (out / "manifest.json").write_text(json.dumps(values))
    assert len(store.read_store(out).table) == 4


def test_settings_of_another_version_keep_stores_apart(out, tree):
    settings = json.loads((out / "manifest.json").read_text())["settings"]
    rewrite(out / "manifest.json", settings=settings | {"blur": 3})
    store.read_store(out)
    with pytest.raises(
        InputError, match=r"made by another command: settings\.blur is 3 there, absent"
    ):
        make(tree, out)
