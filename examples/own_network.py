"""
Your own network under leave-one-subject-out
============================================

``run_loso`` evaluates any network. It takes a function that makes a fresh one for a number of
classes, because every fold starts from new weights.
"""

import tempfile
from pathlib import Path

from torch import nn

from originet import Config, load_dataset, run_loso, synth
from originet_ext import FusedRReLU


def network(classes: int) -> nn.Module:
    """Map images [B, 3, 48, 48] to logits [B, classes]."""
    convolution = nn.Conv2d(3, 16, 5, stride=4)  # [B, 16, 11, 11]
    return nn.Sequential(convolution, FusedRReLU(), nn.Flatten(), nn.Linear(16 * 11 * 11, classes))


with tempfile.TemporaryDirectory() as folder:
    clips = synth.generate(Path(folder) / "clips", subjects=4, clips_per_class=2)
    table = load_dataset("synthetic", clips)
    config = Config(epochs=20, image_size=48, rotations=(0,), select="last")
    result = run_loso(table, network, config)

# %%
# The scores come with a 95 % interval over subjects and with what you would score by always
# answering the commonest class. On four subjects the interval is wide, as it should be.

low, high = result.intervals["uar"]
print(f"UAR {result.metrics['uar']:.2f} (95 % {low:.2f} to {high:.2f})")
print(f"majority class: {result.baseline['uar']:.2f}")
for name, scores in result.per_class.items():
    print(f"{name:10} recall {scores['recall']:.2f}")
