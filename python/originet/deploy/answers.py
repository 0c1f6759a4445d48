"""A model's answers for many clips, and the tables of them."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from originet.clips.clip import open_stream
from originet.clips.face_models import check_models
from originet.clips.faces import NoFaceError
from originet.clips.live import Stream
from originet.deploy.model import Model, Prediction
from originet.system.csv_cells import guarded
from originet.system.errors import InputError, is_foreseen, one_line
from originet.system.files import write_atomically
from originet.system.opencv import one_thread, silence

SUFFIXES = (".csv", ".json")


@dataclass(frozen=True)
class Answer:
    """What became of one clip: a prediction, no face, or a failure."""

    clip: str
    """Its path, or the name of a stream."""
    prediction: Prediction | None = None
    note: str = ""
    """Why there is no prediction although the clip could be read; or the prediction's note."""
    failed: str | None = None
    """Why the clip could not be read."""


def answer_all(
    model: Model,
    clips: Sequence[Path],
    *,
    fps: float | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """Recognises the expression in each of several clips; a bad clip does not stop the others.

    Args:
        model: The model.
        clips: Videos and folders of frames.
        fps: See `Model.predict`.
        jobs: How many clips are read at a time.
        progress: Called as progress(done, total) after each clip.

    Returns:
        The answers, in the order of the clips.

    Raises:
        InputError: If jobs is below 1, or the model needs landmarks, which cannot be found here.
    """
    if jobs < 1:
        raise InputError(f"--jobs must be at least 1, got {jobs}")
    if model.settings.face_by == "landmarks":
        check_models()  # else every clip would fail for this reason
    answers: dict[int, Answer] = {}
    with silence, one_thread, ThreadPoolExecutor(jobs) as threads:
        try:
            running = {
                threads.submit(_answer, model, clip, fps): place for place, clip in enumerate(clips)
            }
            for done, future in enumerate(as_completed(running), start=1):
                answers[running.pop(future)] = future.result()
                if progress is not None:
                    progress(done, len(clips))
        except BaseException:  # such as an interrupt: clips that have not started never do
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return [answers[place] for place in range(len(clips))]


def answer_stream(model: Model, stream: Stream) -> Answer:
    """Recognises the expression in what a camera or a pipe shows, as one clip.

    Raises:
        InputError: If no frames arrive.
    """
    try:
        clip = open_stream(stream, **model.settings.cut())
        found = model.predict_image(model.image_of(clip))
        return Answer(stream.name, found, note=model.rate_note(None))
    except NoFaceError as error:
        return Answer(stream.name, note=one_line(error))


def _answer(model: Model, clip: Path, fps: float | None) -> Answer:
    try:
        found = model.predict(clip, fps=fps)
        return Answer(str(clip), found, note=found.note)
    except NoFaceError as error:
        return Answer(str(clip), note=one_line(error))
    except Exception as error:
        if not is_foreseen(error):
            raise
        return Answer(str(clip), failed=one_line(error))


def text(suffix: str, model: Model, answers: Sequence[Answer]) -> str:
    """Returns a table of answers.

    Args:
        suffix: One of `SUFFIXES`.
        model: The model.
        answers: Its answers; clips that failed are left out of CSV and have a reason in JSON.

    Returns:
        CSV with the columns clip, label, confidence, a column a class, and note; or a JSON list of
        objects with the same content.
    """
    if suffix == ".json":
        return json.dumps([_record(answer) for answer in answers], indent=1) + "\n"
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["clip", "label", "confidence", *map(guarded, model.classes), "note"])
    for answer in answers:
        if answer.failed is not None:
            continue
        found = answer.prediction
        shares = ["" for _ in model.classes]
        if found is not None:
            shares = [f"{found.probabilities[name]:.4f}" for name in model.classes]
        label, confidence = ("", "") if found is None else (found.label, f"{found.confidence:.4f}")
        writer.writerow(
            [guarded(answer.clip), guarded(label), confidence, *shares, guarded(answer.note)]
        )
    return written.getvalue()


def write(path: Path, model: Model, answers: Sequence[Answer]) -> None:
    """Writes a table of answers; see `text`."""
    write_atomically(path, text(path.suffix.lower(), model, answers).encode())


def _record(answer: Answer) -> dict[str, Any]:
    found = answer.prediction
    return {
        "clip": answer.clip,
        "label": None if found is None else found.label,
        "confidence": None if found is None else found.confidence,
        "probabilities": None if found is None else found.probabilities,
        "note": answer.note or None,
        "failed": answer.failed,
    }
