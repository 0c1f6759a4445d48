"""Trees of clips, their stores, and runs in a process of their own that end at a chosen moment."""

import json
import multiprocessing
import os
import resource
import signal
import struct
from pathlib import Path

from clips import random_frames, write_folder

from originet import datasets
from originet.datasets import store
from originet.datasets.prepare import Settings
from originet.system import files

SIZE = 16

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["originet.datasets.store"])


def write_tree(root, *, subjects=2, labels=("happiness", "sadness")):
    """Writes root/<label>/<subject>/<clip>: one clip of each label and subject, 5 frames each."""
    for number in range(subjects):
        for place, label in enumerate(labels):
            frames = random_frames(5, seed=number * len(labels) + place)
            write_folder(root / label / f"s{number}" / f"{label}_{number}", frames)
    return root


def frame_of(root, label="sadness", subject="s1"):
    """The third frame of a clip."""
    return next((root / label / subject).iterdir()) / "img3.png"


def make(root, out, *methods, set_name=None, **options):
    """Writes the store of a tree."""
    settings = Settings(methods or ("cumulative",), SIZE)
    found = datasets.survey("folder", root, set_name=set_name)
    return store.write_store(found, out, settings, **options)


def contents(folder):
    """Bytes of every file below a folder, hidden ones too, by relative path; None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in Path(folder).rglob("*")
    }


def count_clips(monkeypatch):
    """Returns a list that grows by the methods of each clip that is prepared."""
    made = []

    def prepare_clips(table, settings, **options):
        made.extend([settings.methods] * len(table))
        return original(table, settings, **options)

    original = store.prepare_clips
    monkeypatch.setattr(store, "prepare_clips", prepare_clips)
    return made


def nth_write(number, end, write_bytes=Path.write_bytes):
    """A Path.write_bytes whose call of a number writes half of the file and calls `end`."""
    calls = 0

    def write(path, data):
        nonlocal calls
        calls += 1
        if calls == number:
            write_bytes(path, data[: len(data) // 2])
            end()
        return write_bytes(path, data)

    return write


def _killed(root, out, moment, number):
    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "write":
        Path.write_bytes = nth_write(number, kill)
    else:  # before a file is moved into place, or a file or folder is removed
        calls = 0

        def counted(function):
            def call(*arguments, **options):
                nonlocal calls
                calls += 1
                if calls == number:
                    kill()
                return function(*arguments, **options)

            return call

        for name in ("replace", "unlink", "rmdir"):
            setattr(os, name, counted(getattr(os, name)))
        assert files.os is os
    make(root, out)


def killed_run(root, out, moment, number):
    """Makes a store in a process that kills itself at a moment; tells whether it came to that."""
    process = _processes.Process(target=_killed, args=(root, out, moment, number))
    process.start()
    process.join(600)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _limited(root, out, limit, pipe):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        make(root, out)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
    else:
        pipe.send("")


def limited_run(root, out, limit):
    """Makes a store where no file may pass a size in bytes; returns the error."""
    here, there = _processes.Pipe()
    process = _processes.Process(target=_limited, args=(root, out, limit, there))
    process.start()
    assert here.poll(60)
    process.join(600)
    return here.recv()


def rewrite(path, **values):
    """Changes values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def with_header(header, data=b"", length=None):
    """A safetensors file of any header."""
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(told) if length is None else length) + told + data


def tensor(kind, shape, start, stop):
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}
