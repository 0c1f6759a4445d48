"""Steps that are captured as CUDA graphs, with a stand-in for the device."""

import weakref

import pytest
import torch

from originet.system.errors import InputError
from originet.training.cuda_graph import Graphs


class Recorder:
    """Stands for `torch.cuda.CUDAGraph`: what is recorded is noted, not run, as there."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.pools: list[object] = []
        self.recording = False
        self.broken = False

    def __call__(self) -> "Recorder":
        return self

    def capture_begin(self, pool: object) -> None:
        self.pools.append(pool)
        self.recording, self.broken = True, False

    def capture_end(self) -> None:
        self.recording = False
        if self.broken:
            raise RuntimeError("operation failed due to a previous error during capture")

    def replay(self) -> None:
        self.done.append("replayed")

    def step(self, size: int) -> None:
        self.done.append(f"{'recorded' if self.recording else 'ran'} {size}")

    def reads_back(self, size: int) -> None:
        if self.recording:
            self.broken = True
            raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    stand_in = Recorder()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", stand_in)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    return stand_in


def test_every_call_is_one_step_run_or_replayed(recorder: Recorder) -> None:
    graphs = Graphs()
    for size in (8, 8, 7, 8, 8, 8, 7):
        graphs.run(recorder.step, size)
    assert recorder.done == [
        *("ran 8", "ran 8", "ran 7", "ran 8"),  # libraries and the optimiser get ready
        *("recorded 8", "replayed", "replayed", "ran 7"),
    ]


def test_steps_have_graphs_of_their_own_in_one_pool(recorder: Recorder) -> None:
    graphs = Graphs()
    for _ in range(4):
        graphs.run(recorder.step, 8)
        graphs.run(recorder.step, 7)
    assert recorder.done[-4:] == ["recorded 8", "replayed", "recorded 7", "replayed"]
    assert len(set(recorder.pools)) == 1


def test_graphs_do_not_keep_whose_steps_they_hold(recorder: Recorder) -> None:
    # No cycle of references, in which large networks would wait for the garbage collector.
    class Owner:
        def __init__(self) -> None:
            self.graphs = Graphs()

        def step(self, size: int) -> None:
            pass

    owner = Owner()
    for _ in range(5):
        owner.graphs.run(owner.step, 8)
    gone = weakref.ref(owner)
    del owner
    assert recorder.done and gone() is None


def test_a_capture_that_fails_names_its_first_error_and_ends(recorder: Recorder) -> None:
    graphs = Graphs()
    for _ in range(3):
        graphs.run(recorder.reads_back, 8)
    with pytest.raises(InputError, match=r"captured as a CUDA graph \(operation not .*capturing\)"):
        graphs.run(recorder.reads_back, 8)
    assert not recorder.recording


def test_running_out_of_memory_in_a_capture_is_told_as_such(recorder: Recorder) -> None:
    def hungry(size: int) -> None:
        if recorder.recording:
            raise torch.OutOfMemoryError("CUDA out of memory")

    graphs = Graphs()
    for _ in range(3):
        graphs.run(hungry, 8)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.run(hungry, 8)
    assert not recorder.recording
