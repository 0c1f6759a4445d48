"""What expression a movement is, by a trained model."""

import dataclasses

from originet.deploy.model import Model
from originet.spotting.face import Spotted
from originet.spotting.intervals import Interval


def recognised(spotted: Spotted, model: Model | None, fps: float) -> Interval:
    """Returns a movement's interval with a model's answer.

    The aligned face takes the place of the crop that the model would make: head movements are out
    of it, and it is that of the right person.

    Args:
        spotted: The movement; of blinks and turns of the head a model knows nothing.
        model: The model; None leaves the interval as it is.
        fps: Frames per second of the video.
    """
    interval = spotted.interval
    if model is None or interval.note or len(spotted.faces) < 2:
        return interval
    cut = dataclasses.replace(model.settings, crop_face=False, align_eyes=False)
    answer = dataclasses.replace(model, settings=cut).predict(spotted.faces, fps=fps)
    return dataclasses.replace(interval, label=answer.label, confidence=answer.confidence)
