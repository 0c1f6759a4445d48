"""originet.system.new_folder; tests/datasets/test_synth.py has what happens on a full disk."""

import errno
import os

import pytest

from originet.system.errors import InputError
from originet.system.lock import NAME
from originet.system.new_folder import check_free, written_beside


def test_a_folder_appears_with_all_of_its_files(tmp_path):
    out = tmp_path / "a" / "out"
    with written_beside(out) as folder:
        (folder / "one").write_text("1")
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (out / "one").read_text() == "1"


def test_an_empty_folder_is_replaced(tmp_path):
    with written_beside(tmp_path / "out") as folder:
        (tmp_path / "out").mkdir()
        (folder / "one").touch()
    assert (tmp_path / "out" / "one").exists()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (InputError("wrong"), InputError),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), InputError),
    ],
)
def test_a_failure_leaves_nothing(tmp_path, error, raised):
    with (
        pytest.raises(raised) as told,
        written_beside(tmp_path / "a" / "out") as folder,
    ):
        (folder / "half").touch()
        raise error
    assert list(tmp_path.iterdir()) == []
    if isinstance(error, OSError):
        assert str(told.value).endswith("a/out: No space left on device")


def test_what_is_there_is_not_replaced(tmp_path):
    check_free(tmp_path / "none")
    (tmp_path / NAME).touch()  # of a run that holds the folder
    check_free(tmp_path)
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="exists and is not an empty folder"):
            check_free(taken)
