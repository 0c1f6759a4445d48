"""Damage as strangers may do it: to bytes, and to the values of JSON.

Each function takes a `random.Random`, so a seed repeats what failed.
"""

import json
import math
from collections.abc import Iterator
from random import Random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400),
    *(math.nan, math.inf, -math.inf, 1e308),
    *("", " ", "\n", "a\0b", "\udc80", "\ud800", "\x1b[31m", "\u202e", "x" * 100_000, "9" * 5_000),
    *("..", "../victim/file.txt", "/etc/passwd", "/dev/zero", "a/../../b", "C:\\x", "=1+1", "NaN"),
    *([], {}, [None], {"": None}, ["../victim/file.txt"], [[[[[[]]]]]]),
)
"""Values that somebody may put in the place of any other."""

_TOKENS = (
    *(
        b"\0",
        b"\xff",
        b"\n",
        b"\r",
        b'"',
        b",",
        b"[",
        b"{",
        b"}",
        b"-",
        b"NaN",
        b"1e999",
        b"\xef\xbb\xbf",
    ),
    *(b"[" * 100_000, b'{"":' * 50_000, b"9" * 5_000, b"\xff" * 8, b"\0\0\0\0\0\0\0\x80"),
)


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """Returns bytes with one to three places damaged: changed, cut out, repeated or put in."""
    damaged = bytearray(data)
    for _ in range(random.randint(1, 3)):
        start = random.randrange(len(damaged) + 1)
        stop = start + int(2 ** random.uniform(0, 8))
        match random.randrange(6):
            case 0:
                for place in range(start, min(start + random.randint(1, 4), len(damaged))):
                    damaged[place] ^= 1 << random.randrange(8)
            case 1:
                damaged[start:stop] = random.randbytes(min(stop, len(damaged)) - start)
            case 2:
                del damaged[start:stop]
            case 3:
                del damaged[start:]
            case 4:
                damaged[start:start] = damaged[start:stop]
            case _:
                damaged[start:start] = random.choice(_TOKENS)
    return bytes(damaged)


def mutate_json(values: Any, random: Random) -> Any:
    """Returns a copy of JSON values in which one is replaced, removed, or has a new name."""
    copy = json.loads(json.dumps(values))
    places = list(_places(copy))
    if not places or random.random() < 0.02:
        return random.choice(HOSTILE)
    holder, key = random.choice(places)
    action = random.randrange(5)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[random.choice([name for name in HOSTILE if isinstance(name, str)])] = holder.pop(key)
    elif action == 2 and isinstance(holder, list):
        holder *= 2
    else:
        holder[key] = random.choice(HOSTILE)
    return copy


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every list or object below a value with each of its keys."""
    if isinstance(values, dict | list):
        for key in values if isinstance(values, dict) else range(len(values)):
            yield values, key
            yield from _places(values[key])
