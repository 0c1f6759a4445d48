"""What makes two runs the same: the content of config.json, by which a folder knows its run.

A study is known by its settings, clips and arithmetic. A run of one network adds the network and
the images. `originet.evaluation.run_files.claim` writes the identity, or compares it with the one
that is there.
"""

from typing import Any

from originet.evaluation.compute import Compute
from originet.evaluation.splits import SortedClips
from originet.training.config import Config

Identity = dict[str, Any]
"""JSON types."""


def study_identity(config: Config, clips: SortedClips, compute: Compute, **more: Any) -> Identity:
    """Identifies several networks evaluated on the same clips.

    Args:
        config: The settings that the networks share.
        clips: The clips.
        compute: How folds are computed; the numbers depend on its `identity`.
        more: What else determines the results, as JSON types.

    Returns:
        The identity.
    """
    return {
        "config": config.to_dict(),
        "clip_list_sha256": clips.clip_list_sha256,
        "compute": compute.identity,
        **more,
    }


def run_identity(config: Config, clips: SortedClips, **more: Any) -> Identity:
    """Identifies the evaluation of one model on some clips and their images.

    Args:
        config: Its settings; the method says which images it takes.
        clips: The clips.
        more: What else determines the result, as JSON types.

    Returns:
        The identity.
    """
    return {
        "config": config.to_dict(),
        "dataset": clips.dataset,
        "classes": list(clips.classes),
        "clip_list_sha256": clips.clip_list_sha256,
        "images_sha256": clips.images_sha256[config.method],
        **more,
    }
