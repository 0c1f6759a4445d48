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
