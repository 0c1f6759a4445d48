"""What a network takes of a clip: the channels that the setting `method` names.

`cumulative` is one active image. `cumulative,rank` is two, `dis` an optical flow of three channels,
`onset,apex,dis` five channels. `own:u,v,heat` names three channels of arrays that a caller brings;
there `u` and the `v` after it are a vector in pixels, to the right and down.
"""

import re
from typing import NamedTuple

from originet.system.choices import FLOWS, SOURCES
from originet.system.errors import InputError

OWN = "own:"
MOST_CHANNELS = 16
FLOW = ("u", "v", "strain")
"""Channels of a flow, in pixels, pixels and pixels per pixel."""
MADE_BY_APEX = ("apex", *FLOWS)
"""Sources that depend on which frame is the apex."""

GREY, U, V, VALUE = "grey", "u", "v", "value"
"""Kinds of channels: grey levels of 0..255, the two parts of a vector, any other number."""

_OWN_NAME = r"[a-z0-9][a-z0-9-]{0,39}"


class Channel(NamedTuple):
    """A channel of a network's input."""

    name: str
    """Unique within the input, such as "rank" or "dis-u"."""
    kind: str
    """`GREY`, `U`, `V` or `VALUE`; a channel of kind `V` follows one of kind `U`."""


def sources_of(method: str) -> tuple[str, ...]:
    """Splits a method into what a clip is made into.

    Args:
        method: One of `originet.system.choices.SOURCES`, or several of them, separated by commas.

    Returns:
        The sources, in their order.

    Raises:
        InputError: If one is unknown or named twice, there are more than `MOST_CHANNELS` channels,
            or the channels are a caller's own.
    """
    if method.startswith(OWN):
        raise InputError(f"method {method!r} names arrays of your own, which no clip becomes")
    sources = tuple(method.split(","))
    for source in sources:
        if source not in SOURCES:
            several = "method" if len(sources) == 1 else f"each of method {method!r}"
            raise InputError(f"{several} must be one of {', '.join(SOURCES)}, got {source!r}")
    if len(set(sources)) < len(sources):
        raise InputError(f"method {method!r} names a channel twice")
    _check_count(method, sum(map(channel_count, sources)))
    return sources


def channels_of(method: str) -> tuple[Channel, ...]:
    """Lists the channels that a method names.

    Args:
        method: As for `sources_of`, or `own:` and names, separated by commas.

    Returns:
        The channels, in their order.

    Raises:
        InputError: As for `sources_of`; or if a name of one's own has other characters than
            a-z, 0-9 and -, or is u or v without the other.
    """
    if method.startswith(OWN):
        return _own_channels(method)
    found: list[Channel] = []
    for source in sources_of(method):
        if source in FLOWS:
            names = (f"{source}-{part}" for part in FLOW)
            found += map(Channel, names, (U, V, VALUE))
        else:
            found.append(Channel(source, GREY))
    return tuple(found)


def channel_count(source: str) -> int:
    """Returns the number of channels that a source has."""
    return len(FLOW) if source in FLOWS else 1


def is_one_image(method: str) -> bool:
    """Returns whether a method names one grey image, without a dimension for channels."""
    return method in SOURCES and method not in FLOWS


def input_channels(method: str) -> int:
    """Returns the number of channels that a network gets: one grey image is repeated to three.

    Raises:
        InputError: As for `channels_of`.
    """
    return 3 if is_one_image(method) else len(channels_of(method))


def check_one_image(method: str, what: str) -> None:
    """Checks that a method names one grey image.

    Args:
        method: The method.
        what: What needs that, for the message.

    Raises:
        InputError: If it does not.
    """
    if not is_one_image(method):
        raise InputError(f"{what} takes one grey image a clip, not the channels of {method!r}")


def _own_channels(method: str) -> tuple[Channel, ...]:
    names = method.removeprefix(OWN).split(",")
    for name in names:
        if re.fullmatch(_OWN_NAME, name) is None:
            raise InputError(f"channels of method {method!r} must be of a-z, 0-9, -, got {name!r}")
    if len(set(names)) < len(names):
        raise InputError(f"method {method!r} names a channel twice")
    _check_count(method, len(names))
    if (U in names or V in names) and f",{U},{V}," not in f",{','.join(names)},":
        raise InputError(f"method {method!r} must name v right after u: they are one vector")
    return tuple(Channel(name, name if name in (U, V) else VALUE) for name in names)


def _check_count(method: str, count: int) -> None:
    if count > MOST_CHANNELS:
        raise InputError(f"method {method!r} has {count} channels, at most {MOST_CHANNELS} fit")
