"""Files: what is opened, what is not, and that no name from a file leads out of its folder."""

import os
import socket

import pytest

from originet.system.errors import InputError
from originet.system.files import check_regular, inside, read_file, sha256, write_atomically

READERS = {
    "read_file": lambda path: read_file(path, most=100),
    "sha256": sha256,
    "check_regular": check_regular,
}


@pytest.fixture(params=READERS.values(), ids=READERS)
def read(request):
    return request.param


def test_a_file_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    (tmp_path / "link").symlink_to(path)
    assert read_file(tmp_path / "link", most=3) == b"abc"
    assert check_regular(path) == 3
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match=r"file is too large: 3 bytes, the limit is 2$"):
        read_file(path, most=2)


def test_what_could_wait_for_ever_is_refused(tmp_path, read, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has 108 bytes at most
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe is a pipe, not a file$"):
        read(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"link is a pipe, not a file$"):
        read(tmp_path / "link")
    with pytest.raises(InputError, match=r"^/dev/zero is a device, not a file$"):
        read("/dev/zero")
    with pytest.raises(InputError, match=r"is a folder, not a file$"):
        read(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(InputError, match=r"^(socket is a socket|cannot read socket)"):
            read("socket")


@pytest.mark.parametrize("name", ["missing", "a\0b", "x" * 300])
def test_what_is_not_there_is_named(tmp_path, read, name):
    with pytest.raises(InputError, match=r"^(no such file|cannot read)"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "link/x", "out", "circle/x", "a\0b", None],
)
def test_no_name_leads_out_of_its_folder(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "circle").symlink_to(folder / "circle")
    with pytest.raises(InputError, match="names no file in"):
        inside(folder, name)


@pytest.mark.parametrize("name", ["x", "a/x", "a/../x", "..x", "x..", "here/x"])
def test_names_of_files_in_the_folder_are_joined(tmp_path, name):
    (tmp_path / "here").symlink_to(tmp_path)
    assert inside(tmp_path, name) == tmp_path / name


def test_a_failure_to_write_names_the_file_that_was_meant(tmp_path):
    (tmp_path / "plain").touch()
    for path in (tmp_path / "plain" / "x", tmp_path / ("x" * 255), tmp_path):
        with pytest.raises(OSError) as told:
            write_atomically(path, b"")
        assert told.value.filename == str(path) and ".tmp" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_no_link_in_the_place_of_the_temporary_file_is_written_through(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"stays")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(tmp_path / "elsewhere")
    write_atomically(tmp_path / "file", b"data")
    assert (tmp_path / "elsewhere").read_bytes() == b"stays"
    assert (tmp_path / "file").read_bytes() == b"data" and not (tmp_path / "file").is_symlink()
