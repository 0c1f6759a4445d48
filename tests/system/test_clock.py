"""The clock: its rounds, the attempts on a busy machine, and the threads that jobs ask for."""

import dataclasses
import os

import pytest
import torch
from benches import CPU

import originet_ext
from originet import bench
from originet.system import clock
from originet.system.environment import cache_sizes
from originet.system.errors import InputError

NAMES = ("fused", "eager", "silu", "mish")


@pytest.mark.parametrize("mode", ["forward", "backward", "full"])
def test_time_case_gives_consistent_rows_for_each_provider_and_the_clone(mode):
    case = bench.rrelu_case((3, 1000), mode=mode, providers=bench.rrelu_providers(NAMES))
    rows = clock.time_case(case, budget=0.01)
    assert [row.provider for row in rows] == [*NAMES, "clone"]
    clone = rows[-1]
    for row in rows:
        assert 0 < row.q20_us <= row.median_us <= row.q80_us
        assert row.bytes == {"forward": 2, "backward": 3, "full": 5}[mode] * 3 * 1000 * 4
        assert row.gbps == pytest.approx(row.bytes / row.median_us / 1e3, rel=0.01, abs=5e-4)
        assert row.copy_ratio == pytest.approx(clone.median_us / row.median_us, rel=0.01, abs=5e-5)
        assert (row.shape, row.dtype, row.mode) == ("3x1000", "float32", mode)
        assert row.device_name and row.torch == torch.__version__
        assert row.threads == torch.get_num_threads()
        assert row.peak_bytes == row.saved_bytes == 0
        assert (row.l2_bytes, row.l3_bytes) == cache_sizes(torch.device("cpu"))
    assert clone.copy_ratio == 1


def test_time_case_takes_every_provider_once_a_round_in_changing_order(monkeypatch):
    rounds = []

    def sample(call, repeats):
        rounds.append(call())
        return 1.0  # a second, so that each call is timed once

    calls = {name: lambda name=name: name for name in "abcd"}
    case = clock.Case("x", "forward", torch.device("cpu"), torch.float32, (1,), "", 0, calls)
    monkeypatch.setattr(clock, "_clock", lambda case: sample)
    monkeypatch.setattr(clock, "_MIN_ROUNDS", 12)
    clock.time_case(case, budget=0)
    rounds = rounds[-12 * 4 :]  # without those that find out how often to repeat
    orders = ["".join(rounds[i : i + 4]) for i in range(0, len(rounds), 4)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len(set(orders)) > 6


class Machine:
    """A machine whose calls take as long as a script says, and whose threads wait as it says."""

    def __init__(self, monkeypatch, script, waits=0.0, threads=1):
        """Takes the seconds of provider "b", in turn; "a" always takes 1, of which it waits."""
        self.script, self.waits, self.threads = iter(script), waits, threads
        self.clock, self.waited = 0.0, 0
        monkeypatch.setattr(clock, "_clock", lambda case: self.sample)
        monkeypatch.setattr(clock, "_repeats", lambda call, case, sample: 1)
        monkeypatch.setattr(clock.time, "perf_counter", lambda: self.clock)
        monkeypatch.setattr(clock.waits, "thread_times", self.thread_times)

    def sample(self, call, repeats):
        seconds = 1.0 if call() == "a" else next(self.script)
        self.clock += seconds
        self.waited += seconds * self.waits
        return seconds

    def thread_times(self):
        ran, waited = int(self.clock * 1e9), int(self.waited * 1e9)
        return {str(name): (ran - waited, waited) for name in range(self.threads)}

    def time(self, once=False, budget=0):
        calls = {name: lambda name=name: name for name in "ab"}
        arguments = ("x", "forward", CPU, torch.float32, (1,), "", 0, calls)
        a, b = clock.time_case(clock.Case(*arguments, once=once), budget=budget)
        self.left = len(list(self.script))
        return a, b


# Three rounds an attempt.
QUIET, BUSY, WORSE = [2.0, 2.1, 1.9], [2.0, 84.0, 84.0], [2.0, 84.0, 200.0]


def test_a_case_whose_rounds_agree_is_timed_once(monkeypatch):
    machine = Machine(monkeypatch, QUIET + BUSY)
    a, b = machine.time()
    assert (a.median_us, b.median_us) == (1e6, 2e6) and a.reliable and b.reliable
    assert machine.left == 3


def test_a_case_whose_rounds_spread_is_timed_again(monkeypatch):
    machine = Machine(monkeypatch, BUSY + QUIET + BUSY)
    _, b = machine.time()
    assert (b.median_us, b.q80_us) == (2e6, 2.06e6) and b.reliable  # nothing of the busy attempt
    assert machine.left == 3


def test_a_machine_that_stays_busy_leaves_the_steadiest_attempt_unreliable(monkeypatch):
    machine = Machine(monkeypatch, WORSE + BUSY + WORSE + QUIET)
    a, b = machine.time()
    assert b.median_us == 84e6 and b.q80_us == 84e6 and not b.reliable
    assert a.reliable  # of which the case says nothing
    assert machine.left == 3


def test_rounds_that_agree_on_waiting_are_unreliable(monkeypatch):
    always = [42.0] * 9
    machine = Machine(monkeypatch, always, waits=0.9)
    a, b = machine.time()
    assert b.median_us == b.q80_us == 42e6 and b.q20_us == pytest.approx(4.2e6)
    assert not a.reliable and not b.reliable and machine.left == 0
    assert all(row.reliable for row in Machine(monkeypatch, always, waits=0.3).time())
    # More threads than cores wait for each other, on a quiet machine too.
    cores = len(os.sched_getaffinity(0))
    assert all(r.reliable for r in Machine(monkeypatch, always, 0.9, threads=cores + 1).time())
    assert not Machine(monkeypatch, always, 0.9, threads=cores).time()[1].reliable


def test_a_case_that_is_timed_once_is_not_repeated(monkeypatch):
    machine = Machine(monkeypatch, [2.0, 2.0], waits=0.9)
    _, b = machine.time(once=True)
    assert b.median_us == 2e6 and not b.reliable and machine.left == 1


def test_fused_psi_keeps_its_input_alone_for_backward():
    x = torch.randn(1000, requires_grad=True)
    assert clock.saved_bytes(lambda: originet_ext.fused_rrelu(x)) == x.nbytes
    assert clock.saved_bytes(lambda: originet_ext.fused_rrelu(x), exclude=[x]) == 0
    # sigmoid(x), x itself and 1 + leaky_relu(x)
    assert clock.saved_bytes(lambda: bench.eager_rrelu(x)) == 3 * x.nbytes


def test_run_jobs_sets_the_threads_reports_progress_and_puts_the_threads_back():
    before = torch.get_num_threads()
    jobs = bench.active_image.active_image_jobs(CPU, threads=[1, before + 1], quick=True)
    jobs = [dataclasses.replace(job, budget=0) for job in jobs[::2]]  # the small clip
    seen = []
    rows = clock.run_jobs(jobs, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert {row.threads for row in rows} == {1, before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.needs_cuda
def test_launch_latency_and_peak_memory_on_a_gpu():
    case = bench.rrelu_case(
        (256,), mode="launch", device="cuda", providers=bench.rrelu_providers(["fused"])
    )
    for row in clock.time_case(case, budget=0.05):
        assert 0 < row.median_us < 1000 and row.threads == 0
        assert row.peak_bytes >= 1024 and row.l2_bytes > 0


def test_time_case_takes_the_clone_that_a_case_brings():
    called = []
    calls = {"a": lambda: None, "clone": lambda: called.append(1)}
    case = clock.Case("x", "cold", CPU, torch.uint8, (1,), "", 8, calls)
    rows = clock.time_case(case, budget=0)
    assert [row.provider for row in rows] == ["a", "clone"] and called


def test_a_result_of_another_shape_or_value_is_refused():
    x = torch.ones(2, 3)
    clock.check_close("sum", "fused", x, x + 0.1, 0.11)
    for wrong, message in (
        (x + 0.2, "sum: provider 'fused' is wrong by 0.2 > 0.11"),
        (x * torch.nan, "sum: provider 'fused' is wrong by nan > 0.11"),
        (x[0], r"sum: provider 'fused' is wrong: shape \[3\] instead of \[2, 3\]"),
    ):
        with pytest.raises(RuntimeError, match=message):
            clock.check_close("sum", "fused", wrong, x, 0.11)


def test_rows_are_picked_from_a_result_of_the_right_length_only():
    rows = torch.arange(10).view(5, 2)
    assert clock.sampled(rows, 5, [0, 4]).tolist() == [[0, 1], [8, 9]]
    assert clock.sampled(rows, 6, [0, 4]) is rows  # whose shape is then told to be wrong


def test_views_of_one_storage_are_kept_once():
    x = torch.ones(8, requires_grad=True)
    assert clock.saved_bytes(lambda: x[:4] * x[4:]) == x.nbytes
    with pytest.raises(InputError, match="its result requires no gradient"):
        clock.saved_bytes(lambda: x.detach() + 1)
