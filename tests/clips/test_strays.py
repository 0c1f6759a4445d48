"""What is no clip among clips is passed over, and named."""

import json
from pathlib import Path

import pytest
from clips import random_frames, write_folder, write_video
from PIL import Image

from originet import datasets
from originet.clips import render
from originet.clips.strays import is_movie, is_picture, name_strays
from originet.system.errors import InputError


@pytest.fixture
def strays(tmp_path):
    """Two videos and a folder of frames among a picture, texts and another folder."""
    root = tmp_path / "set"
    write_video(root / "happy" / "s1" / "a.avi", random_frames(4, seed=1))
    write_video(root / "sad" / "s2" / "b.avi", random_frames(4, seed=2))
    write_folder(root / "sad" / "s1" / "c", random_frames(4, seed=3))
    Image.fromarray(random_frames(1)[0]).save(root / "happy" / "s1" / "cover1.png")
    for place in ("happy/s1/notes.txt", "sad/s1/c/list.txt", "happy/s1/.hidden", "readme.md"):
        (root / place).write_text("no clip")
    write_folder(root / "sad" / "s1" / "c" / "crops", random_frames(2))
    return root


def test_strays_beside_clips_are_skipped_and_named(strays):
    found = render.find_clips(strays)
    assert [clip.name for clip in found.clips] == ["a.avi", "c", "b.avi"]
    told = {name.removeprefix(f"{strays}/"): reason for name, reason in found.skipped.items()}
    assert sorted(told) == [
        "happy/s1/cover1.png",
        "happy/s1/notes.txt",
        "readme.md",
        "sad/s1/c/crops",
        "sad/s1/c/list.txt",
    ]
    assert told["happy/s1/cover1.png"] == "a picture beside videos is not a clip"
    assert "by its extension" in told["happy/s1/notes.txt"]
    assert "which is one clip" in told["sad/s1/c/crops"]


def test_one_picture_above_folders_of_clips_is_no_clip(strays):
    Image.new("L", (8, 8)).save(strays / "cover2.jpg")
    found = render.find_clips(strays)
    assert len(found.clips) == 3
    assert (
        found.skipped[f"{strays / 'cover2.jpg'}"]
        == "a picture beside folders of clips is not a clip"
    )


def test_many_files_of_one_kind_are_one_line(tmp_path):
    write_video(tmp_path / "a.avi", random_frames(3))
    for number in range(30):
        (tmp_path / f"frame{number}.tif").touch()
    (skipped,) = render.find_clips(tmp_path).skipped
    assert skipped == f"{tmp_path}, 30 .tif files"


def test_the_file_of_synth_is_no_stray(strays):
    (strays / "dataset.json").write_text("{}")
    assert not any("dataset.json" in name for name in render.find_clips(strays).skipped)


def test_image_names_what_it_skips(run, strays, tmp_path):
    code, out, err = run("image", strays, "-o", tmp_path / "out")
    assert code == 0 and "3 of 3 clips" in out
    assert "warning: skipped:\n" in err and f"{strays}/happy/s1/cover1.png: a picture" in err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_check_prepare_and_loso_name_what_they_skip(run, strays, tmp_path):
    named = f"{strays}/happy/s1/cover1.png: a single picture is not a clip"
    code, out, _ = run("check", "folder", strays, "--json", tmp_path / "check.json")
    assert code == 1 and "skipped: 5\n" in out  # 1 because each class has one subject
    assert "unusable clips" not in out and "reasons for loso to refuse the clips: 1\n" in out
    assert named in out and f"{strays}/sad/s1/c/crops: inside {strays}/sad/s1/c, whose" in out
    assert len(json.loads((tmp_path / "check.json").read_text())["skipped"]) == 5
    code, out, err = run("prepare", "folder", strays, "-o", tmp_path / "store", "--image-size", 16)
    assert named in out
    code, _, err = run("loso", strays, "-o", tmp_path / "out", "--epochs", 1)
    assert "skipped:" in err and named in err  # and then that each class has one subject
    with pytest.warns(UserWarning, match=r"skipped .* and 4 more"):
        datasets.load_dataset("folder", strays)


def test_clips_at_the_wrong_level_are_unusable_and_do_not_stop_the_others(run, strays):
    write_video(strays / "happy" / "astray.avi", random_frames(2))
    for number in (1, 2):
        Image.new("L", (8, 8)).save(strays / "sad" / f"img{number}.png")
    found = datasets.survey("folder", strays)
    assert len(found.table) == 3
    told = {entry.where.removeprefix(f"{strays}/"): entry.reason for entry in found.unusable}
    assert told == {
        "happy/astray.avi": "a video at the wrong level: expected <emotion>/<subject>/<clip>",
        "sad": "2 pictures at the wrong level: expected <emotion>/<subject>/<clip>",
    }
    code, out, _ = run("check", "folder", strays)
    assert code == 1 and "unusable clips: 2" in out


def test_a_tree_of_misplaced_clips_says_where_they_are(tmp_path):
    write_video(tmp_path / "happy" / "a.avi", random_frames(2))
    with pytest.raises(InputError, match=r"no clips in .*; .*a\.avi: a video at the wrong level"):
        datasets.survey("folder", tmp_path)


def test_strays_are_named_by_folder_and_extension():
    names = ("x/a.txt", "x/b.TXT", "x/c", "y/d.txt")
    assert name_strays(map(Path, names), "no clip") == {
        "x, 2 .txt files": "no clip",
        "x/c": "no clip",
        "y/d.txt": "no clip",
    }


def test_pictures_and_videos_are_told_by_their_extensions():
    paths = [Path(name) for name in ("a.PNG", "a.Mp4", "a.gif", "png", "mp4", "a.txt")]
    assert [path.name for path in paths if is_picture(path)] == ["a.PNG"]
    assert [path.name for path in paths if is_movie(path)] == ["a.Mp4", "a.gif"]
