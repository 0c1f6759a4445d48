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

import pytest
from mutations import mutate_bytes, mutate_json
from stores import contents, frame_of, make, rewrite, tensor, with_header, write_tree

from originet.datasets import store, store_files, table
from originet.system import tensor_files
from originet.system.errors import InputError

SEEDS = 500  # of the damage to each file


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


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
