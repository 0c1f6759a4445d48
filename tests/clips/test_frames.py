from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from originet.clips import video
from originet.clips.frames import clip_frames, frame_number, list_frames, read_clip
from originet.clips.still import read_image
from originet.datasets.synth import carphone_path
from originet.system.errors import InputError


def write_image(path, value=100, size=(12, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full(size, value, np.uint8))
    return str(path)


def write_video(path, frames=10, size=(48, 64)):
    """Writes a video whose frame k has grey level 20 k."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, size[::-1])
    for index in range(frames):
        writer.write(np.full((*size, 3), 20 * (index + 1), np.uint8))
    writer.release()
    return str(path)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("reg_EP01_5-113.jpg", 113),
        ("img46.jpg", 46),
        ("img2977.jpg.jpg", 2977),
        ("006_05562.jpg", 5562),
        ("EP01_5-057.png", 57),
    ],
)
def test_frame_number_is_last_integer_of_stem(name, number):
    assert frame_number(name) == number


def test_frame_number_without_digits_is_refused():
    with pytest.raises(InputError, match=r"no frame number.*cover\.jpg"):
        frame_number("sub01/cover.jpg")


def test_list_frames_sorts_by_number_and_ignores_junk(tmp_path):
    for name in ("img10.jpg", "img9.PNG", "img100.bmp", "img0011.jpeg"):
        write_image(tmp_path / name)
    for name in ("Thumbs.db", "img1.lnk", ".img2.jpg", "._img9.jpg", "notes3.txt"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "img5.png").mkdir()
    names = [path.rsplit("/", 1)[1] for path in list_frames(tmp_path)]
    assert names == ["img9.PNG", "img10.jpg", "img0011.jpeg", "img100.bmp"]


def test_list_frames_refuses_one_number_twice(tmp_path):
    write_image(tmp_path / "img1.jpg")
    write_image(tmp_path / "img01.jpg")
    with pytest.raises(InputError, match=r"img01\.jpg and img1\.jpg are both frame 1"):
        list_frames(tmp_path)


def test_read_clip_reads_images_in_the_given_order(tmp_path):
    frames = [write_image(tmp_path / f"{number}.png", 10 * number) for number in (3, 1, 2)]
    clip = read_clip(frames)
    assert clip.dtype == np.uint8
    assert clip.shape == (3, 12, 16)
    assert clip[:, 0, 0].tolist() == [30, 10, 20]
    assert read_clip(frames, color=True).shape == (3, 12, 16, 3)


def test_read_clip_of_images_keeps_onset_to_offset_inclusive(tmp_path):
    frames = [write_image(tmp_path / f"img{number}.png", number) for number in range(5, 12)]
    assert read_clip(frames, 7, 9)[:, 0, 0].tolist() == [7, 8, 9]
    assert read_clip(frames, onset=10)[:, 0, 0].tolist() == [10, 11]
    assert read_clip(frames, offset=5)[:, 0, 0].tolist() == [5]
    with pytest.raises(InputError, match="onset 9 is after offset 7"):
        read_clip(frames, 9, 7)
    with pytest.raises(InputError, match="onset 4 is outside frames 5 to 11"):
        read_clip(frames, 4, 9)
    with pytest.raises(InputError, match="offset 12 is outside frames 5 to 11"):
        read_clip(frames, 5, 12)


def test_read_clip_refuses_a_range_that_falls_into_a_gap(tmp_path):
    frames = [write_image(tmp_path / f"img{number}.png") for number in (1, 9)]
    with pytest.raises(InputError, match="no frame numbered 3 to 5"):
        read_clip(frames, 3, 5)


def test_read_clip_of_video_counts_frames_from_one(tmp_path):
    path = write_video(tmp_path / "a.avi")
    clip = read_clip([path])
    assert clip.shape == (10, 48, 64)
    np.testing.assert_allclose(clip[:, 5, 5], 20 * np.arange(1, 11), atol=2)
    np.testing.assert_array_equal(read_clip([path], 3, 5), clip[2:5])
    assert read_clip([path], 10, color=True).shape == (1, 48, 64, 3)


def test_read_clip_refuses_a_range_outside_the_video(tmp_path):
    path = write_video(tmp_path / "a.avi")
    with pytest.raises(InputError, match=r"offset 11 is outside .*a\.avi, which has 10 frames"):
        read_clip([path], 1, 11)
    with pytest.raises(InputError, match=r"onset 12 is outside .*a\.avi, which has 10 frames"):
        read_clip([path], 12)
    with pytest.raises(InputError, match="onset 0 is outside"):
        read_clip([path], 0, 3)


def test_read_clip_refuses_an_empty_list():
    with pytest.raises(InputError, match="at least one frame"):
        read_clip([])


@pytest.mark.parametrize("name", ["1.png", "a.mp4"])
def test_missing_and_empty_files_are_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match=f"no such file: .*{name}"):
        read_clip([str(path)])
    path.touch()
    with pytest.raises(InputError, match=f"empty file.*{name}"):
        read_clip([str(path)])


def test_file_that_is_no_video_is_refused_without_noise(tmp_path, capfd):
    path = tmp_path / "a.mp4"
    path.write_text("not a video " * 100)
    with pytest.raises(InputError, match=r"not a readable video.*a\.mp4"):
        read_clip([str(path)])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "codec", "message"),
    [
        # An AVI tells its length at the start; an MP4 cut short has lost its table of contents.
        ("a.avi", "MJPG", r"truncated video: .*a\.avi ends after \d+ of 40 frames"),
        ("a.mp4", "mp4v", r"not a readable video \(or a truncated one\): .*a\.mp4"),
    ],
)
def test_truncated_video_is_refused_without_noise(tmp_path, capfd, name, codec, message):
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 30, (64, 48))
    for frame in np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8):
        writer.write(frame)
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    capfd.readouterr()  # what writing the video had to say
    with pytest.raises(InputError, match=message):
        read_clip([str(path)])
    assert capfd.readouterr() == ("", "")


def test_video_without_frames_is_refused(tmp_path):
    path = tmp_path / "a.avi"
    write_video(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])  # the header alone
    with pytest.raises(InputError, match=r"(video without frames|not a readable video).*a\.avi"):
        read_clip([str(path)])


def test_changing_frame_size_names_file_and_both_sizes(tmp_path):
    frames = [write_image(tmp_path / "1.png"), write_image(tmp_path / "2.png", size=(12, 20))]
    with pytest.raises(InputError, match=r"2\.png: 20x12 after 16x12"):
        read_clip(frames)


def test_clip_frames_takes_a_folder_or_a_video(tmp_path):
    first = write_image(tmp_path / "clip" / "2.png")
    second = write_image(tmp_path / "clip" / "10.png")
    assert clip_frames(tmp_path / "clip") == (first, second)
    path = write_video(tmp_path / "a.avi")
    assert clip_frames(path) == (path,)
    assert len(read_clip(tmp_path / "clip")) == 2


def test_clip_frames_refuses_what_is_no_clip(tmp_path):
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere"):
        clip_frames(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no frames in"):
        clip_frames(tmp_path)
    with pytest.raises(InputError, match="single image"):
        clip_frames(write_image(tmp_path / "1.png"))


def test_video_info_tells_rate_and_length(tmp_path):
    path = write_video(tmp_path / "a.avi")
    assert video.video_info(path) == (30, 10)
    with pytest.raises(InputError, match=r"no such file: .*b\.avi"):
        video.video_info(tmp_path / "b.avi")


def test_read_frames_at_seeks(tmp_path):
    path = write_video(tmp_path / "a.avi")
    frames = list(video.read_frames_at(path, [2, 9, 5]))
    np.testing.assert_array_equal(frames, read_clip([path])[[1, 8, 4]])


@pytest.mark.parametrize("numbers", [(1, 40, 77, 120), (120, 3)])
def test_read_frames_at_is_exact_between_key_frames(numbers):
    path = str(carphone_path())
    frames = list(video.read_frames_at(path, numbers))
    np.testing.assert_array_equal(frames, read_clip([path])[np.array(numbers) - 1])


def test_threads_share_opencvs_level_of_logging(tmp_path):
    (tmp_path / "a.mp4").write_text("not a video " * 100)
    path = write_image(tmp_path / "1.png")
    before = cv2.utils.logging.getLogLevel()

    def read(turn):
        if turn % 2:
            return read_image(path)
        with pytest.raises(InputError, match="not a readable video"):
            video.video_info(tmp_path / "a.mp4")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, range(40)))
    assert cv2.utils.logging.getLogLevel() == before
