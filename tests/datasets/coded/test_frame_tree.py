import re

import pytest

from originet.datasets.coded.frame_tree import Place, choose_tree, find_clip_trees, find_trees
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


def test_a_tree_that_is_preferred_comes_before_a_cropped_one(root):
    for place in ("Cropped/sub01/a", "raw/sub01/a", "sub01/b"):
        make(root / place)

    def chosen(clip):
        def is_raw(tree):
            return tree.root.name == "raw"

        return choose_tree(trees_in(root), [("sub01", clip)], is_raw)[0].root

    assert chosen("a") == root / "raw"
    assert chosen("b") == root  # the preferred one has no such clip


def test_pictures_in_color_are_those_of_the_clip(root):
    for name in ("color", "depth"):
        make(root / "sub01" / "a" / name)
    (tree,) = trees_in(root)
    assert tree.find("sub01", "a") == root / "sub01" / "a" / "color"


def place_of(folder):
    """Reads <home>/<emotion>/<subject>-<clip>."""
    subject, dash, clip = folder.name.partition("-")
    return Place(subject, clip, folder.parents[1], clip == "x") if dash else None


def clip_trees_in(root):
    return find_clip_trees(root, place_of, looks_for="happy/p1-a/1.jpg")


def test_clips_are_found_by_their_own_names_at_any_depth(root):
    make(root / "X" / "X" / "happy" / "p1-a")
    make(root / "X" / "X" / "sad" / "p1-B" / "p1-B")  # doubled
    make(root / "Cropped" / "sad" / "p1-x")
    make(root / "Cropped" / "sad" / "notes")
    cropped, raw = clip_trees_in(root)
    assert (cropped.root, cropped.cropped, cropped.cut) == (root / "Cropped", True, True)
    assert (raw.root, raw.cropped, raw.cut, raw.example) == (root / "X/X", False, False, "img1.jpg")
    assert raw.find("p1", "A ") == root / "X/X/happy/p1-a"
    assert raw.find("p1", "b") == root / "X/X/sad/p1-B/p1-B"
    assert raw.find("p2", "a") is None and raw.count([("p1", "a"), ("p2", "a"), ("p1", "x")]) == 1


def test_a_clip_in_two_folders_is_an_error_that_names_both(root):
    for emotion in ("happy", "sad"):
        make(root / emotion / "p1-a")
    (tree,) = clip_trees_in(root)
    assert tree.count([("p1", "a")]) == 1
    with pytest.raises(InputError, match=r"several folders for it: .*happy/p1-a and .*sad/p1-a"):
        tree.find("p1", "a")


def test_folders_of_clips_without_any_picture_are_no_tree(root):
    make(root / "happy" / "p1-a", "Thumbs.db")
    with pytest.raises(InputError, match=r"no frames in .*: looked for happy/p1-a/1\.jpg"):
        clip_trees_in(root)
    make(root / "happy" / "p1-b")
    (root / "happy" / "up").symlink_to(root, target_is_directory=True)
    (tree,) = clip_trees_in(root)
    assert tree.find("p1", "a") == root / "happy" / "p1-a"  # which then has no frames
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        clip_trees_in(root / "nowhere")
