"""What errors say: one line, of sensible length, whatever it quotes."""

import pickle

from originet.errors import InputError


def test_a_message_is_one_line():
    assert str(InputError("a\nb\n")) == "a b"
    assert str(InputError("x: 'a  b'")) == "x: 'a  b'"


def test_a_message_keeps_its_start_and_its_end():
    told = str(InputError("/path/to/file: name must be short, got " + "x" * 1_000_000 + " (of 3)"))
    assert told.startswith("/path/to/file: name must be short, got xxx")
    assert " ... xxx" in told and told.endswith("xxx (of 3)") and len(told) == 1505


def test_a_message_goes_from_process_to_process():
    error = InputError("a" * 5000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
