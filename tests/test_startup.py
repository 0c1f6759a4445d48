"""What is answered before torch is loaded, and that every public name is there all the same."""

import os
import subprocess
import sys

import pytest

import originet
from originet import cli

HEAVY = "torch cv2 numpy pandas matplotlib sklearn safetensors joblib PIL originet_ext".split()
COMMANDS = [command.name for command in cli.app.registered_commands]

LOADED = """
import sys
from originet import cli
for arguments in {calls}:
    sys.argv = ["originet", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code
    loaded = [name for name in {heavy} if name in sys.modules]
    print("answered", code, *loaded, file=sys.stderr)
    assert not loaded, (arguments, loaded)
"""


def answers(*calls: tuple[str, ...]) -> list[int]:
    """Exit codes of calls, in one process that must not load what is heavy."""
    program = LOADED.format(calls=calls, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("answered")]
    return [int(line.split()[1]) for line in lines]


@pytest.mark.slow
def test_help_of_every_command_loads_nothing_heavy():
    calls = [("--help",), *((command, "--help") for command in COMMANDS)]
    assert len(calls) > 12
    assert answers(*calls) == [0] * len(calls)


@pytest.mark.slow
def test_what_is_mistyped_is_refused_before_anything_heavy_is_loaded():
    wrong = [(command, "--no-such-option") for command in COMMANDS]
    data = ("loso", "data", "-o", "out")
    settings = [(*data, "--method", "x"), (*data, "--executor", "x"), (*data, "--epochs", "0")]
    calls = [("no-such-command",), *wrong, ("loso",), *settings, (*data, "--epochs", "many")]
    assert answers(*calls) == [2] * len(calls)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--help",), ("loso", "--help"), ("loso", "--hepl")])
def test_answers_take_less_than_half_a_second_of_a_processor(arguments):
    def seconds(*words: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, *words], capture_output=True)
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])  # the child's: other work does not count

    # A busy machine takes more for the same, so one answer in time is enough.
    assert any(seconds("-m", "originet", *arguments) < 0.5 for _ in range(30))


@pytest.mark.slow
def test_public_names_are_imported_when_asked_for():
    program = (
        "import sys, originet\n"
        "assert 'torch' not in sys.modules\n"
        "assert set(originet.__all__) <= set(dir(originet))\n"
        "import originet.training.predict, originet.training.config\n"
        "for name in {*originet.__all__} - {'synth'}: assert callable(getattr(originet, name)), name\n"  # noqa: E501
        "assert originet.synth.generate and originet.evaluation\n"
        "from originet import bench, predict, synth\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert originet.predict is originet.training.predict.predict


def test_names_that_are_not_there_are_missed_as_ever():
    for name in ("no_such_name", "_private", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"'originet' has no attribute '{name}'"):
            getattr(originet, name)
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
        from originet import no_such_name  # noqa: F401


def test_public_names_are_those_that_type_checkers_see():
    """The table of `__getattr__` and the imports for type checkers say the same."""
    with open(originet.__file__, encoding="utf-8") as file:
        source = file.read()
    seen = {
        name.strip(): line.split()[1].removeprefix("originet.")
        for line in source.splitlines()
        if line.startswith("    from originet.")
        for name in line.partition(" import ")[2].split(",")
    }
    assert seen == originet._HOMES and set(seen) == set(originet.__all__)
