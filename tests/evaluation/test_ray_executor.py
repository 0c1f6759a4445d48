"""Folds on a Ray cluster of two nodes: the same numbers, a node that dies, what is refused."""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from folds import contents, small_set, with_dropout, without_time
from folds import run as loso
from stores import make, write_tree
from torch import nn

from originet.evaluation.executors import Serial
from originet.evaluation.ray_executor import Ray
from originet.system.errors import InputError

# What a cluster reads when it starts:
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # by default 15: on a busy machine workers would starve
# Every node and every connection asks for this token. If the mode were unset, a Ray that starts
# in this process would set it for good, and the nodes that were there before, which know of no
# token, could no longer tell this process what their tasks came to.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
ONE = Serial(threads=1)
PATIENCE = 300  # seconds; on a busy machine a worker takes long to start


@pytest.fixture(scope="module", autouse=True)
def paths():
    """Workers import what is pickled by name, as `folds`, from where this process has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


@pytest.fixture(scope="module")
def cluster(paths):
    nodes = cluster_utils.Cluster()
    # A dead node is noticed in seconds; by default it takes half a minute.
    quickly = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000}
    nodes.add_node(**NODE, include_dashboard=False, _system_config=quickly)
    nodes.add_node(**NODE)
    yield nodes
    nodes.shutdown()


@pytest.fixture
def connected(cluster):
    """The cluster, and a connection to it that ends with the test."""
    ray.init(cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()


@pytest.fixture
def doomed(connected):
    """A third node, which the cluster has lost after the test however that ends."""
    node = connected.add_node(**NODE)
    yield node
    if node in connected.list_all_nodes():
        connected.remove_node(node, allow_graceful=False)


def marking(folder: Path, act: Callable[[], None]) -> Callable[[int], nn.Module]:
    """A factory that in other processes leaves a file, named by node, and acts."""
    here = os.getpid()

    def model(num_classes: int) -> nn.Module:
        if os.getpid() != here:
            (folder / f"{ray.get_runtime_context().get_node_id()}-{time.time_ns()}").touch()
            act()
        return with_dropout(num_classes)

    return model


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain: {what}"
        time.sleep(0.02)


def settings() -> dict[str, str]:
    """What this process, and the nodes that it starts, take from the environment."""
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


@pytest.mark.slow
def test_a_ray_that_was_started_here_is_shut_down(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    table, images = small_set(2)
    calls: list[tuple[int, int]] = []
    more = {"model": lambda classes: with_dropout(classes), "progress": lambda *c: calls.append(c)}
    before = settings()
    there = loso(table, images, executor=Ray(), **more)
    assert not ray.is_initialized()
    assert settings() == before  # or the tests that follow would meet another mode
    assert calls == [(5, 10), (10, 10)]
    assert without_time(there) == without_time(loso(table, images, executor=ONE, **more))


@pytest.mark.slow
def test_the_command_line_uses_a_cluster(cluster, run, tmp_path):
    make(write_tree(tmp_path / "tree", subjects=3), tmp_path / "store")
    quick = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")

    def command(out, *more):
        return run("loso", tmp_path / "store", "-o", tmp_path / out, *quick, "--executor", *more)

    on_cluster = ("ray", "--address", cluster.address)
    for out, executor in (("one", ("serial", "--threads", 1)), ("two", on_cluster)):
        code, _, err = command(out, *executor)
        assert code == 0, err
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    code, _, err = command("never", *on_cluster, "--cpus-per-task", 2)
    assert code == 2 and err.count("\n") == 1
    assert (
        "no Ray node has the cpus_per_task 2 and gpus_per_task 0 that a fold needs; they have 1"
        in err
    )


@pytest.mark.slow
def test_a_fold_that_fails_by_itself_is_not_tried_again(connected, tmp_path):
    def fail() -> None:
        raise RuntimeError("nothing to be had")

    with pytest.raises(InputError, match=r"^seed 0, subject s0\d: nothing to be had$"):
        loso(*small_set(2), model=marking(tmp_path, fail), executor=Ray())
    assert 1 <= len(list(tmp_path.iterdir())) <= 2  # each fold once at most


@pytest.mark.slow
def test_a_mistake_in_a_model_keeps_its_type(connected, tmp_path):
    def fail() -> None:
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        loso(*small_set(2), model=marking(tmp_path, fail), executor=Ray())


@pytest.mark.slow
def test_a_worker_that_dies_is_told_where_no_other_may_try(connected, tmp_path):
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    text = r"^seed 0, subject s0\d: lost by Ray after 0 retries: .*; a smaller batch_size or"
    with pytest.raises(InputError, match=text) as told:
        loso(*small_set(2), model=marking(tmp_path, die), executor=Ray(retries=0))
    assert "\n" not in str(told.value)
    assert 1 <= len(list(tmp_path.iterdir())) <= 2  # each fold once at most


@pytest.mark.slow
def test_a_node_that_is_killed_changes_no_bit(connected, doomed, tmp_path):
    table, images = small_set(subjects=5)
    undisturbed = loso(table, images, model=with_dropout, executor=ONE, out=tmp_path / "whole")
    started, go = tmp_path / "started", tmp_path / "go"
    started.mkdir()

    identity = doomed.node_id

    def hold() -> None:  # until the doomed node computes as well, which ends with it only
        here = ray.get_runtime_context().get_node_id()
        wait_for(lambda: go.exists() and here != identity, "the node is killed")

    def on_doomed() -> list[Path]:
        return list(started.glob(f"{identity}-*"))

    def kill() -> None:
        wait_for(on_doomed, "the node that will be killed computes a fold")
        go.touch()
        connected.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    result = loso(
        *(table, images),
        model=marking(started, hold),
        executor=Ray(retries=20),  # some start on the dead node, as long as Ray does not know it
        out=tmp_path / "out",
    )
    killer.join()
    assert len(on_doomed()) == 1
    assert len(list(started.iterdir())) == 6  # the fold on the node was computed again
    assert without_time(result) == without_time(undisturbed)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert ray.is_initialized()  # what was there before stays


@pytest.mark.slow
def test_a_ray_that_cannot_be_had_is_told(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match=r"no Ray cluster at address '127\.0\.0\.1:1': .*refused"):
        loso(*small_set(2), executor=Ray("127.0.0.1:1"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"needs the package ray, pip install 'originet\[ray\]'"):
        loso(*small_set(2), executor=Ray())
