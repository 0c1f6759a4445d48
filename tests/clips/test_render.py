"""Files made of clips, one or many: what is in them, and that none is half written."""

import io
import threading

import cv2
import numpy as np
import pytest
import torch
from clips import random_frames, write_folder, write_video
from PIL import Image

import originet_ext
from originet.clips import render
from originet.clips.render import Options
from originet.clips.still import read_image
from originet.datasets.synth import carphone_path
from originet.system.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """A folder of three clips and of things that are none."""
    root = tmp_path / "clips"
    write_folder(root / "happy" / "s1" / "a.1", random_frames(5, seed=1))
    write_folder(root / "sad" / "s2" / "b", random_frames(6, seed=2))
    write_video(root / "sad" / "s2" / "c.avi", random_frames(4, (32, 48), seed=3))
    (root / "notes.txt").write_text("not a clip")
    (root / ".thumbs").mkdir()
    write_folder(root / ".thumbs" / "x", random_frames(1))
    (root / "empty").mkdir()
    return root


def written(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_image_as_png_and_as_npy(tmp_path):
    frames = random_frames(6)
    source = write_folder(tmp_path / "clip", frames)
    clip = torch.from_numpy(frames)
    report = render.render_file(source, tmp_path / "new" / "a.png", Options(method="authors"))
    assert report.summary == "6 frames, authors, minmax"
    picture = cv2.imread(str(tmp_path / "new" / "a.png"), cv2.IMREAD_UNCHANGED)
    want = originet_ext.active_image(clip, method="authors", normalize="minmax")
    np.testing.assert_array_equal(picture, want.round().numpy())
    for normalize in ("none", "minmax", "clip"):
        data, *_ = render.render(source, ".npy", Options(normalize=normalize))
        pixels = np.load(io.BytesIO(data))
        assert pixels.dtype == np.float32
        want = originet_ext.active_image(clip, normalize=normalize).numpy()
        np.testing.assert_array_equal(pixels, want)


def test_endings_may_be_in_capitals(tmp_path):
    source = write_folder(tmp_path / "clip", random_frames(1))
    render.render_file(source, tmp_path / "a.GIF", Options("gif"))
    assert Image.open(tmp_path / "a.GIF").n_frames == 1  # a clip of one frame is a clip
    render.render_file(source, tmp_path / "a.PNG", Options())
    assert Image.open(tmp_path / "a.PNG").size == (32, 24)


def test_colours_are_those_of_the_clip(tmp_path):
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[1, :, :4, 0] = 200  # the left half turns blue
    source = write_folder(tmp_path / "clip", frames)
    data, *_ = render.render(source, ".png", Options(normalize="clip", color=True))
    assert Image.open(io.BytesIO(data)).getpixel((1, 1)) == (0, 0, 200)
    data, *_ = render.render(source, ".png", Options("side-by-side", normalize="clip", color=True))
    colors = np.asarray(Image.open(io.BytesIO(data))).reshape(-1, 3)
    assert (colors == (0, 0, 200)).all(1).sum() > 3 * 8 * 4  # apex, offset and active image


def panel_texts(monkeypatch):
    texts = []
    original = render.pictures.sheet
    monkeypatch.setattr(
        render.pictures,
        "sheet",
        lambda panels, columns: texts.extend(p[:2] for p in panels) or original(panels, columns),
    )
    return texts


def test_all_methods_reads_the_clip_once_and_names_each(tmp_path, monkeypatch):
    source = write_folder(tmp_path / "clip", random_frames(6), first=3)
    read = []
    original = read_image
    monkeypatch.setattr(
        "originet.clips.frames.read_image", lambda *a, **k: read.append(a) or original(*a, **k)
    )
    texts = panel_texts(monkeypatch)
    _, summary, _ = render.render(source, ".png", Options("all-methods", normalize="clip"))
    assert summary == "6 frames, 8 methods, clip" and len(read) == 6
    note = "clip, 6 frames"
    assert texts == [("onset", "frame 3"), *((name, note) for name in originet_ext.METHODS)]


def test_side_by_side_says_whether_the_apex_is_estimated(tmp_path, monkeypatch):
    frames = random_frames(5)
    frames[3] = 255 - frames[0]
    source = write_folder(tmp_path / "clip", frames)
    texts = panel_texts(monkeypatch)
    _, summary, _ = render.render(source, ".png", Options("side-by-side", "rank", fps=10))
    assert summary.startswith("5 frames, apex (estimated) 4, rank")
    assert texts == [
        ("onset", "frame 1, 0.00 s"),
        ("apex (estimated)", "frame 4, 0.30 s"),
        ("offset", "frame 5, 0.40 s"),
        ("active image", "rank, minmax"),
    ]
    _, summary, _ = render.render(source, ".png", Options("side-by-side", apex=2))
    assert "apex 2" in summary and texts[5] == ("apex", "frame 2")


def test_gif_says_what_it_leaves_out(tmp_path):
    source = write_folder(tmp_path / "clip", random_frames(103, (6, 8)))
    data, summary, _ = render.render(source, ".gif", Options("gif"))
    assert summary.startswith("52 of 103 frames (one in 2, and the last), in 4.12 s, 8x6")
    assert Image.open(io.BytesIO(data)).n_frames == 52
    data, summary, _ = render.render(source, ".gif", Options("gif", end=30))
    assert summary.startswith("30 of 30 frames, in 1.20 s")
    assert Image.open(io.BytesIO(data)).n_frames == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "x"}, "--method must be one of cumulative, .*, got 'x'"),
        ({"normalize": "x"}, "--normalize must be one of none, .*, got 'x'"),
        ({"kind": "x"}, "kind must be one of image, .*, got 'x'"),
        ({"kind": "gif", "normalize": "none"}, "--gif draws 0..255: --normalize must be"),
        ({"kind": "gif", "apex": 3}, "--apex 3 is for --side-by-side only"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Options(**options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.jpg", {}, r"a\.jpg must end in \.png or \.npy, got '\.jpg'"),
        ("a", {}, r"a must end in \.png or \.npy, got ''"),
        ("a.npy", {"kind": "all-methods"}, r"must end in \.png with --all-methods, got '\.npy'"),
        ("a.png", {"kind": "gif"}, r"must end in \.gif or \.mp4 or \.webm with --gif"),
        ("a.png", {"normalize": "none"}, r"a\.png: a PNG holds 0\.\.255"),
        ("clip/img9.png", {}, r"img9\.png would become a frame of its own clip"),
    ],
)
def test_files_that_cannot_hold_the_result_are_refused(tmp_path, name, options, message):
    source = write_folder(tmp_path / "clip", random_frames(3))
    before = written(tmp_path)
    with pytest.raises(InputError, match=message):
        render.render_file(source, tmp_path / name, Options(**options))
    assert written(tmp_path) == before


# Many clips


def test_find_clips_in_a_tree(tree):
    names = [str(clip.relative_to(tree)) for clip in render.find_clips(tree).clips]
    assert names == ["happy/s1/a.1", "sad/s2/b", "sad/s2/c.avi"]
    for one in (tree / "sad" / "s2" / "b", tree / "sad" / "s2" / "c.avi"):
        assert render.find_clips(one).clips == [one]
    (tree / "sad" / "loop").symlink_to(tree)
    assert len(render.find_clips(tree).clips) == 3


def test_find_clips_refuses_what_holds_none(tree):
    with pytest.raises(InputError, match=r"no frames and no clips in .*empty: looked for .jpg"):
        render.find_clips(tree / "empty")
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere"):
        render.find_clips(tree / "nowhere")


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        (Options(), ".png"),
        (Options(normalize="none"), ".npy"),
        (Options("all-methods"), ".png"),
        (Options("gif"), ".gif"),
    ],
)
def test_files_are_named_after_the_clips(tree, tmp_path, options, suffix):
    files = render.plan_files([tree], render.find_clips(tree).clips, tmp_path / "out", options)
    names = [str(file.relative_to(tmp_path / "out")) for file in files.values()]
    assert names == [f"happy/s1/a.1{suffix}", f"sad/s2/b{suffix}", f"sad/s2/c{suffix}"]


def test_clips_of_one_name_keep_their_endings(tree, tmp_path):
    folder = tree / "sad" / "s2"
    (folder / "c.mp4").touch()
    (folder / "b.mov").touch()
    files = render.plan_files([tree], render.find_clips(tree).clips, tmp_path / "out", Options())
    assert sorted(f.name for c, f in files.items() if c.parent == folder) == [
        "b.mov.png",
        "b.png",
        "c.avi.png",
        "c.mp4.png",
    ]


def test_outputs_that_would_be_read_as_clips_are_refused(tree, tmp_path):
    clips = render.find_clips(tree).clips
    for out in (tree, tree / "out", tree / "sad" / ".." / "x"):
        with pytest.raises(InputError, match=r"is inside .*clips, .*: write elsewhere"):
            render.plan_files([tree], clips, out, Options())
    with pytest.raises(InputError, match=r"a\.gif must be a folder: .*is a folder of 3 clips"):
        render.plan_files([tree], clips, tmp_path / "a.gif", Options())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file must be a folder"):
        render.plan_files([tree], clips, tmp_path / "file", Options())
    with pytest.raises(InputError, match=r"--apex 3 is for one clip, .*clips holds 3"):
        render.plan_files([tree], clips, tmp_path / "out", Options("side-by-side", apex=3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", render.KINDS)
def test_jobs_do_not_change_the_bytes(tree, tmp_path, kind):
    clips, options, results, calls = render.find_clips(tree).clips, Options(kind), [], []
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        files = render.plan_files([tree], clips, out, options)
        assert not render.render_files(files, options, jobs, lambda *c: calls.append(c)).failed
        results.append(written(out))
    assert calls == [(1, 3), (2, 3), (3, 3)] * 2
    assert results[0] == results[1] and len(results[0]) == 3
    one, *_ = render.render(clips[0], render.KINDS[kind][0], options)
    assert one in results[0].values()


@pytest.mark.slow
def test_jobs_do_not_change_the_face_box(tmp_path):
    for name in ("x/a.mp4", "x/b.mp4", "y/c.mp4"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / name).symlink_to(carphone_path())
    options, clips = Options(crop_face=True, end=20), render.find_clips(tmp_path / "clips").clips
    for jobs in (1, 3):
        files = render.plan_files([tmp_path / "clips"], clips, tmp_path / str(jobs), options)
        assert not render.render_files(files, options, jobs).failed
    first, *others = (written(tmp_path / str(jobs)) for jobs in (1, 3))
    assert [first] == others and len(set(first.values())) == 1


def test_file_that_cannot_be_replaced_leaves_nothing_behind(tree, tmp_path):
    in_the_way = tmp_path / "out" / "sad" / "s2" / "c.png"
    in_the_way.mkdir(parents=True)
    clips = render.find_clips(tree).clips
    files = render.plan_files([tree], clips, tmp_path / "out", Options())
    failed, _ = render.render_files(files, Options(), 2)
    assert list(failed) == [clips[2]] and "Is a directory" in failed[clips[2]]
    assert sorted(written(tmp_path / "out")) == ["happy/s1/a.1.png", "sad/s2/b.png"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_bad_clips_do_not_stop_the_others(tree, tmp_path, jobs):
    bad = tree / "sad" / "s2" / "b" / "img3.png"
    bad.write_bytes(bad.read_bytes()[:40])
    (tree / "zero.mp4").touch()
    clips = render.find_clips(tree).clips
    files = render.plan_files([tree], clips, tmp_path / "out", Options())
    failed, _ = render.render_files(files, Options(), jobs)
    assert list(failed) == [tree / "sad" / "s2" / "b", tree / "zero.mp4"]
    assert "truncated image" in failed[tree / "sad" / "s2" / "b"]
    assert "empty file (0 bytes)" in failed[tree / "zero.mp4"]
    assert sorted(written(tmp_path / "out")) == ["happy/s1/a.1.png", "sad/s2/c.png"]


def test_jobs_below_one_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"--jobs must be at least 1, got 0"):
        render.render_files({}, Options(), 0)


def test_interrupt_stops_what_is_under_way_and_leaves_whole_files(tree, tmp_path):
    files = render.plan_files([tree], render.find_clips(tree).clips, tmp_path / "out", Options())

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render.render_files(files, Options(), 1, interrupt)
    whole = {name: data for name, data in written(tmp_path / "out").items()}
    assert 1 <= len(whole) <= 3
    for name, data in whole.items():
        (clip,) = [c for c, f in files.items() if f == tmp_path / "out" / name]
        assert data == render.render(clip, ".png", Options())[0]


def test_interrupt_ends_a_long_clip_at_its_next_frame(tmp_path, monkeypatch):
    folders = [write_folder(tmp_path / "clips" / name, random_frames(9)) for name in "ab"]
    read, go = [], threading.Event()
    original = render.sum_up

    def slow(clip, methods, normalize, progress, watch):
        if clip.name == str(folders[0]):  # the first clip ends at once, the other waits
            return original(clip, methods, normalize, progress, watch)
        assert go.wait(20)

        def count(done, total):
            read.append(done)
            progress(done, total)

        return original(clip, methods, normalize, count, watch)

    monkeypatch.setattr(render, "sum_up", slow)

    def interrupt(done, total):
        raise KeyboardInterrupt

    class Threads(render.ThreadPoolExecutor):
        def shutdown(self, *args, **kwargs):
            go.set()  # the interrupt has come through
            super().shutdown(*args, **kwargs)

    monkeypatch.setattr(render, "ThreadPoolExecutor", Threads)
    files = {folder: tmp_path / "out" / f"{folder.name}.png" for folder in folders}
    with pytest.raises(KeyboardInterrupt):
        render.render_files(files, Options(), 2, interrupt)
    assert read == [1] and sorted(written(tmp_path / "out")) == ["a.png"]
