"""
The whole protocol in one file
==============================

Clips become active images; each subject is left out once; a network learns from the others and
predicts that subject's clips; the scores are those of all predictions together. ``originet loso``
does the same with more care for interruptions, GPUs and reports. This file shows the protocol
itself, in plain PyTorch::

    python leave_one_subject_out.py                        # semi-synthetic clips
    python leave_one_subject_out.py --clips my-clips --epochs 20 --size 128

``--clips`` takes a folder ``<emotion>/<subject>/<clip>/<frames>``.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from originet import OrigiNet, load_dataset, synth
from originet_ext import active_image

# %%
# Clips become active images
# --------------------------
# One image a clip, by the paper's method, stretched to 0..255. A clip's image depends on no other
# clip, so it may be made before the split.


def read_clip(paths: tuple[str, ...], size: int) -> Tensor:
    """Read image files into a clip [T, size, size] uint8."""
    frames = [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    return torch.from_numpy(np.stack([cv2.resize(frame, (size, size)) for frame in frames]))


def active_images(table: pd.DataFrame, size: int) -> Tensor:
    """Make the active images [N, size, size] float32, 0..255, of a clip table's rows."""
    clips = [read_clip(paths, size) for paths in table["frames"]]
    return active_image(clips, method="cumulative", normalize="minmax")


# %%
# Images become the network's input
# ---------------------------------
# Each image is brought to mean 0 and deviation 1 by its own statistics. A mean over the data set
# would carry the test subject's light into training.


def to_input(images: Tensor) -> Tensor:
    """Turn images [B, S, S] into input [B, 3, S, S]."""
    mean = images.mean(dim=(1, 2), keepdim=True)
    deviation = images.std(dim=(1, 2), keepdim=True).clamp_min(1)
    return ((images - mean) / deviation).unsqueeze(1).repeat(1, 3, 1, 1)


def augment(images: Tensor) -> Tensor:
    """Rotate each image [B, S, S] by an angle of its own, up to 15 degrees."""
    size = images.shape[1]
    rotated = []
    for image in images.numpy():
        angle = float(torch.empty(()).uniform_(-15, 15))
        turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), angle, 1)
        rotated.append(cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REPLICATE))
    return torch.from_numpy(np.stack(rotated))


# %%
# Train one network
# -----------------
# Only clips of the other subjects come in here. The number of epochs is fixed beforehand; to choose
# it, split these clips once more, never look at the test subject.


def train(images: Tensor, labels: Tensor, classes: int, epochs: int) -> nn.Module:
    """Train a new OrigiNet on images [N, S, S] with labels [N]."""
    model = OrigiNet(classes, image_size=images.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for batch in order.tensor_split(-(-len(order) // 32)):  # at most 32 each, of like size
            loss = F.cross_entropy(model(to_input(augment(images[batch]))), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


# %%
# Leave each subject out once
# ---------------------------
# Predictions are stored by the clip's place in the table, so every clip has exactly one.


def leave_one_subject_out(
    images: Tensor, labels: Tensor, subjects: np.ndarray, classes: int, epochs: int
) -> Tensor:
    """Predict each clip's class [N] by a network that never saw its subject."""
    predicted = torch.full_like(labels, -1)
    for number, subject in enumerate(sorted(set(subjects))):
        test = torch.from_numpy(subjects == subject)
        torch.manual_seed(number)  # a fold's numbers do not depend on the folds before it
        model = train(images[~test], labels[~test], classes, epochs)
        with torch.inference_mode():
            predicted[test] = model(to_input(images[test])).argmax(dim=1)
        print(f"{subject}: {int((predicted == labels)[test].sum())} of {int(test.sum())} right")
    assert (predicted >= 0).all(), "a clip was never predicted"
    return predicted


# %%
# Score all predictions together
# ------------------------------
# Folds are small and lack classes, so scores are not averaged over them. UAR is the mean recall of
# the classes, UF1 their mean F1. The commonest class is the score to beat.


def scores(labels: Tensor, predicted: Tensor, classes: int) -> dict[str, float]:
    """Compute accuracy, UF1 and UAR of labels [N]; every class occurs."""
    confusion = torch.bincount(labels * classes + predicted, minlength=classes**2)
    confusion = confusion.view(classes, classes)  # rows: true classes
    right, true, told = confusion.diag(), confusion.sum(1), confusion.sum(0)
    return {
        "accuracy": float(right.sum() / true.sum()),
        "UF1": float((2 * right / (true + told)).mean()),
        "UAR": float((right / true).mean()),
    }


def main(clips: str | Path, epochs: int, size: int) -> dict[str, float]:
    """Run the protocol on a folder of clips, print the scores and return them."""
    table = load_dataset("folder", clips)
    names, labels = np.unique(table["label"].to_numpy(dtype=str), return_inverse=True)
    labels, classes = torch.from_numpy(labels), len(names)
    images = active_images(table, size)
    print(f"{len(table)} clips, classes {', '.join(names)}")
    predicted = leave_one_subject_out(
        images, labels, table["subject"].to_numpy(dtype=str), classes, epochs
    )
    found = scores(labels, predicted, classes)
    commonest = torch.full_like(labels, int(labels.bincount().argmax()))
    for name, baseline in scores(labels, commonest, classes).items():
        print(f"{name:8} {found[name]:.2f}  (commonest class: {baseline:.2f})")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Leave-one-subject-out, the whole protocol.")
    parser.add_argument("--clips", help="by default 4 subjects are generated")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--size", type=int, default=48, help="side of an active image, in pixels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = arguments.clips or synth.generate(Path(folder) / "clips", subjects=4)
        main(clips, arguments.epochs, arguments.size)
