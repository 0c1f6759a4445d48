"""The command line: what it writes, and that bad input ends in one line and exit code 2."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from clips import random_frames, write_folder
from loso_results import make_result

import originet_ext
from originet.cli import demonstration, diagnosis
from originet.clips.frames import read_clip
from originet.datasets import synth


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=3, clips_per_class=1)


def write_frames(folder, count=6, size=(24, 32)):
    return write_folder(folder, random_frames(count, size))


def test_console_script_is_installed():
    printed = subprocess.check_output(
        [Path(sys.executable).with_name("originet"), "--help"], text=True
    )
    for command in ("demo", "image", "synth", "prepare", "loso", "ablation", "bench", "doctor"):
        assert f" {command} " in printed


@pytest.mark.parametrize("method", ["cumulative", "telescoped", "rank-simple"])
def test_image_of_a_folder(run, tmp_path, method):
    source = write_frames(tmp_path / "clip")
    code, out, err = run("image", source, "-o", tmp_path / "new" / "a.png", "--method", method)
    assert code == 0 and "6 frames" in out and "frames/s" in err
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


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("a.png", ("--all-methods", "--size", 32), "8 methods"),
        ("a.png", ("--side-by-side", "--color"), "apex (estimated)"),
        ("a.png", ("--side-by-side", "--apex", 3, "--method", "rank"), "apex 3, rank"),
        ("a.gif", ("--gif", "--start", 2), "5 of 5 frames"),
        ("a.gif", ("--start", "0.1s", "--end", "0:00.3", "--fps", 10), "3 of 3 frames"),
    ],
)
def test_image_draws_pictures(run, tmp_path, name, options, text):
    source = write_frames(tmp_path / "clip")
    code, out, err = run("image", source, "-o", tmp_path / name, *options)
    assert code == 0 and text in out, err
    start = (tmp_path / name).read_bytes()[:4]
    assert start == {".png": b"\x89PNG", ".gif": b"GIF8"}[name[1:]]


def test_image_of_a_folder_of_clips(run, tmp_path):
    for name in ("x/a", "x/b", "y/c"):
        write_frames(tmp_path / "clips" / name)
    arguments = ("image", tmp_path / "clips", "-o", tmp_path / "out", "--jobs", 2)
    code, out, err = run(*arguments)
    assert code == 0 and "3 of 3 clips" in out and "clips/s" in err
    (tmp_path / "clips" / "x" / "b" / "img2.png").write_bytes(b"")
    (tmp_path / "out" / "x" / "b.png").unlink()
    code, out, err = run(*arguments)
    assert code == 2 and "2 of 3 clips" in out
    message, reason = err.splitlines()[-2:]
    assert message == "error: 1 of 3 clips failed:"
    assert reason.strip().startswith(f"{tmp_path / 'clips' / 'x' / 'b'}: empty file (0 bytes)")
    assert [p.name for p in sorted((tmp_path / "out").rglob("*.*"))] == ["a.png", "c.png"]


def test_image_of_a_face_video_cropped_and_in_colour(run, tmp_path):
    out = tmp_path / "face.png"
    code, _, err = run("image", synth.carphone_path(), "-o", out, "--crop-face", "--color")
    assert code == 0, err
    height, width, channels = cv2.imread(str(out), cv2.IMREAD_UNCHANGED).shape
    assert height == width < 144 and channels == 3


@pytest.mark.slow
def test_loso_writes_results_and_resumes(run, tmp_path, clips):
    arguments = ("loso", clips, "-o", tmp_path / "out", "--epochs", 1, "--image-size", 16)
    arguments += ("--rotation", 0, "--no-equalize", "--select", "last", "--seed", 3)
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "semi-synthetic: 12 clips" in out.replace("\n", " ").replace("  ", " ")
    assert "sha256" in out
    words = " ".join(out.split())
    for told in ("95 % interval", "majority baseline", "percentile bootstrap over subjects"):
        assert told in words
    first = json.loads((tmp_path / "out" / "results.json").read_text())
    assert first["config"]["rotations"] == [0] and first["config"]["seeds"] == [3]
    low, high = first["intervals"]["uf1"]
    assert re.search(rf"UF1\W+{first['metrics']['uf1']:.3f}\W+{low:.3f} to {high:.3f}\W", out)
    for name, row in first["per_class"].items():
        assert re.search(rf"{name}\W.*\W{row['recall']:.3f}\W.*\W{row['support']}\W", out)
    (tmp_path / "out" / "results.json").unlink()
    assert run(*arguments)[0] == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == first
    code, _, err = run(*arguments[:-1], 4)
    assert code == 2 and "holds results of another run: config.seeds" in err


@pytest.mark.slow
def test_loso_names_the_protocol_and_what_was_balanced(run, refuse, tmp_path, clips):
    quick = ("--epochs", 1, "--image-size", 16, "--rotation", 0, "--select", "last")
    code, out, err = run("loso", clips, "-o", tmp_path / "strict", *quick, "--sampling", "balanced")
    assert code == 0, err
    told = " ".join(out.split())
    assert "protocol strict, balanced sampling" in told and "eaky" not in told
    paper = ("--protocol", "paper", "--class-weights", "balanced")
    code, out, err = run("loso", clips, "-o", tmp_path / "paper", *quick, *paper)
    assert code == 0, err
    told = " ".join(out.split())
    assert "protocol paper (leaky), balanced class weights" in told
    assert "Leaky: copies of one clip are in both training and validation" in told
    record = json.loads((tmp_path / "paper" / "results.json").read_text())
    assert record["protocol"] == "paper" and record["leaky"]
    never = ("loso", clips, "-o", tmp_path / "never", *quick)
    refuse("protocol must be one of", *never, "--protocol", "published")
    refuse('with protocol="paper"', *never, "--protocol", "paper", "--no-equalize")
    refuse("sampling must be shuffled", *never, *paper, "--sampling", "balanced")
    assert not (tmp_path / "never").exists()


def test_doctor_tells_what_works(run):
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("torch", "CPU kernels", "CUDA usable", "face cascade"):
        assert word in out


def test_doctor_says_in_which_language_derivatives_are():
    (finding,) = [f for f in diagnosis.diagnose() if f.name == "autograd"]
    assert finding.text == originet_ext.build_info()["autograd"]


def test_doctor_gives_the_reason_why_cuda_is_not_usable(monkeypatch):
    built = originet_ext.build_info() | {"cuda_archs": "7.5;9.0+PTX", "cuda_symbols_resolved": True}
    monkeypatch.setattr(originet_ext, "build_info", lambda: built)
    if torch.version.cuda is None:
        assert "is a CPU-only build" in diagnosis.cuda_usable()[1]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in diagnosis.cuda_usable()[1]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert "Old GPU has compute capability 6.1" in diagnosis.cuda_usable()[1]
    built["cuda_symbols_resolved"] = False
    assert "does not export the stream" in diagnosis.cuda_usable()[1]
    built["cuda_archs"] = ""
    assert "built without CUDA kernels" in diagnosis.cuda_usable()[1]


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
    assert diagnosis._covered(capability, archs) is covered


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
    refuse("no frames and no clips in", "image", tmp_path / "folder", "-o", out)


def test_video_without_a_face(refuse, tmp_path):
    source = write_frames(tmp_path / "noise", size=(64, 64))
    refuse("no face found", "image", source, "-o", tmp_path / "a.png", "--crop-face")


def test_unreadable_image(refuse, tmp_path):
    source = write_frames(tmp_path / "clip")
    (source / "img3.png").write_bytes((source / "img3.png").read_bytes()[:50])
    refuse("img3.png", "image", source, "-o", tmp_path / "a.png")


def test_bad_options_of_image(refuse, tmp_path):
    source, out = write_frames(tmp_path / "clip"), tmp_path / "a.png"
    refuse("must end in .png or .npy", "image", source, "-o", tmp_path / "a.jpg")
    refuse("a PNG holds 0..255", "image", source, "-o", out, "--normalize", "none")
    refuse("--method must be one of", "image", source, "-o", out, "--method", "x")
    refuse("got 'x'", "image", source, "-o", out, "--normalize", "x")
    refuse("must end in .gif or .mp4 or .webm with --gif", "image", source, "-o", out, "--gif")
    gif = tmp_path / "a.gif"
    refuse("must end in .png with --all-methods", "image", source, "-o", gif, "--all-methods")
    both = ("--all-methods", "--gif")
    refuse("--all-methods and --gif make two files: choose one", "image", source, "-o", out, *both)
    method = ("--all-methods", "--method", "rank")
    refuse("omit --method rank", "image", source, "-o", out, *method)
    refuse("--apex 3 is for --side-by-side", "image", source, "-o", out, "--apex", 3)
    refuse("apex 9 is not among", "image", source, "-o", out, "--side-by-side", "--apex", 9)
    refuse("--jobs 2 is for a folder of clips", "image", source, "-o", out, "--jobs", 2)
    refuse("start must be a frame number or a time", "image", source, "-o", out, "--start", "x")
    refuse("start 5 (frame 5) is after end 3", "image", source, "-o", out, "--start=5", "--end=3")
    refuse("is unknown: give the fps", "image", source, "-o", out, "--end", "0.1s")
    refuse("fps must be a number from 1e-06 to 1e+06", "image", source, "-o", out, "--fps", 0)
    refuse("size must be at least 1, got 0", "image", source, "-o", out, "--size", 0)
    refuse("a frame of its own clip", "image", source, "-o", source / "img7.png")


def test_bad_options_for_a_folder_of_clips(refuse, tmp_path):
    write_frames(tmp_path / "clips" / "a")
    clips, out = tmp_path / "clips", tmp_path / "out"
    refuse("must be a folder", "image", clips, "-o", tmp_path / "a.png")
    refuse("write elsewhere", "image", clips, "-o", clips / "out")
    refuse("--jobs must be at least 1, got 0", "image", clips, "-o", out, "--jobs", 0)
    refuse("--apex 3 is for one clip", "image", clips, "-o", out, "--side-by-side", "--apex", 3)


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


@pytest.mark.slow
def test_image_shows_a_smile_that_comes_and_goes(run, tmp_path):
    """The corners of the mouth move and return; the forehead does not."""
    clips = synth.generate(
        tmp_path / "set",
        subjects=3,
        clips_per_class=1,
        residual=(0, 0),
        head_motion=0,
        light_drift=0,
    )
    for subject in ("s01", "s02", "s03"):
        told = {}
        for arguments in ((), ("--method", "telescoped")):
            out = tmp_path / "smile.npy"
            clip = clips / "positive" / subject / "positive_01"
            code, _, err = run("image", clip, "-o", out, "--normalize", "none", *arguments)
            assert code == 0, err
            image = np.load(out)
            mouth = np.concatenate([image[84:108, 37:59], image[84:108, 69:91]])
            told[arguments] = mouth.std() / image[18:40, 40:88].std()
        default, telescoped = told.values()
        assert default > 2.5 and telescoped < 1.5  # noise alone gives 1


@pytest.mark.slow
def test_synth_leaves_the_residual_it_is_told(run, refuse, tmp_path):
    few = ("--subjects", 1, "--clips-per-class", 1)
    for name, options, want in (
        ("default", (), [0, 0.1]),
        ("cut", ("--residual", 0.4, 0.85), [0.4, 0.85]),
    ):
        code, _, err = run("synth", tmp_path / name, *few, *options)
        assert code == 0, err
        assert json.loads((tmp_path / name / "dataset.json").read_text())["residual"] == want
    for low, high in ((0.5, 0.2), (-0.1, 0.2), (0, 1.5), (0, "nan")):
        told = f"residual must be two numbers with 0 <= low <= high <= 1, got {low:.1f}, {high}"
        refuse(told, "synth", tmp_path / "bad", *few, "--residual", low, high)
    assert not (tmp_path / "bad").exists()


def test_paths_that_look_like_markup_are_printed_as_they_are(run, tmp_path, monkeypatch):
    path = tmp_path / "a[" / "b]"  # "[/b]" would close what nothing opened
    code, out, err = run("synth", path, "--subjects", 1, "--clips-per-class", 1)
    assert (code, out) == (0, f"{path}: 4 clips\n"), err
    result = make_result()
    methods = {"cumulative": result}
    made = SimpleNamespace(loso=result, methods=methods, report=path / "report.html")
    monkeypatch.setattr(demonstration, "run_demo", lambda *_, **__: made)
    code, out, err = run("demo", "-o", path)
    assert code == 0 and f"\nReport: {path}/report.html (" in out, err


@pytest.mark.slow
def test_unknown_device(refuse, tmp_path, clips):
    refuse("device 'cuda:99'", "loso", clips, "-o", tmp_path / "out", "--device", "cuda:99")
