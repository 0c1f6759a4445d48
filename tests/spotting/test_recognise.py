import dataclasses

import numpy as np
import torch
from made_up import interval

from originet.datasets.prepare import Settings
from originet.deploy.model import Model
from originet.spotting.face import Spotted
from originet.spotting.recognise import recognised


class Brightness(torch.nn.Module):
    """Prefers the second class for images with much white."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        white = images.flatten(1).mean(dim=1) * self.scale
        return torch.stack([torch.zeros_like(white), white], dim=1)


def model():
    settings = Settings(("cumulative",), 32, crop_face=True, align_eyes=True, margin=0.1)
    return Model(("calm", "joy"), settings, 30.0, (Brightness().eval(),), {})


FACES = np.zeros((6, 128, 128), np.uint8)
FACES[3:, 40:80] = 250


def test_the_aligned_face_is_recognised_without_a_search_for_it():
    found = recognised(Spotted(interval(), FACES, 3), model(), 30.0)
    assert found.label in ("calm", "joy") and 0.5 <= found.confidence <= 1
    assert dataclasses.replace(found, label="", confidence=None) == interval()


def test_blinks_and_videos_without_a_model_have_no_answer():
    blink = interval(note="blink")
    assert recognised(Spotted(blink, FACES, 3), model(), 30.0) is blink
    alone = interval()
    assert recognised(Spotted(alone, FACES, 3), None, 30.0) is alone
