"""`originet image`: what it writes of clips, folders and several inputs, and what is refused."""

import cv2
import numpy as np
import pytest
import torch
from clips import random_frames, write_folder, write_frames, write_video
from PIL import Image
from skimage import data

import originet_ext
from originet.clips import faces, render
from originet.clips.active_images import sum_up
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.clips.render import Options
from originet.datasets import synth


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_image_writes_what_the_ending_says(run, tmp_path, name):
    source = write_folder(tmp_path / "clip", random_frames(6))
    code, out, err = run("image", source, "-o", tmp_path / name, "--speed", 0.5)
    assert code == 0 and "6 of 6 frames, in 0.48 s (speed 0.5)" in out, err
    assert len(read_clip(tmp_path / name)) in (6, 12)


def test_the_clip_itself_is_not_replaced(run, tmp_path):
    source = write_video(tmp_path / "a.mp4", random_frames(4, (48, 64)))
    before = source.read_bytes()
    code, _, err = run("image", source, "-o", source)
    assert code == 2 and "is the clip itself: write it elsewhere" in err
    gif = tmp_path / "b.gif"
    Image.new("L", (8, 8)).save(gif)
    code, _, err = run("image", source, gif, "-o", tmp_path, "--gif")
    assert code == 2 and f"the output would replace the clip {gif}" in err
    assert source.read_bytes() == before


def test_image_of_several_paths(run, tmp_path, monkeypatch):
    first = write_video(tmp_path / "x" / "a.avi", random_frames(4, seed=1))
    write_video(tmp_path / "y" / "a.avi", random_frames(4, seed=2))
    write_folder(tmp_path / "y" / "more" / "c", random_frames(4, seed=3))
    paths = (first, tmp_path / "y" / "a.avi", tmp_path / "y" / "more")
    code, out, err = run("image", *paths, "-o", tmp_path / "out")
    assert code == 0 and "3 of 3 clips" in out, err
    made = {
        str(file.relative_to(tmp_path / "out")): file for file in (tmp_path / "out").rglob("*.*")
    }
    assert sorted(made) == ["x/a.png", "y/a.png", "y/more/c.png"]
    alone = render.render(first, ".png", Options())
    assert made["x/a.png"].read_bytes() == alone.data
    monkeypatch.chdir(tmp_path / "y")
    code, out, err = run("image", "a.avi", "more/c", "../x/a.avi", "-o", "../out2", "--gif")
    assert code == 0, err
    made = [str(file.relative_to(tmp_path / "out2")) for file in (tmp_path / "out2").rglob("*.*")]
    assert sorted(made) == ["x/a.gif", "y/a.gif", "y/more/c.gif"]


def test_several_paths_of_one_folder_are_named_plainly(run, tmp_path):
    paths = [write_video(tmp_path / f"{name}", random_frames(3)) for name in ("a.avi", "b.avi")]
    twin = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.mkv").write_bytes(twin)
    code, _, err = run("image", *paths, tmp_path / "a.mkv", "-o", tmp_path / "out")
    assert code == 0, err
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "a.avi.png",
        "a.mkv.png",
        "b.png",
    ]


def test_several_paths_that_do_not_go_together_are_refused(run, tmp_path):
    paths = [write_video(tmp_path / name, random_frames(3)) for name in ("a.avi", "b.avi")]
    for arguments, message in (
        ((*paths, "-o", tmp_path / "a.png"), "a.png must be a folder: there are 2 clips"),
        ((*paths, paths[0], "-o", tmp_path / "out"), "a.avi is given twice"),
        ((*paths, tmp_path / "none", "-o", tmp_path / "out"), "no such file or folder"),
        ((*paths, "-", "-o", tmp_path / "out"), "- reads one video from a pipe"),
        (("-o", tmp_path / "out"), "give videos or folders, or - for a pipe, or --camera N"),
        ((paths[0], "--camera", 0, "-o", "a.png"), "give videos or folders, or - for a pipe"),
        ((paths[0], "--seconds", 2, "-o", "a.png"), "--seconds 2 is for - and --camera"),
    ):
        code, _, err = run("image", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1, err
    assert not (tmp_path / "out").exists()


def test_image_levels_the_eyes_as_prepare_does(run, tmp_path):
    face = cv2.cvtColor(data.astronaut()[:260, 80:400], cv2.COLOR_RGB2GRAY)
    height, width = face.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 1)
    face = cv2.warpAffine(face, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    source = write_folder(tmp_path / "turned", [np.roll(face, k, 1) for k in range(5)])
    options = {"crop_face": True, "size": 64}
    clip = open_clip(source, align_eyes=True, **options)
    assert clip.angle != 0 and isinstance(clip.box, faces.Box)
    _, images, _ = sum_up(clip, ["cumulative"])
    code, _, err = run(
        *("image", source, "-o", tmp_path / "a.png"),
        *("--crop-face", "--align-eyes", "--size", 64),
    )
    assert code == 0, err
    made = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(made, images["cumulative"].round())
    assert not np.array_equal(
        made,
        cv2.imdecode(
            np.frombuffer(render.render(source, ".png", Options(**options)).data, np.uint8), -1
        ),
    )
    code, _, err = run("image", source, "-o", tmp_path / "b.png", "--align-eyes")
    assert code == 2 and "--align-eyes needs --crop-face" in err


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
