"""A trained model: the networks of an ensemble, and how clips become images for them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from originet.clips import faces
from originet.clips.channels import ChannelMaker, joined
from originet.clips.clip import Clip, open_clip
from originet.clips.follow import find_face_of, follow
from originet.clips.frames import is_video, resize
from originet.clips.still import Image
from originet.clips.video import Timed, video_info
from originet.datasets.prepare import Settings
from originet.deploy.folded import Copies, Folded
from originet.deploy.rate import at_rate, differ
from originet.system.channels import channels_of, is_one_image
from originet.system.errors import InputError
from originet.training.predict import as_array, check_channels, check_images, probabilities_of

Frames = NDArray[np.uint8] | Tensor


class Prediction(NamedTuple):
    """The answer for one clip."""

    label: str
    """The most probable class."""
    confidence: float
    """Its probability, 0..1."""
    probabilities: dict[str, float]
    """The probability of every class; they add up to 1."""
    note: str = ""
    """In what the clip differs from those that the model was made for; "" if in nothing known."""


@dataclass(frozen=True)
class Model:
    """Networks that were trained alike from different seeds, and that answer together.

    Made by `originet train`, read by `originet.load_model`.
    """

    classes: tuple[str, ...]
    """Class names [C], sorted."""
    settings: Settings
    """How a clip becomes the image that the networks take: method or, for an image of several
    channels, methods; size, crop, alignment."""
    fps: float | None
    """Frames per second at which the training clips were recorded; None if that is not known."""
    networks: tuple[nn.Module, ...]
    """In evaluation mode and channels_last, on the CPU until `to` moves them."""
    card: dict[str, Any]
    """All else that model.json says: settings of the training, clips, licences, scores."""
    _copies: Copies = field(default_factory=Copies, init=False, repr=False, compare=False)

    def to(self, device: str | torch.device) -> "Model":
        """Moves the networks to a device, and returns the model."""
        for network in self.networks:
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    @property
    def folded(self) -> tuple[bool, ...]:
        """For each network, whether a faster copy of it answers (`originet.deploy.folded`).

        So it is for OrigiNets of one grey image on the CPU. On a GPU, in training mode, with hooks,
        or if it has parts that are not OrigiNet's, a network answers itself. The answers are the
        same.
        """
        return tuple(self._copy_of(network) is not None for network in self.networks)

    @property
    def method(self) -> str:
        """What the networks take of a clip, see `originet.system.channels`."""
        return ",".join(self.settings.methods)

    def _copy_of(self, network: nn.Module) -> Folded | None:
        # A copy reads one channel, that of a grey image.
        return self._copies.of(network) if is_one_image(self.method) else None

    def predict(self, clip: str | Path | Frames, *, fps: float | None = None) -> Prediction:
        """Recognises the expression in one clip.

        The clip should show one expression, from its onset on. Its frames become an active image
        as those of the training clips did: cropped to the face if those were, and, where both rates
        are known and differ, picked at the rate of the training clips (`originet.deploy.rate`).

        Args:
            clip: A video or a folder of numbered frames; or frames [T, H, W] (grey) or
                [T, H, W, 3] (blue, green, red) uint8, an array or a tensor on any device.
            fps: Frames per second, for frames and folders, which have no times, and for videos
                whose times are wrong; None if unknown.

        Returns:
            The answer: the mean of the networks' probabilities.

        Raises:
            NoFaceError: If the model needs a face and there is none.
            InputError: If the clip cannot be read, or frames have another shape or dtype.

        Example:
            >>> model = originet.load_model("model")
            >>> model.predict("clip.mp4").label
            'surprise'
        """
        frames, rate = self._frames(clip, fps)
        answer = self.predict_image(self._sum_up(frames, rate))
        return answer._replace(note=self.rate_note(rate))

    def image(self, clip: str | Path | Frames, *, fps: float | None = None) -> NDArray[Any]:
        """Makes a clip's active image as the networks take it; arguments are those of `predict`.

        An apex that is needed is estimated, see `originet.clips.channels`.

        Returns:
            [S, S] uint8, stretched to 0..255; or [S, S, C], float32 if there is a flow in it.
        """
        return self._sum_up(*self._frames(clip, fps))

    def image_of(self, clip: Clip, fps: float | None = None) -> NDArray[Any]:
        """Makes the active image of a clip that was opened as `settings.cut` says, as `image` does.

        Args:
            clip: The clip.
            fps: Its frames per second; None takes every frame.
        """
        return self._sum_up(_timed(clip), fps)

    def rate_note(self, fps: float | None) -> str:
        """Says how a clip's frame rate was dealt with, if it is not that of the training clips.

        Args:
            fps: The clip's frames per second; None if unknown.
        """
        if self.fps is None:
            return ""
        if fps is None:
            return f"frame rate unknown, every frame taken; the model was made for {self.fps:g}/s"
        if differ(fps, self.fps):
            return f"frames picked at {self.fps:g}/s, for which the model was made, from {fps:g}/s"
        return ""

    def predict_image(self, image: NDArray[Any]) -> Prediction:
        """Recognises the expression in an active image, as `image` makes it."""
        (probabilities,) = self.probabilities(image[None])
        best = int(probabilities.argmax())
        by_class = dict(zip(self.classes, map(float, probabilities), strict=True))
        return Prediction(self.classes[best], by_class[self.classes[best]], by_class)

    def probabilities(self, images: NDArray[Any] | Tensor) -> NDArray[np.float32]:
        """Computes class probabilities, the means over the networks.

        Args:
            images: [N, S, S] uint8, or as `image` makes them.

        Returns:
            [N, classes] float32.

        Raises:
            InputError: If the images have another shape or dtype.
        """
        pixels, side = check_images(images), self.settings.image_size
        if pixels.shape[1:3] != (side, side):
            raise InputError(
                f"the model takes images of {side} x {side} pixels, got {list(pixels.shape[1:3])}"
            )
        if (pixels.ndim == 3) != is_one_image(self.method):
            raise InputError(
                f"the model takes images by {self.method}, got {list(pixels.shape)} {pixels.dtype}"
            )
        if pixels.ndim == 4:
            check_channels(pixels, channels_of(self.method))
        device = next(self.networks[0].parameters()).device
        views = torch.tensor(pixels, device=device)
        # Not `predict`, which moves a network first: several threads may be here.
        each = [
            probabilities_of(self._copy_of(network) or network, views) for network in self.networks
        ]
        return torch.stack(each).mean(dim=0).cpu().numpy()

    def _frames(
        self, clip: str | Path | Frames, fps: float | None
    ) -> tuple[Iterable[Timed], float | None]:
        """Opens a clip; returns its frames, cropped and resized, and its rate if that is known."""
        if not isinstance(clip, str | Path):
            frames = _check_frames(clip)
            times = (None if fps is None else index / fps for index in range(len(frames)))
            return self._cut_all(frames, map(Timed, map(_grey, frames), times)), fps
        opened = open_clip(clip, fps=fps, **self.settings.cut())
        if fps is None and is_video(opened.frames):
            fps = video_info(opened.frames[0]).fps
        return _timed(opened), fps

    def _cut_all(self, frames: NDArray[np.uint8], greys: Iterator[Timed]) -> Iterator[Timed]:
        """Crops and resizes frames in memory, as `Clip.cut_all` does those of files."""
        wanted, box, angle = self.settings, None, 0.0
        if wanted.crop_face:
            samples = [_grey(frames[index]) for index in faces.sample_indices(len(frames))]
            if wanted.face_by == "landmarks":
                yield from follow(greys, find_face_of(samples), wanted.image_size)
                return
            box = faces.stable_box(samples, margin=wanted.margin)
            angle = faces.eye_angle(samples, box) if wanted.align_eyes else 0.0
        for grey, time in greys:
            pixels = grey if box is None else faces.cut(grey, box, angle)
            yield Timed(resize(pixels, wanted.image_size), time)

    def _sum_up(
        self, frames: Iterable[tuple[Image, float | None]], fps: float | None
    ) -> NDArray[Any]:
        sources = self.settings.methods
        made = ChannelMaker("the clip", sources)
        if self.fps is not None and differ(fps, self.fps):
            picked = at_rate(frames, self.fps)
        else:
            picked = (pixels for pixels, _ in frames)
        for number, pixels in enumerate(picked):
            made.see(pixels, number)
        return joined(dict(zip(sources, made.result(), strict=True)), sources)


def _timed(clip: Clip) -> Iterator[Timed]:
    with closing(clip.shots()) as shots:
        yield from (Timed(shot.pixels, shot.seconds) for shot in shots)


def _grey(frame: NDArray[np.uint8]) -> Image:
    return frame if frame.ndim == 2 else np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))


def _check_frames(frames: Any) -> NDArray[np.uint8]:
    """Returns frames as an array [T, H, W] or [T, H, W, 3].

    Raises:
        InputError: If they have another shape or dtype.
    """
    if isinstance(frames, Sequence):
        raise InputError("frames must be one array or tensor; numpy.stack makes one of a list")
    pixels = as_array(frames)
    shape = list(pixels.shape)
    sound = pixels.ndim == 3 or (pixels.ndim == 4 and shape[3] == 3)
    if pixels.dtype != np.uint8 or not sound or 0 in shape:
        raise InputError(
            f"frames must be [T, H, W] or [T, H, W, 3] uint8, got {shape} {pixels.dtype}"
        )
    return pixels
