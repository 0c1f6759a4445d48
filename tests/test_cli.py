"""The command line: what it writes, and that bad input ends in one line and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import originet_ext
from originet import cli, doctor, synth
from originet.video import read_clip


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs `originet ...` in this process; returns (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["originet", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capfd.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=3, clips_per_class=1)


def write_frames(folder, count=6, size=(24, 32)):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, count + 1):
        image = rng.integers(0, 256, size, dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"img{number}.png"), image)
    return folder


def test_console_script_is_installed():
    printed = subprocess.check_output(
        [Path(sys.executable).with_name("originet"), "--help"], text=True
    )
    for command in ("demo", "image", "synth", "loso", "bench", "doctor"):
        assert f" {command} " in printed


@pytest.mark.parametrize("method", ["paper", "rank"])
def test_image_of_a_folder(run, tmp_path, method):
    source = write_frames(tmp_path / "clip")
    code, out, _ = run("image", source, "-o", tmp_path / "new" / "a.png", "--method", method)
    assert code == 0 and "6 frames" in out
    picture = cv2.imread(str(tmp_path / "new" / "a.png"), cv2.IMREAD_UNCHANGED)
    frames = torch.from_numpy(read_clip(sorted(map(str, source.iterdir()))))
    want = originet_ext.active_image(frames, method=method, normalize="minmax")
    np.testing.assert_array_equal(picture, want.round().numpy())


def test_image_as_float32_array(run, tmp_path):
    source = write_frames(tmp_path / "clip")
    code, _, _ = run("image", source, "-o", tmp_path / "a.npy", "--normalize", "none")
    assert code == 0
    pixels = np.load(tmp_path / "a.npy")
    assert pixels.dtype == np.float32 and pixels.min() < 0


def test_image_of_a_face_video_cropped_and_in_colour(run, tmp_path):
    out = tmp_path / "face.png"
    code, _, err = run("image", synth.carphone_path(), "-o", out, "--crop-face", "--color")
    assert code == 0, err
    height, width, channels = cv2.imread(str(out), cv2.IMREAD_UNCHANGED).shape
    assert height == width < 144 and channels == 3


def test_loso_writes_results_and_resumes(run, tmp_path, clips):
    arguments = ("loso", clips, "-o", tmp_path / "out", "--epochs", 1, "--image-size", 16)
    arguments += ("--rotation", 0, "--no-equalize", "--select", "last", "--seed", 3)
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "semi-synthetic: 12 clips" in out.replace("\n", " ").replace("  ", " ")
    assert "majority-class baseline" in out and "sha256" in out
    first = json.loads((tmp_path / "out" / "results.json").read_text())
    assert first["config"]["rotations"] == [0] and first["config"]["seeds"] == [3]
    (tmp_path / "out" / "results.json").unlink()
    assert run(*arguments)[0] == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == first
    code, _, err = run(*arguments[:-1], 4)
    assert code == 2 and "holds results of another run: config.seeds" in err


def test_doctor_tells_what_works(run):
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("torch", "CPU kernels", "CUDA usable", "face cascade"):
        assert word in out


def test_doctor_reports_direct_calls_that_this_torch_does_not_allow(monkeypatch):
    info = originet_ext.build_info()
    for reason, ok in (("", True), ("torch lacks a function", False)):
        changed = info | {"direct_calls_unavailable": reason}
        monkeypatch.setattr(originet_ext, "build_info", lambda changed=changed: changed)
        (finding,) = [f for f in doctor.diagnose() if f.name == "direct calls"]
        assert finding.ok is ok and reason in finding.text


def test_doctor_gives_the_reason_why_cuda_is_not_usable(monkeypatch):
    built = originet_ext.build_info() | {"cuda_archs": "7.5;9.0+PTX", "cuda_symbols_resolved": True}
    monkeypatch.setattr(originet_ext, "build_info", lambda: built)
    if torch.version.cuda is None:
        assert "is a CPU-only build" in doctor.cuda_usable()[1]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in doctor.cuda_usable()[1]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert "Old GPU has compute capability 6.1" in doctor.cuda_usable()[1]
    built["cuda_symbols_resolved"] = False
    assert "does not export the stream" in doctor.cuda_usable()[1]
    built["cuda_archs"] = ""
    assert "built without CUDA kernels" in doctor.cuda_usable()[1]


@pytest.mark.parametrize(
    ("capability", "archs", "covered"),
    [
        ((9, 0), "7.5;9.0", True),
        ((8, 9), "8.6;9.0", True),
        ((8, 0), "8.6;9.0", False),
        ((10, 3), "9.0", False),
        ((10, 3), "9.0+PTX", True),
        ((12, 1), "12.0+PTX", True),
    ],
)
def test_compute_capabilities_covered_by_an_arch_list(capability, archs, covered):
    assert doctor._covered(capability, archs) is covered


# Bad input: one line, exit code 2, no traceback, nothing written


@pytest.fixture
def refuse(run, tmp_path):
    def check(message: str, *arguments: object) -> None:
        before = sorted(tmp_path.rglob("*"))
        code, _, err = run(*arguments)
        assert code == 2
        assert err.count("\n") == 1 and err.startswith("error: "), err
        assert message in err, err
        assert sorted(tmp_path.rglob("*")) == before

    return check


def test_missing_and_empty_videos(refuse, tmp_path):
    out = tmp_path / "a.png"
    refuse("no such file or folder", "image", tmp_path / "none.mp4", "-o", out)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    refuse(f"{empty}", "image", empty, "-o", out)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(synth.carphone_path().read_bytes()[:2000])
    refuse(f"{cut}", "image", cut, "-o", out)
    text = tmp_path / "text.avi"
    text.write_text("not a video")
    refuse(f"{text}", "image", text, "-o", out)
    (tmp_path / "folder").mkdir()
    refuse("no frames in", "image", tmp_path / "folder", "-o", out)


def test_video_without_a_face(refuse, tmp_path):
    source = write_frames(tmp_path / "noise", size=(64, 64))
    refuse("no face found", "image", source, "-o", tmp_path / "a.png", "--crop-face")


def test_unreadable_image(refuse, tmp_path):
    source = write_frames(tmp_path / "clip")
    (source / "img3.png").write_bytes((source / "img3.png").read_bytes()[:50])
    refuse("img3.png", "image", source, "-o", tmp_path / "a.png")


def test_bad_options_of_image(refuse, tmp_path):
    source = write_frames(tmp_path / "clip")
    refuse("must end in .png or .npy", "image", source, "-o", tmp_path / "a.jpg")
    refuse("a PNG holds 0..255", "image", source, "-o", tmp_path / "a.png", "--normalize", "none")
    refuse("--method must be one of", "image", source, "-o", tmp_path / "a.png", "--method", "x")
    refuse("got 'x'", "image", source, "-o", tmp_path / "a.png", "--normalize", "x")


def test_output_that_cannot_be_written(refuse, tmp_path):
    source = write_frames(tmp_path / "clip")
    (tmp_path / "file").touch()
    refuse("file", "image", source, "-o", tmp_path / "file" / "a.png")


def test_loso_without_clips_or_with_too_few_subjects(refuse, tmp_path):
    (tmp_path / "empty").mkdir()
    refuse("empty", "loso", tmp_path / "empty", "-o", tmp_path / "out")
    refuse("none", "loso", tmp_path / "none", "-o", tmp_path / "out")
    for emotion, subject in (("happy", "a"), ("happy", "b"), ("sad", "b")):
        write_frames(tmp_path / "set" / emotion / subject / "clip")
    refuse("sad", "loso", tmp_path / "set", "-o", tmp_path / "out")  # a class with one subject
    refuse("epochs must be", "loso", tmp_path / "set", "-o", tmp_path / "out", "--epochs", 0)
    refuse("unknown data set 'casme9'", "loso", tmp_path / "set", "-o", "x", "--dataset", "casme9")


def test_synth_into_a_folder_in_use(refuse, tmp_path):
    (tmp_path / "mine").touch()
    refuse("is not an empty folder", "synth", tmp_path)


def test_unknown_device(refuse, tmp_path, clips):
    refuse("device 'cuda:99'", "loso", clips, "-o", tmp_path / "out", "--device", "cuda:99")
