"""Files that are either whole or absent, and what they hold."""

import hashlib
import os
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


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
