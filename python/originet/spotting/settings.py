"""What the spotter looks for: times in seconds, movements in pixels of a 128-pixel face."""

from dataclasses import dataclass, fields, replace

from originet.system.errors import InputError

_LIVE_PATIENCE = 0.4  # seconds: with a frame's own time, less than half a second


@dataclass(frozen=True)
class Settings:
    """Settings of the spotter.

    Raises:
        InputError: If one is not above 0.
    """

    window: float = 0.2
    """Seconds of the two active images whose difference shows a movement: those of the frames
    before a moment and after it."""
    baseline: float = 3.0
    """Seconds before a moment from which its usual energy is taken."""
    usual: float = 10.0
    """Seconds before a moment from which the usual movement of each part of the face is taken."""
    guard: float = 0.1
    """Seconds by which an energy or an action must be the largest, before and after it."""
    threshold: float = 2.5
    """How far a movement must stand out of what is usual, in that one's own spread: a part of the
    face by its energy, or an action by its amplitude."""
    notice: float = 1.5
    """The same for a region that takes part in a longer movement."""
    brief: float = 0.78
    """How much of its course must be a brief movement's, 0..1; see `originet.spotting.course`."""
    alone: float = 0.95
    """The same for a movement that is none of `originet.spotting.actions`."""
    least: float = 0.08
    """Pixels: a smaller energy is never a movement."""
    smallest: float = 0.4
    """Pixels: an action that goes less far is never a movement."""
    largest: float = 5.0
    """Pixels: an action that goes further is no micro-movement."""
    ground: float = 0.03
    """Pixels: the least that is usual for an energy or a part of the face, so that a still picture
    has something usual."""
    shortest: float = 0.1
    """Seconds: anything briefer is noise."""
    micro: float = 0.5
    """Seconds: the longest micro-movement; longer ones are macro."""
    longest: float = 4.0
    """Seconds: a movement that has not gone back by then is a new posture."""
    patience: float = 0.7
    """Seconds after its end at which a micro-movement is told: until then, the face may do what
    explains it better."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise InputError(f"{field.name} must be above 0, got {value}")

    def live(self) -> "Settings":
        """Returns the settings for somebody who waits, as before a camera."""
        return replace(self, patience=min(self.patience, _LIVE_PATIENCE))
