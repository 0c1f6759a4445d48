"""A limit of time, a tree of clips, and a finished store beside a file of somebody else."""

import signal

import pytest
from folders import write_clip
from stores import make, write_tree


@pytest.fixture
def at_once():
    """Whatever waits is an error."""

    def stop(*_):
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def root(tmp_path):
    """A tree of two clips, in a folder beside which there are others."""
    for subject in ("s1", "s2"):
        write_clip(tmp_path / "root" / "happy" / subject / "a")
    return tmp_path / "root"


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
