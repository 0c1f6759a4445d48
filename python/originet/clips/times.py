"""Reads times as users write them."""

import re

_TIME = re.compile(
    r"(?P<alone>[0-9]{1,12}(\.[0-9]+)?)s"
    r"|((?P<hours>[0-9]{1,9}):(?=[0-9]{2}:))?(?P<minutes>[0-9]{1,2}):(?P<seconds>[0-9]{2}(\.[0-9]+)?)"
)


def seconds_of(text: str) -> float | None:
    """Returns the seconds of "12.5s", "2:03.5" or "1:02:03.5"; None for any other text."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, alone = (
        float(match[part] or 0) for part in ("hours", "minutes", "seconds", "alone")
    )
    return 3600 * hours + 60 * minutes + seconds + alone if max(minutes, seconds) < 60 else None
