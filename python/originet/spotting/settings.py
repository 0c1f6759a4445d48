"""What the spotter looks for: times in seconds, movements in pixels of a 128-pixel face."""

from dataclasses import dataclass, fields

from originet.system.errors import InputError


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
    guard: float = 0.1
    """Seconds by which an energy must be the largest, before and after it."""
    threshold: float = 2.5
    """How far an energy must stand out from the baseline, in the baseline's own spread."""
    notice: float = 1.5
    """The same for a micro-movement, whose course is looked at as well."""
    brief: float = 0.9
    """How much of its course must be a brief movement's, 0..1; see `originet.spotting.course`."""
    least: float = 0.08
    """Pixels: a smaller energy is never a movement."""
    ground: float = 0.03
    """Pixels: the least spread of a baseline, so that a still picture has one."""
    shortest: float = 0.1
    """Seconds: anything briefer is noise."""
    micro: float = 0.5
    """Seconds: the longest micro-movement; longer ones are macro."""
    longest: float = 4.0
    """Seconds: a movement that has not gone back by then is a new posture."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise InputError(f"{field.name} must be above 0, got {value}")
