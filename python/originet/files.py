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
    """Returns a text as a part of a file name: at most 60 letters, digits, `_`, `-` and `.`.

    Different texts may become one name.
    """
    return re.sub(r"^\.|[^\w.-]", "_", text)[:60]


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
