"""Sets written by `originet synth`: a folder tree that says in a manifest what it is."""

from pathlib import Path

from originet.clips.strays import MANIFEST
from originet.datasets.folder import SEMI_SYNTHETIC, read_manifest, survey_folder, unwrap
from originet.datasets.survey import Survey
from originet.system.errors import InputError


def survey_synthetic(root: Path, *, task: str = "original", set_name: str | None = None) -> Survey:
    """Surveys a set written by `originet synth`, whose `dataset.json` must be there.

    Raises:
        InputError: as `survey_folder`, and if the manifest is missing or of another origin.
    """
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    if read_manifest(unwrap(root)).name != SEMI_SYNTHETIC:
        raise InputError(f"{root} holds no {MANIFEST} written by `originet synth`")
    return survey_folder(root, task=task, set_name=set_name)
