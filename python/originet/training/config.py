"""The settings of training: everything that determines a result besides the clips."""

import dataclasses
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from originet.system import renamed
from originet.system.channels import GREY, Channel, channels_of, input_channels
from originet.system.choices import FACES, NETWORKS, SOURCES
from originet.system.errors import InputError
from originet.system.limits import LARGEST_IMAGE

VARIANTS = ("paper", "authors")
PROTOCOLS = ("strict", "paper")
ROTATIONS = (-45, -30, -15, 0, 15, 30, 45)
CLASS_WEIGHTS = ("none", "balanced")
SAMPLINGS = ("shuffled", "balanced")
SELECTIONS = ("validation", "last")
LEAVE_OUT = ("subject", "dataset")
PRECISIONS = ("float32", "tf32", "bfloat16")
OWN = "OrigiNet"
"""The paper's network, with which the others are compared."""

# Larger numbers come from typos or damaged files, and would exhaust memory.
MOST_EPOCHS = 1_000_000
MOST_IN_BATCH = 1_000_000
MOST_SEEDS = 1000
MOST_ALPHA = 100  # of mixup; by then all shares are about a half
LAST_SEED = 2**63 - 1
LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Config:
    """Everything that determines a result besides the clips; recorded with every result.

    The paper states the augmentation and the 80:20 split. It does not state the optimiser (Adam
    here), the learning rate, the batch size or the epochs: these values are the package's defaults.

    Raises:
        InputError: If a value has the wrong type or is out of range.
    """

    epochs: int = 20
    """Passes over the augmented training images, 1 to 1,000,000."""
    batch_size: int = 32
    """Images per step, 3 to 1,000,000; batches of an epoch differ in size by at most one image."""
    learning_rate: float = 1e-3
    """Adam's initial learning rate; it falls along a half cosine to 0 at the last step."""
    weight_decay: float = 1e-4
    """L2 penalty as Adam applies it."""
    rotations: tuple[int, ...] = ROTATIONS
    """Rotation angles of the augmentation in whole degrees, -180 to 180, all different; (0,) for
    none."""
    equalize: bool = True
    """Add a histogram-equalised copy of every training image, if it has a grey channel."""
    validation_fraction: float = 0.2
    """Share of the training clips (under "paper", of their augmented images) held out for
    validation, below 1; 0 needs select="last" and protocol="strict"."""
    select: str = "validation"
    """Weights to keep: "validation" for the best validation epoch, "last" for the last epoch."""
    seeds: tuple[int, ...] = (0,)
    """Seeds, one whole leave-one-subject-out run each; at most 1,000, all different, 0 to
    2^63 - 1."""
    precision: str = "float32"
    """Arithmetic of the training steps: "float32"; "tf32", in which a GPU multiplies with 10 bits
    of mantissa; or "bfloat16" by autocast. Weights and predictions are always float32."""
    method: str = "cumulative"
    """What clips become: an active image by one of `originet_ext.METHODS`, the onset or apex frame,
    an optical flow, or several of these as channels, such as "cumulative,dis"; see
    `originet.system.channels`."""
    image_size: int = 128
    """Height and width of the images in pixels, 16 to 4096."""
    crop_face: bool = False
    """Detect and crop the face before the active image is made."""
    face_by: str = "viola-jones"
    """How the face is found, if it is cropped: "viola-jones", or "landmarks" in every frame."""
    network: str = OWN
    """The network: one of `originet.training.networks.table`, `timm:NAME`, or the user's own
    `module:function`; ignored if a model is given."""
    pretrained: bool = False
    """Start from pretrained weights, which only networks of timm have."""
    variant: str = "paper"
    """OrigiNet's variant, "paper" or "authors"; ignored for other networks."""
    protocol: str = "strict"
    """How training and validation images are made, "strict" or "paper" (leaky); see
    `originet.training.protocol`."""
    class_weights: str = "none"
    """Class weights in the training loss: "none", or "balanced" for the inverse of each class's
    share of the training images."""
    sampling: str = "shuffled"
    """Images of an epoch: "shuffled" takes each once; "balanced" draws as many with replacement,
    with equal probability for each class."""
    label_smoothing: float = 0.0
    """Share of a training image's label that is spread over all classes, below 1."""
    mixup_alpha: float = 0.0
    """Mixes each training image and its label with another's, in shares drawn from Beta(alpha,
    alpha), 0 (none) to 100; see `originet.training.variation`."""
    translation: float = 0.0
    """Most by which training images are shifted, anew in each epoch, as a share of their side, 0
    (none) to 0.5; at least a pixel."""
    leave_out: str = "subject"
    """What a fold is tested on and trained without: one "subject", or one whole "dataset"."""

    clips_file_sha256: str | None = None
    """Hash of the file that lists the clips of the run, see `originet.datasets.clip_list`; None for
    all clips."""

    def __post_init__(self) -> None:
        """Checks every value."""
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))
        for name, least, most in (
            ("epochs", 1, MOST_EPOCHS),
            # Batch normalisation cannot train on one image; with 3, every batch has at least 2.
            ("batch_size", 3, MOST_IN_BATCH),
            ("image_size", 16, LARGEST_IMAGE),
        ):
            value = getattr(self, name)
            _require(_is_whole(value), name, "a whole number", value)
            _require(value >= least, name, f"at least {least}", value)
            _require(value <= most, name, f"at most {most:,}", value)
        varied = {"label_smoothing": 1.0, "mixup_alpha": MOST_ALPHA, "translation": 0.5}
        for name in ("learning_rate", "weight_decay", "validation_fraction", *varied):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            _require(number, name, "a number", value)
        for name in ("equalize", "crop_face", "pretrained"):
            value = getattr(self, name)
            _require(isinstance(value, bool), name, "true or false", value)
        for name in ("rotations", "seeds"):
            value = getattr(self, name)
            _require(isinstance(value, tuple), name, "a tuple or list of numbers", value)
            _require(all(map(_is_whole, value)), name, "whole numbers", value)
            _require(len(set(value)) == len(value), name, "all different", value)
        clips, digits = self.clips_file_sha256, r"[0-9a-f]{64}"
        sound = clips is None or (isinstance(clips, str) and re.fullmatch(digits, clips))
        _require(bool(sound), "clips_file_sha256", "none or 64 hexadecimal digits", clips)
        _require(self.protocol in PROTOCOLS, "protocol", _one_of(PROTOCOLS), self.protocol)
        rate, decay, fraction = self.learning_rate, self.weight_decay, self.validation_fraction
        _require(0 < rate <= LARGEST, "learning_rate", "positive and finite", rate)
        _require(0 <= decay <= LARGEST, "weight_decay", "at least 0 and finite", decay)
        _require(0 <= fraction < 1, "validation_fraction", "in [0, 1)", fraction)
        for name, highest in varied.items():
            value = getattr(self, name)
            _require(0 <= value <= highest, name, f"0 to {highest:g}", value)
        _require(self.label_smoothing < 1, "label_smoothing", "below 1", self.label_smoothing)
        _require(self.select in SELECTIONS, "select", _one_of(SELECTIONS), self.select)
        _require(
            fraction > 0 or self.select == "last",
            "validation_fraction",
            'above 0 with select="validation"',
            fraction,
        )
        weights, sampling = self.class_weights, self.sampling
        _require(weights in CLASS_WEIGHTS, "class_weights", _one_of(CLASS_WEIGHTS), weights)
        _require(sampling in SAMPLINGS, "sampling", _one_of(SAMPLINGS), sampling)
        _require(  # together they would overcompensate for rare classes
            weights == "none" or sampling == "shuffled",
            "sampling",
            'shuffled with class_weights="balanced"',
            sampling,
        )
        _require(isinstance(self.method, str), "method", _one_of(SOURCES), self.method)
        channels_of(self.method)  # refuses what is unknown
        _require(self.leave_out in LEAVE_OUT, "leave_out", _one_of(LEAVE_OUT), self.leave_out)
        angles = self.rotations
        _require(len(angles) > 0, "rotations", "at least one angle", angles)
        _require(all(-180 <= a <= 180 for a in angles), "rotations", "in -180..180", angles)
        if self.protocol == "paper":  # else the run would be labelled leaky without being leaky
            several = len(angles) > 1 or self.equalizes
            _require(several, "rotations", 'several, or equalize on, with protocol="paper"', angles)
            _require(fraction > 0, "validation_fraction", 'above 0 with protocol="paper"', fraction)
        precision = self.precision
        _require(precision in PRECISIONS, "precision", _one_of(PRECISIONS), precision)
        seeds = self.seeds
        _require(len(seeds) > 0, "seeds", "at least one", seeds)
        _require(len(seeds) <= MOST_SEEDS, "seeds", f"at most {MOST_SEEDS:,}", len(seeds))
        _require(min(seeds) >= 0, "seeds", "at least 0", seeds)
        _require(max(seeds) <= LAST_SEED, "seeds", f"at most {LAST_SEED}", seeds)
        _require(self.face_by in FACES[:2], "face_by", _one_of(FACES[:2]), self.face_by)
        _require(
            self.crop_face or self.face_by == FACES[0],
            "face_by",
            f"{FACES[0]} unless crop_face is on",
            self.face_by,
        )
        network, named = self.network, (*NETWORKS, "timm:NAME", "module:function")
        known = network in NETWORKS or (
            isinstance(network, str) and re.fullmatch(r"[\w.]{1,99}:[\w.]{1,99}", network)
        )
        _require(bool(known), "network", _one_of(named), network)
        _require(
            network.startswith("timm:") or not self.pretrained,
            "network",
            "timm:NAME with pretrained weights",
            network,
        )
        _require(self.variant in VARIANTS, "variant", _one_of(VARIANTS), self.variant)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of an image, as `method` names them."""
        return channels_of(self.method)

    @property
    def in_channels(self) -> int:
        """Number of channels that a network gets."""
        return input_channels(self.method)

    @property
    def equalizes(self) -> bool:
        """Whether there are histogram-equalised copies; flows and other numbers have none."""
        return self.equalize and any(channel.kind == GREY for channel in self.channels)

    @property
    def copies(self) -> int:
        """Number of augmented copies of an image."""
        return len(self.rotations) * (2 if self.equalizes else 1)

    @property
    def leaky(self) -> bool:
        """Whether copies of one clip are in both training and validation, as under "paper"."""
        return self.protocol == "paper"

    @property
    def protocol_label(self) -> str:
        """The protocol as people read it: "strict" or "paper (leaky)"."""
        return f"{self.protocol} (leaky)" if self.leaky else self.protocol

    def describe(self) -> str:
        """Describes the conditions of a result in a few words, for titles.

        Returns:
            For example "protocol strict" or "protocol paper (leaky), balanced class weights".
        """
        words = [f"protocol {self.protocol_label}"]
        words += ["balanced class weights"] if self.class_weights == "balanced" else []
        words += ["balanced sampling"] if self.sampling == "balanced" else []
        words += ["pretrained weights"] if self.pretrained else []
        words += [f"label smoothing {self.label_smoothing:g}"] if self.label_smoothing else []
        words += [f"mixup {self.mixup_alpha:g}"] if self.mixup_alpha else []
        words += [f"translation {self.translation:g}"] if self.translation else []
        words += ["leaving out data sets"] if self.leave_out == "dataset" else []
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Returns the values as JSON types; `from_dict` turns them into an equal Config."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """Makes a Config from the result of `to_dict`, also that of earlier versions.

        Args:
            values: Field names and values; missing fields get their defaults.

        Returns:
            The Config.

        Raises:
            InputError: If a name is not a field, or a value is out of range.
        """
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"unknown settings: {', '.join(unknown)}")
        return cls(**renamed.settings(values))


def is_own_code(network: str) -> bool:
    """Returns whether a network is the user's own `module:function`, so that it runs their code."""
    return ":" in network and not network.startswith("timm:")


def _require(condition: bool, name: str, expectation: str, value: object) -> None:
    """Raises an InputError with the setting's name, the expectation and the value."""
    if not condition:
        got = ", ".join(map(repr, value)) or "none" if isinstance(value, tuple) else repr(value)
        raise InputError(f"{name} must be {expectation}, got {got}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(words: Sequence[str]) -> str:
    return f"one of {', '.join(words)}"


def _plain(value: Any) -> Any:
    """Converts NumPy numbers to Python's, and iterables to tuples, which can be hashed."""
    if hasattr(value, "tolist"):  # NumPy's, without importing NumPy
        value = value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(_plain(item) for item in value)
    return value
