"""Settings of OpenCV that are changed for a while."""

import threading

import pytest

from originet.system.opencv import Meanwhile


def test_a_setting_comes_back_when_the_last_leaves():
    setting = [7]
    context = Meanwhile(lambda: setting[0], lambda value: setting.__setitem__(0, value), 1)
    inside, leave = threading.Event(), threading.Event()

    def enter():
        with context:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=enter)
    with context:
        assert setting == [1]
        with context:
            assert setting == [1]
        assert setting == [1]
        thread.start()
        assert inside.wait(10)
    assert setting == [1]  # the other thread is still inside
    leave.set()
    thread.join()
    assert setting == [7]
    with pytest.raises(KeyError), context:
        raise KeyError
    assert setting == [7]
