"""Two remedies for classes of unequal size: weights in the loss, or balanced draws of the images.

Both count only the training images, so validation clips and the test subject have no influence.
"""

import torch
from torch import Tensor


def epoch_order(labels: Tensor, sampling: str, generator: torch.Generator) -> Tensor:
    """Draws the images of one epoch.

    Args:
        labels: Class indices of the training images, [M] int64 on the CPU.
        sampling: One of `originet.training.config.SAMPLINGS`: "shuffled" for a permutation,
            "balanced" for draws with replacement in which each class present is equally likely.
        generator: A generator on the CPU. Each training has its own, so that others do not change
            its order.

    Returns:
        Indices of images, [M] int64 on the CPU.
    """
    if sampling == "shuffled":
        return torch.randperm(len(labels), generator=generator)
    rarity = 1 / torch.bincount(labels)[labels].double()  # [M]
    return torch.multinomial(rarity, len(labels), replacement=True, generator=generator)


def balanced_weights(labels: Tensor) -> Tensor:
    """Computes class weights with mean 1 over the images and the same sum in every class.

    Args:
        labels: Class indices of the training images, [M] int64.

    Returns:
        M / (classes present * images of the class), [largest index + 1] float32; 0 for a class
        without images.
    """
    counts = torch.bincount(labels)
    weights = counts.sum() / (counts.clamp_min(1) * (counts > 0).sum())
    return weights * (counts > 0)
