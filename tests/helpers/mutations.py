"""Damage as strangers may do it: to bytes, and to the values of JSON.

Each function takes a `random.Random`, so a seed repeats what failed.
"""

import io
import json
import math
import re
import zipfile
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


# In place of those of a sheet: rows, columns, indices, lengths.
_NUMBERS = (-1, 16_384, 1_048_576, 2**31, 2**32, 2**63, 10**9, 10**30, 1e300)


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """Returns bytes with one to three places damaged: changed, cut out, repeated or put in."""
    damaged = bytearray(data)
    for _ in range(random.randint(1, 3)):
        # A header decides more than what follows it.
        start = random.randrange(min(len(damaged), random.choice((16, 64, 512, 2**30))) + 1)
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


def mutate_json_file(data: bytes, random: Random) -> bytes:
    """Returns a JSON file whose values, or now and then whose bytes, are damaged."""
    if random.random() < 0.1:
        return mutate_bytes(data, random)
    if random.random() < 0.01:
        return random.choice((b"[", b'{"a":', b'{"folds":[')) * 50_000
    return json.dumps(mutate_json(json.loads(data), random)).encode()


def mutate_tensors(data: bytes, random: Random) -> bytes:
    """Returns a safetensors file whose header, or now and then whose bytes, are damaged."""
    if random.random() < 0.3:
        return mutate_bytes(data, random)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(mutate_json(json.loads(data[8:end]), random)).encode()
    return len(header).to_bytes(8, "little") + header + data[end:]


def mutate_csv(data: bytes, random: Random) -> bytes:
    """Returns a CSV file whose cells, or now and then whose bytes, are damaged."""
    if random.random() < 0.3:
        return mutate_bytes(data, random)
    rows = [line.split(b",") for line in data.splitlines()]
    for _ in range(random.choice((1, 1, 2, 4))):
        row = random.choice(rows)
        place = random.randrange(len(row))
        match random.randrange(5):
            case 0:
                row[place] = str(random.choice(HOSTILE)).encode("utf-8", "surrogatepass")
            case 1:
                row.insert(place, random.choice(random.choice(rows)))
            case 2 if len(row) > 1:
                del row[place]
            case 3:
                rows.insert(random.randrange(len(rows)), list(row))
            case _:
                row[place] = mutate_bytes(row[place], random)
    return b"\n".join(map(b",".join, rows)) + b"\n"


def mutate_xlsx(data: bytes, random: Random) -> bytes:
    """Returns a workbook in one of whose parts a few numbers or bytes are damaged."""
    if random.random() < 0.2:
        return mutate_bytes(data, random)
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    name = random.choice([*(["xl/worksheets/sheet1.xml"] * len(parts)), *parts])
    if random.random() < 0.5:
        parts[name] = mutate_bytes(parts[name], random)
    else:
        numbers = list(re.finditer(rb"[0-9]+", parts[name]))
        for found in random.sample(numbers, min(len(numbers), random.choice((1, 1, 2, 4)))):
            other = str(random.choice((*_NUMBERS, *range(20)))).encode()
            parts[name] = parts[name].replace(found[0], other, random.choice((1, -1)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        for part, content in parts.items():
            if part != name or random.random() > 0.02:
                book.writestr(part, content)
    return file.getvalue()


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every list or object below a value with each of its keys."""
    if isinstance(values, dict | list):
        for key in values if isinstance(values, dict) else range(len(values)):
            yield values, key
            yield from _places(values[key])
