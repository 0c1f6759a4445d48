"""How long threads waited for a core, as the system counts it."""

import os

from originet.system import waits


def test_the_waits_are_those_of_the_system_where_it_counts_them(monkeypatch, tmp_path):
    before = waits.thread_times()
    assert set(before) <= set(os.listdir("/proc/self/task"))
    assert waits.waited(before, before, 1.0) == 0
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "schedstat").write_text("500 300 2\n")
    (tmp_path / "8").mkdir()  # a thread that has just ended
    monkeypatch.setattr(waits, "_TASKS", tmp_path)
    assert waits.thread_times() == {"7": (500, 300)}
    monkeypatch.setattr(waits, "_TASKS", tmp_path / "none")
    assert waits.thread_times() == {}
    assert waits.waited({}, {}, 1.0) == 0


SECOND = 10**9  # nanoseconds


def test_the_thread_that_waited_longest_counts():
    before = {"1": (5 * SECOND, 3 * SECOND)}
    after = {"1": (6 * SECOND, 3 * SECOND + SECOND // 4), "2": (SECOND // 2, SECOND // 2)}
    assert waits.waited(before, after, 1.0) == 0.5 * (len(os.sched_getaffinity(0)) > 1)
    assert waits.waited(before, {"1": after["1"]}, 1.0) == 0.25


def test_a_thread_that_hardly_ran_took_no_part():
    assert waits.waited({}, {"1": (0, SECOND // 10)}, 1.0) == 0
    assert waits.waited({}, {"1": (1, SECOND // 10)}, 1.0) == 0.1


def test_a_call_takes_some_time_however_long_it_waited():
    assert waits.waited({}, {"1": (0, 7 * SECOND)}, 1.0) == 0.9


def test_threads_that_outnumber_the_cores_wait_for_each_other(monkeypatch):
    after = {name: (SECOND // 2, SECOND // 2) for name in "abc"}
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    assert waits.waited({}, after, 1.0) == 0.5
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    assert waits.waited({}, after, 1.0) == 0
