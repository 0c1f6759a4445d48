"""Hard conditions: full disks, signals, closed streams, no home, many clips, few handles, no room.

Each ends in success or in one line, and leaves no half file behind.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clips import random_frames, write_folder
from safetensors import safe_open
from stores import write_tree

from originet import cli

TINY = ("--epochs", 1, "--image-size", 16, "--rotation", 0, "--no-equalize", "--select", "last")
PATHS = os.pathsep.join(filter(None, sys.path))


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree", subjects=3)


def command(*arguments):
    return [sys.executable, "-m", "originet", *map(str, arguments)]


def limited(limits, *arguments):
    """Runs a command under what `ulimit` is told; returns what came of it."""
    words = ["bash", "-c", f'ulimit {limits} && exec "$@"', "-", *command(*arguments)]
    return subprocess.run(words, capture_output=True, text=True)


def assert_whole(folder):
    """Every file that is there under its own name can be read to its end."""
    for path in folder.rglob("*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as file:
                for name in file.keys():
                    file.get_tensor(name)


@pytest.fixture
def captured(monkeypatch, run):
    """Runs `originet ...` as `run` does, but what it prints goes to no file, which is limited."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["originet", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(printed := io.BytesIO(), "utf-8"))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        sys.stderr.flush()
        return stop.value.code, printed.getvalue().decode()

    return call


WRITERS = {
    "image": (100, ["image", "CLIP", "-o", "OUT/a.png"]),
    "images": (100, ["image", "TREE", "-o", "OUT"]),
    "array": (100, ["image", "CLIP", "-o", "OUT/a.npy"]),
    "film": (100, ["image", "CLIP", "-o", "OUT/a.gif"]),
    "synth": (100, ["synth", "OUT", "--subjects", 1, "--clips-per-class", 1]),
    "check": (100, ["check", "folder", "TREE", "--json", "OUT/a.json"]),
    "prepare": (100, ["prepare", "folder", "TREE", "-o", "OUT", "--image-size", 16]),
    "loso": (100, ["loso", "TREE", "-o", "OUT", *TINY]),
    "weights": (20_000, ["loso", "TREE", "-o", "OUT", *TINY]),
    "train": (100, ["train", "TREE", "-o", "OUT", *TINY]),
    "predict": (20, ["predict", "MODEL", "CLIP", "-o", "OUT/answers.csv"]),
    "export": (20, ["export", "MODEL", "--to", "onnx", "-o", "OUT"]),
    "score": (100, ["score", "TRUTH", "TRUTH", "--json", "OUT/a.json"]),
    "spot": (100, ["spot", "CLIP", "-o", "OUT", "--fps", 25]),
    "report": (100, ["report", "RUN"]),
    "logs": (100, ["report", "RUN", "--tensorboard", "OUT"]),
    "ablation": (100, ["ablation", "TREE", "-o", "OUT", "--row", "LR", *TINY]),
    "compare": (100, ["compare", "TREE", "-o", "OUT", "--network", "OrigiNet", *TINY]),
    "reproduce": (100, ["reproduce", "TREE", "-o", "OUT", "--quick", "--image-size", 16]),
    "demo": (100, ["demo", "-o", "OUT"]),
    "bench": (100, ["bench", "-o", "OUT", "--quick", "--subject", "rrelu", "--threads", 1]),
}


def test_every_command_that_writes_is_tried_on_a_full_disk():
    tried = {str(arguments[0]) for _, arguments in WRITERS.values()}
    assert tried == {each.name for each in cli.app.registered_commands} - {"doctor"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_in_one_line_and_leaves_no_half_file(
    name, run, captured, tree, tmp_path, one_thread, file_limit
):
    size, arguments = WRITERS[name]
    out = tmp_path / "out"
    places = {"TREE": tree, "CLIP": next(tree.glob("*/*/*")), "OUT": out, "RUN": tmp_path / "run"}
    if "TRUTH" in arguments:
        places["TRUTH"] = tmp_path / "truth.csv"
        places["TRUTH"].write_text("video,onset,offset\nv,1,9\n")
    if "MODEL" in arguments:
        places["MODEL"] = tmp_path / "model"
        code, _, err = run("train", tree, "-o", places["MODEL"], *TINY)
        assert code == 0, err
    if "RUN" in arguments:
        code, _, err = run("loso", tree, "-o", places["RUN"], *TINY)
        assert code == 0, err
    words = [re.sub("[A-Z]{3,}", lambda m: str(places[m[0]]), str(word)) for word in arguments]
    with file_limit(size):
        code, err = captured(*words)
    assert code == 2 and "Traceback" not in err, err
    told = [line for line in err.splitlines() if "File too large" in line]
    # TensorBoard writes into a temporary folder, of which there is nothing to say.
    assert told and (str(tmp_path) in told[0] or name == "logs") and ".tmp" not in err, err
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name]
    assert_whole(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_command_at_once_without_half_files(sent, tmp_path):
    tree, out = write_tree(tmp_path / "tree", subjects=16), tmp_path / "out"
    words = command("loso", tree, "-o", out, "--threads", 1, *TINY)
    running = subprocess.Popen(words, stderr=subprocess.PIPE)
    while running.poll() is None and not list(out.glob("folds/*.json")):
        time.sleep(0.005)
    running.send_signal(sent)
    _, err = running.communicate(timeout=60)
    assert running.returncode == -sent and b"Traceback" not in err, err
    assert_whole(out)


@pytest.mark.slow
def test_readers_that_have_gone_are_no_failure_to_be_told(tree):
    here, there = os.pipe()
    os.close(here)
    check = command("check", "folder", tree)
    done = subprocess.run(check, stdout=there, stderr=subprocess.PIPE)
    assert done.returncode == 141 and not re.search(b"error|Traceback|Exception", done.stderr)
    done = subprocess.run(command("report", tree), stdout=there, stderr=there)
    assert done.returncode == 141
    os.close(there)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("streams", "code", "told"),
    [
        (">/dev/full", 2, "error: check: No space left on device\n"),
        (">&- 2>&-", 0, ""),
    ],
)
def test_streams_may_be_closed_or_full(tree, streams, code, told):
    words = ["bash", "-c", f'"$@" {streams}', "-", *command("check", "folder", tree)]
    done = subprocess.run(words, capture_output=True, text=True)
    lines = "".join(line for line in done.stderr.splitlines(True) if line.startswith("error"))
    assert (done.returncode, lines) == (code, told) and "Exception" not in done.stderr


@pytest.mark.slow
def test_no_home_and_no_environment_are_needed(tree, tmp_path):
    clip = next(tree.glob("*/*/*"))
    words = command("image", clip, "-o", tmp_path / "a.png", "--all-methods")
    bare = {"PATH": os.defpath, "PYTHONPATH": PATHS, "HOME": str(tmp_path / "none" / "here")}
    done = subprocess.run(words, env=bare, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0 and (tmp_path / "a.png").is_file(), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_twenty_thousand_clips_are_surveyed_in_little_memory(tmp_path):
    frames = sorted(write_folder(tmp_path / "frames", random_frames(2, (4, 4))).iterdir())
    for clip in range(20_000):
        folder = tmp_path / "tree" / "ab"[clip % 2] / f"s{clip % 50}" / f"c{clip}"
        folder.mkdir(parents=True)
        for frame in frames:
            os.link(frame, folder / frame.name)
    # The process itself says what it took: rusage would count what this one had when it forked.
    code = "import re; from originet.__main__ import main\ntry: main()\n"
    code += "finally: print(re.findall('VmHWM.*', open('/proc/self/status').read()))"
    words = [sys.executable, "-c", code, "check", "folder", tmp_path / "tree", "--no-pictures"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "20000 usable clips of 50 subjects" in done.stdout, done.stderr
    (kibibytes,) = re.findall(r"VmHWM:\\t *([0-9]+) kB", done.stdout)
    assert int(kibibytes) < 1_500_000  # of which torch has a third and more


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "loso"])
def test_sixty_four_handles_are_enough(name, tmp_path):
    tree = write_tree(tmp_path / "tree", subjects=3 if name == "loso" else 30)
    options = {
        "prepare": ("prepare", "folder", tree, "--image-size", 16, "--jobs", 40),
        "loso": ("loso", tree, "--threads", 1, *TINY),
    }
    done = limited("-n 64", *options[name], "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_too_little_room_to_start_is_told_in_one_line(tree):
    # With so little, libraries cannot be mapped, however many threads they would start.
    assert limited("-v 400000", "--help").returncode == 0
    done = limited("-v 400000", "check", "folder", tree)
    assert done.returncode == 2 and re.fullmatch("error: check: .*\n", done.stderr), done.stderr


def test_images_too_large_for_the_memory_are_told_in_one_line(run, tree, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 9 EiB for an array")

    monkeypatch.setattr("originet.datasets.store.write_store", fail)
    code, _, err = run("prepare", "folder", tree, "-o", tmp_path / "out")
    assert (code, err) == (2, "error: prepare: Unable to allocate 9 EiB for an array\n")


def test_ctrl_c_before_the_first_word_is_read_ends_quietly(tmp_path):
    package = tmp_path / "typer"
    package.mkdir()
    Path(package / "__init__.py").write_text("raise KeyboardInterrupt")
    paths = os.pathsep.join([str(tmp_path), PATHS])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command("--help"), env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (130, b"")
