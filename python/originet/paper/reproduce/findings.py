"""The findings of a reproduction, before they are written to the report."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from originet.datasets import ClipTable
from originet.datasets.folder import is_semi_synthetic
from originet.datasets.titles import dataset_title
from originet.evaluation.splits import SortedClips
from originet.paper.ablation import Ablation
from originet.paper.comparison import Comparison
from originet.paper.reproduce.activations import Check
from originet.paper.reproduce.responses import Responses
from originet.paper.reproduce.shown_clips import Phases, Shown
from originet.training.config import Config


@dataclass(frozen=True)
class Findings:
    """Everything the page shows."""

    clips: SortedClips
    """The clips and their active images."""
    config: Config
    """The settings of every training."""
    quick: bool
    """Whether the settings are reduced for a quick look."""
    device: torch.device
    """Where the networks of the pictures were computed."""
    checks: list[Check]
    """Table I."""
    erratum: list[dict[str, Any]]
    """What Table I says about psi, and the correct values."""
    shown: Shown
    """The clips of the pictures."""
    phases: list[Phases]
    """Fig. 2."""
    complexity: list[dict[str, Any]]
    """Table V; empty if its networks are not available."""
    comparison: Comparison | None
    """Tables III and IV; None if no row could be evaluated."""
    ablation: Ablation | None
    """Table VI; None if no row could be evaluated."""
    responses: dict[str, Responses]
    """Figs. 4 and 5, by network name."""
    failed: dict[str, str]
    """The reason for each part that failed, by the part's name."""

    @property
    def table(self) -> ClipTable:
        """The clips in their order [N]."""
        return self.clips.rows

    @property
    def images(self) -> NDArray[np.uint8]:
        """Their active images by the settings' method, [N, S, S]."""
        return self.clips.images[self.config.method]

    @property
    def dataset(self) -> str:
        """Names of the data sets, joined by "+"."""
        return self.clips.dataset

    @property
    def semi_synthetic(self) -> bool:
        """Whether any of the clips are semi-synthetic."""
        return is_semi_synthetic(self.dataset)

    @property
    def title(self) -> str:
        """The page's title."""
        title = f"The paper's tables and figures, on {dataset_title(self.dataset)}"
        return f"{title} (quick look)" if self.quick else title
