"""What all data sets have in common: how they are loaded, named and combined."""

import inspect

import pandas as pd
import pytest
from folders import write_clip

from originet import datasets
from originet.datasets import combine, load_dataset, survey
from originet.system.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """Two subjects, three clips, one of them a video, among junk."""
    write_clip(tmp_path / " Happy " / "s2" / "b", (10, 9, 100))
    write_clip(tmp_path / "Other" / "s1" / "a")
    (tmp_path / "Other" / "s1" / "c.AVI").write_bytes(b"not read here")
    (tmp_path / "Other" / "s1" / "Thumbs.db").touch()
    (tmp_path / "Other" / ".DS_Store").touch()
    (tmp_path / "__MACOSX" / "s1" / "x").mkdir(parents=True)
    return tmp_path


def test_root_without_clips_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"no clips in .*<emotion>/<subject>/<clip>/<frames>"):
        load_dataset("folder", tmp_path)
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere"):
        load_dataset("folder", tmp_path / "nowhere")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"a\.mp4 is neither a folder nor a CSV file"):
        load_dataset("folder", tmp_path / "a.mp4")
    with pytest.raises(InputError, match="unknown data set 'samm9'"):
        load_dataset("samm9", tmp_path)


def test_a_set_without_usable_clips_is_refused(tmp_path):
    (tmp_path / "fear" / "s1" / "empty").mkdir(parents=True)
    with pytest.raises(InputError, match=r"none of 1 clip of folder can be used.*no frames in"):
        load_dataset("folder", tmp_path)


def test_two_sets_of_one_name_are_not_combined(tree):
    first = load_dataset("folder", tree)
    other = load_dataset("folder", tree, set_name="other")
    both = combine([first, other])
    assert set(both.dataset) == {"folder", "other"} and len(both) == 6
    # Neither if their clips differ, nor if they are the made-up ones.
    for part in (first.iloc[:1], first.assign(dataset="semi-synthetic")):
        for rest in (part.assign(clip="x"), part.assign(subject="y")):
            name = part.dataset.iloc[0]
            with pytest.raises(InputError, match=f"two tables .* contain a data set named {name},"):
                combine([part, rest])
    mixed = pd.concat([first, other])
    with pytest.raises(InputError, match=r"two tables .* contain a data set named other,"):
        combine([mixed, other])


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a+b", "casme2", "SAMM", "synthetic", "a\nb"])
def test_a_set_is_not_called_as_another_one(tree, name):
    with pytest.raises(InputError, match="a data set cannot be called "):
        survey("folder", tree, set_name=name)


def test_the_papers_sets_keep_their_names(tmp_path):
    with pytest.raises(InputError, match="the data set samm takes no other name, got mine"):
        survey("samm", tmp_path, set_name="mine")


def test_load_dataset_hands_every_option_to_survey(tree, monkeypatch):
    found = survey("folder", tree)
    names = list(inspect.signature(datasets.survey).parameters)
    assert list(inspect.signature(load_dataset).parameters) == names
    options = dict.fromkeys(names[2:], "given")
    taken = {}
    monkeypatch.setattr(datasets, "survey", lambda *_, **given: taken.update(given) or found)
    load_dataset("folder", tree, **options)
    assert taken == options
