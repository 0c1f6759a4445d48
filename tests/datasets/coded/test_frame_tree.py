import re

import pytest

from originet.datasets.coded.frame_tree import choose_tree, find_trees
from originet.system.errors import InputError


@pytest.fixture
def root(tmp_path):
    """A folder whose own name tells nothing; pytest's is that of the test."""
    return tmp_path / "data"


def subject_of(name):
    match = re.fullmatch(r"(?:sub)?(\d{1,2})", name)
    return f"sub{int(match[1]):02d}" if match else None


def make(folder, *names):
    folder.mkdir(parents=True)
    for name in names or ("img1.jpg",):
        (folder / name).touch()


def trees_in(root):
    return find_trees(root, subject_of, looks_for="sub01/EP02_01f/img1.jpg")


@pytest.mark.parametrize("place", ["sub01", "a/b/sub01", "X/X/sub01", "sub01/sub01", "Cropped/1"])
def test_subjects_are_found_at_any_depth(root, place):
    make(root / place / "EP02_01f")
    (tree,) = trees_in(root)
    found = tree.find("sub01", "EP02_01f")
    assert found is not None and (found / "img1.jpg").exists()
    assert tree.find("sub01", "EP02_02f") is None
    assert tree.find("sub02", "EP02_01f") is None


def test_a_stray_picture_does_not_hide_a_tree(root):
    make(root / "Cropped" / "sub01" / "a")
    for folder in (root, root / "Cropped", root / "Cropped" / "sub01"):
        (folder / "preview.jpg").touch()
    (tree,) = trees_in(root)
    assert tree.find("sub01", "a") == root / "Cropped" / "sub01" / "a"


def test_clip_names_are_compared_without_case_and_blanks(root):
    make(root / "sub01" / "EP02_01F ")
    (tree,) = trees_in(root)
    assert tree.find("sub01", " ep02_01f").name == "EP02_01F "


def test_a_doubled_clip_folder_is_entered(root):
    make(root / "sub01" / "EP1" / "EP1")
    (tree,) = trees_in(root)
    assert tree.find("sub01", "EP1") == root / "sub01" / "EP1" / "EP1"


def test_sections_are_one_tree(root):
    make(root / "Section A" / "sub01" / "a")
    make(root / "Section B" / "sub01" / "b")
    make(root / "section_b" / "section_b" / "sub09" / "c")
    (tree,) = trees_in(root)
    assert tree.root == root
    clips = [("sub01", "a"), ("sub01", "b"), ("sub09", "c")]
    assert all(tree.find(*clip) is not None for clip in clips)


def test_other_parents_are_trees_of_their_own(root):
    make(root / "raw" / "sub01" / "a")
    make(root / "more" / "sub02" / "a")
    assert [tree.root.name for tree in trees_in(root)] == ["more", "raw"]


@pytest.mark.parametrize(
    ("place", "frame", "cropped"),
    [
        ("raw/sub01/a", "img1.jpg", False),
        ("uncropped/sub01/a", "img1.jpg", False),
        ("raw/sub01/a", "reg_img1.jpg", True),
        ("My-CROPPED-copy/sub01/a", "img1.jpg", True),
        ("SAMM_CROP/SAMM_CROP/1/a", "img1.jpg", True),
    ],
)
def test_cropped_trees_are_known_by_folder_or_frame(root, place, frame, cropped):
    make(root / place, "Thumbs.db", ".img0.jpg", frame)
    (tree,) = trees_in(root)
    assert tree.cropped is cropped


def test_the_roots_own_name_counts_where_the_subjects_are_in_it(root):
    make(root / "Cropped" / "sub01" / "a")
    (tree,) = trees_in(root / "Cropped")
    assert tree.cropped
    make(root / "crops and raw" / "raw" / "sub01" / "a")
    (tree,) = trees_in(root / "crops and raw")
    assert not tree.cropped


def test_junk_is_no_frame_and_no_folder(root):
    make(root / "__MACOSX" / "sub01" / "a")
    make(root / "sub02" / "a", "Thumbs.db", "Desktop - Shortcut.lnk", ".img1.jpg")
    with pytest.raises(InputError, match=r"no frames in .*: looked for sub01/EP02_01f/img1.jpg"):
        trees_in(root)


def test_a_link_to_a_folder_above_ends(root):
    make(root / "raw" / "sub01" / "a")
    (root / "raw" / "up").symlink_to(root, target_is_directory=True)
    assert len(trees_in(root)) == 1


def test_a_missing_root_is_named(root):
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        trees_in(root / "nowhere")


def test_a_cropped_tree_is_taken_before_a_raw_one(root):
    for name in ("a", "b"):
        make(root / "raw" / "sub01" / name)
    make(root / "Cropped" / "sub01" / "a")
    clips = [("sub01", "a"), ("sub01", "b")]
    tree, remarks = choose_tree(trees_in(root), clips)
    assert tree.root.name == "Cropped"
    assert re.fullmatch(r"frames: .*Cropped \(cropped, 1 of 2 coded clips\)", remarks[0])
    assert re.search(r"not used \(choose with --frames\): .*raw \(not cropped, 2 of 2", remarks[1])


def test_a_cropped_tree_of_other_clips_is_not_taken(root):
    make(root / "raw" / "sub01" / "a")
    make(root / "Cropped" / "sub01" / "z")
    tree, _ = choose_tree(trees_in(root), [("sub01", "a")])
    assert tree.root.name == "raw"


def test_the_tree_with_most_clips_is_taken(root):
    make(root / "Cropped" / "sub01" / "a")
    for name in ("a", "b"):
        make(root / "Cropped-updated" / "1" / name)
    tree, _ = choose_tree(trees_in(root), [("sub01", "a"), ("sub01", "b")])
    assert tree.root.name == "Cropped-updated"
