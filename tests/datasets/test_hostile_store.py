"""Stores from strangers: whatever their files say, reading ends in a store or in one line."""

import dataclasses
import errno
import json
import os
import random
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from mutations import mutate_bytes, mutate_json
from stores import contents, frame_of, make, write_tree

from originet import datasets
from originet.datasets import store, store_files, table
from originet.datasets.prepare import Settings
from originet.system import tensor_files
from originet.system.errors import InputError
from originet.system.tensor_files import read_arrays

SEEDS = 500  # of the damage to each file


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store of four clips by two methods, as bytes by name."""
    folder = tmp_path_factory.mktemp("original")
    make(write_tree(folder / "tree"), folder / "out", "rank", "cumulative")
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


@pytest.fixture
def out(tmp_path, original):
    """A copy of it, beside a folder of somebody's own."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name, data in original.items():
        (folder / name).write_bytes(data)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file.txt").write_text("precious")
    return folder


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


def rewrite(path, **values):
    """Changes values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def with_header(header, data=b"", length=None):
    """A safetensors file of any header."""
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(told) if length is None else length) + told + data


def tensor(kind, shape, start, stop):
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


def read_or_refuse(folder):
    """Reads a store; tells whether it was refused, in a line that names one of its files."""
    try:
        store.read_store(folder)
    except InputError as error:
        assert str(folder) in str(error) and "\n" not in str(error), str(error)
        assert len(str(error)) < 2000
        return True
    return False


def mutated(name, data, chance):
    """A file of a store, damaged: its bytes, or the JSON in it, with the rest as it should be."""
    if chance.random() < 0.5:
        return mutate_bytes(data, chance)
    if name == "images.safetensors":
        length = 8 + struct.unpack("<Q", data[:8])[0]
        header = mutate_json(json.loads(data[8:length]), chance)
        return with_header(header, data[length:])
    if name == "manifest.json":
        return json.dumps(mutate_json(json.loads(data), chance)).encode()
    return mutate_bytes(data, chance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest.json", "clips.csv", "images.safetensors"])
def test_a_damaged_file_is_read_or_named(out, original, name, monkeypatch):
    if name == "images.safetensors":  # the table is as it was, and takes the most time
        table = store.read_store(out).table
        monkeypatch.setattr(store, "read_table", lambda path, root: table)
    refused = 0
    for seed in range(SEEDS):
        (out / name).write_bytes(mutated(name, original[name], random.Random(seed)))
        try:
            refused += read_or_refuse(out)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}") from error
    assert refused > SEEDS / 2


@pytest.mark.slow
def test_going_on_with_a_damaged_store_touches_nothing_else(tmp_path, out, original, tree):
    refused = 0
    for seed in range(40):
        values = mutate_json(json.loads(original["manifest.json"]), random.Random(seed))
        (out / "manifest.json").write_text(json.dumps(values))
        others = {path: data for path, data in contents(tmp_path).items() if "out" not in path}
        try:
            make(tree, out, "rank", "cumulative")
        except InputError as error:
            refused += 1
            assert str(out) in str(error) and "\n" not in str(error)
        after = {path: data for path, data in contents(tmp_path).items() if "out" not in path}
        assert after == others
        for name, data in original.items():
            (out / name).write_bytes(data)
    assert 0 < refused < 40


def hostile_names(tmp_path):
    victim = tmp_path / "victim" / "file.txt"
    return ["../victim/file.txt", str(victim), "a\0.png", ".", "sub/x.png", "x.png\n", "x.txt"]


@pytest.mark.parametrize("place", range(7))
def test_no_contact_sheet_lies_elsewhere(tmp_path, out, tree, place):
    rewrite(out / "manifest.json", contact_sheets=[hostile_names(tmp_path)[place]])
    with pytest.raises(InputError, match=r"manifest\.json does not hold what it should: .*regex"):
        make(tree, out, "authors")
    assert (tmp_path / "victim" / "file.txt").read_text() == "precious"


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


@pytest.mark.parametrize("name", ["manifest.json", "clips.csv", "images.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing"])
def test_what_is_no_file_is_told_at_once(out, name, kind):
    (out / name).unlink()
    if kind == "pipe":
        os.mkfifo(out / name)
    elif kind == "device":
        (out / name).symlink_to("/dev/zero")
    elif kind == "folder":
        (out / name).mkdir()
    assert read_or_refuse(out)


def test_a_store_without_clips_is_refused(out):
    (out / "clips.csv").write_text((out / "clips.csv").read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match=r"clips\.csv has no clips"):
        store.read_store(out)


def test_a_file_of_huge_claims_is_not_read(out, monkeypatch):
    with (out / "images.safetensors").open("r+b") as file:
        file.truncate(2**40)  # it takes no disk
    with pytest.raises(
        InputError, match=r"is too large: 1,099,511,627,776 bytes, the limit is 2,048"
    ):
        store.read_store(out)
    monkeypatch.setattr(table, "_MOST", 1000)
    with (out / "clips.csv").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r"clips\.csv is too large: 1,099,511,627,776 bytes, the"):
        store.read_store(out)


def test_what_could_not_be_read_again_is_not_made(tmp_path, tree, monkeypatch):
    monkeypatch.setattr(tensor_files, "MOST", 4 * 16 * 16)
    with pytest.raises(
        InputError, match=r"2 images of 4 clips, 16 pixels a side, would take 2,048"
    ):
        make(tree, tmp_path / "new", "rank", "cumulative")
    assert not (tmp_path / "new").exists()
    make(tree, tmp_path / "new", "rank")
    with pytest.raises(InputError, match=r"2 images of 4 clips, .* a store can have at most 1,024"):
        make(tree, tmp_path / "new", "cumulative")
    assert list(store.read_store(tmp_path / "new").images) == ["rank"]


LYING = {
    "empty": b"",
    "short": b"\0\0\0",
    "no header": with_header(b""),
    "long header": with_header({}, length=2**63),
    "longest header": with_header({}, length=2**64 - 1),
    "large header": with_header(b"{}" + b" " * 9 * 2**20),
    "deep header": with_header(b'{"a":' * 100_000),
    "no object": with_header([1]),
    "no text": with_header(b'{"\xff":1}'),
    "beyond the end": with_header({"a": tensor("U8", [100], 0, 100)}, b"x"),
    "overlap": with_header({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 2, 6)}, b"x" * 6),
    "hole": with_header({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 6, 10)}, b"x" * 10),
    "rest": with_header({"a": tensor("U8", [4], 0, 4)}, b"x" * 9),
    "backwards": with_header({"a": tensor("U8", [4], 4, 0)}, b"xxxx"),
    "negative": with_header({"a": tensor("U8", [-4], 0, 4)}, b"xxxx"),
    "overflow": with_header({"a": tensor("U8", [2**32, 2**32], 0, 0)}),
    "large and empty": with_header({"a": tensor("U8", [2**63, 0], 0, 0)}),
    "many dimensions": with_header({"a": tensor("U8", [1] * 100, 0, 1)}, b"x"),
    "half floats": with_header({"a": tensor("BF16", [2], 0, 4)}, b"xxxx"),
    "small floats": with_header({"a": tensor("F8_E4M3", [4], 0, 4)}, b"xxxx"),
    "smallest floats": with_header({"a": tensor("F4", [8], 0, 4)}, b"xxxx"),
    "other floats": with_header({"a\n\x1b": tensor("F32", [1], 0, 4)}, b"xxxx"),
    "unknown kind": with_header({"a": tensor("Q7", [4], 0, 4)}, b"xxxx"),
    "no metadata": with_header({"__metadata__": {"a": 5}}),
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING)
def test_a_lying_tensor_file_is_named(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        read_arrays(path, np.uint8)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "header",
    [
        {"rank": tensor("U8", [4, 16, 15], 0, 960)},
        {"rank": tensor("U8", [4, 256], 0, 1024)},
        {"rank": tensor("U8", [1, 32, 32], 0, 1024)},
        {"rank": tensor("U8", [4, 0, 0], 0, 0)},
        {"rank": tensor("U8", [], 0, 1)},
    ],
)
def test_images_have_the_shape_that_table_and_settings_tell(out, header):
    data = b"x" * header["rank"]["data_offsets"][1]
    (out / "images.safetensors").write_bytes(with_header(header, data))
    rewrite(out / "manifest.json", methods=["rank"])
    with pytest.raises(InputError, match=r"safetensors: rank must be \[4, 16, 16\] pixels, got \("):
        store.read_store(out)


def test_frames_of_a_stores_table_are_not_opened(out, tmp_path, monkeypatch):
    """Wherever they lie: reading neither opens nor even looks for them."""
    os.mkfifo(tmp_path / "pipe.png")
    text = (out / "clips.csv").read_text()
    start = text.index("[", text.index("\n"))
    cell = text[start : text.index("]", start) + 1]
    named = json.dumps([str(tmp_path / "pipe.png")]).replace('"', '""')
    (out / "clips.csv").write_text(text.replace(cell, named))
    stats = []
    looked = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: stats.append(path) or looked(path, **more))
    table = store.read_store(out).table
    assert table["frames"][0] == (str(tmp_path / "pipe.png"),)
    assert not [path for path in stats if Path(path).suffix == ".png"]


def test_frames_that_a_store_was_not_made_of_are_not_opened(tmp_path, tree, run):
    made = make(tree, tmp_path / "store")
    store.check_frames(made)
    frame = frame_of(tree)
    frame.write_bytes(frame.read_bytes() + b" ")
    told = (
        "the frames of s1/sadness_1 in .* are not the ones that the store of folder was made from"
    )
    with pytest.raises(InputError, match=told):
        store.check_frames(made)
    command = ("compare", tmp_path / "store", "-o", tmp_path / "out", "--network")
    code, _, err = run(*command, "LBP-TOP")
    assert code == 2 and re.search(told, err) and err.count("\n") == 1
    shutil.rmtree(tree)  # a store outlives its frames
    store.check_frames(made)


def test_a_full_disk_names_the_store_alone(out, tree, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError) as error:
        make(tree, out, "authors")
    assert str(error.value) == (
        f"out: cannot write to {out}: No space left on device "
        "(finished clips are kept for the next run)"
    )


def test_a_store_remains_read_only_and_whole(out):
    made = store.read_store(out)
    assert dataclasses.is_dataclass(made) and not made.images["rank"].flags.writeable
    assert store_files.find_manifest(out) == out / "manifest.json"
