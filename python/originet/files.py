"""Files that are either whole or absent, what they hold, and names for them."""

import hashlib
import os
import re
from pathlib import Path


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under a temporary name in its folder, then move it into place.

    A reader sees the old file or the new one, never a part; a failure leaves no new file behind.

    Args:
        path: Where to write; missing folders are made.
        data: The whole content.

    Raises:
        OSError: The file cannot be written there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def safe_name(text: str) -> str:
    """Returns a text as a part of a file name: letters, digits, `_`, `-` and `.`.

    There are at most 60, and at most 120 bytes of them, as a file name has room for 255 in all.
    Different texts may become one name.
    """
    name = re.sub(r"^\.|[^\w.-]", "_", text)[:60]
    return name.encode()[:120].decode(errors="ignore")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
