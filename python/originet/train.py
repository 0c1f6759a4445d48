"""Training and prediction for one network: the loop, nothing hidden.

Images stay in memory as uint8 and become float batch by batch. The only statistics used are those
of the image itself, so no clip can influence how another one is seen.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from originet.balance import balanced_weights, epoch_order
from originet.config import Config
from originet.errors import InputError
from originet.protocol import fold_parts

PREDICTION_BATCH = 128


@dataclass(frozen=True)
class History:
    """What happened in one call of `fit`."""

    epochs: list[dict[str, float | None]]
    """Per epoch: epoch (from 1), loss (with its class weights) and accuracy of the training copies
    as they were seen, validation_loss, validation_accuracy (None without validation clips)."""
    selected_epoch: int
    """The epoch whose weights the model holds now, from 1."""
    training: NDArray[np.int64]
    """Indices of the clips of which images were trained on, ascending."""
    validation: NDArray[np.int64]
    """Indices of the clips of which images were validated on, ascending; under "strict" none of
    them is in `training`."""


def set_seed(seed: int) -> None:
    """Seeds every generator training draws from: Python, NumPy, torch on every device.

    Args:
        seed: 0..2^32 - 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Turns the user's wish into a device.

    Args:
        device: "cpu", "cuda", "cuda:1", ...; None takes the GPU if there is one.

    Returns:
        A device that can be used.

    Raises:
        InputError: If there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {str(device)!r} cannot be used: {reason}") from error
    return picked


def fit(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    config: Config,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Trains a model in place with Adam and cross-entropy (which holds the softmax of Eq. 11).

    What it trains and validates on, `originet.protocol` makes. The validation figures are plain
    means, whatever the class weights and the sampling. On the CPU the same call gives the same
    weights, bit for bit, if the model started with the same weights and the number of threads is
    the same.

    Args:
        model: Maps [B, 3, S, S] float to logits [B, classes]; moved to `device` and left there, in
            evaluation mode.
        images: One active image a clip, [N, S, S] uint8.
        labels: Class indices [N].
        config: Settings; those about seeds and the making of active images are not read here.
        seed: Seed of the split, of the order of the batches and of dropout.
        device: Where to train; None takes the GPU if there is one.
        progress: Called as progress(epochs done, epochs) after every epoch.

    Returns:
        The history.

    Raises:
        InputError: If shapes or dtypes do not fit, fewer than two images or, under "paper", no
            image of a class are left to train on, or the loss stops being a finite number.
    """
    _check_images(images)
    labels = np.asarray(labels, dtype=np.int64)
    if labels.shape != (len(images),):
        raise InputError(f"labels must have shape ({len(images)},), got {labels.shape}")
    parts = fold_parts(images, labels, config, seed)
    if len(parts.training) < 2:
        raise InputError(f"at least 2 training images are needed, got {len(parts.training)}")
    training_labels = torch.from_numpy(labels[parts.training_clips])  # [M]
    validation_labels = labels[parts.validation_clips]  # [V]

    set_seed(seed)
    where = pick_device(device)
    model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.from_numpy(parts.training).to(where)  # [M, S, S] uint8
    y = training_labels.to(where)  # [M]
    weights = balanced_weights(y) if config.class_weights == "balanced" else None
    steps = -(-len(x) // config.batch_size)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs * steps)
    epochs: list[dict[str, float | None]] = []
    best, best_weights = (-math.inf, -math.inf), None
    selected = config.epochs

    for epoch in range(1, config.epochs + 1):
        model.train()
        loss_sum = torch.zeros((), device=where)
        right = torch.zeros((), device=where)
        order = epoch_order(training_labels, config.sampling)
        for batch in order.to(where).tensor_split(steps):
            logits = model(to_input(x[batch]))  # [B, classes]
            if weights is not None:  # the network may know classes that no clip here has
                weights = F.pad(weights, (0, logits.shape[1] - len(weights)))
            loss = F.cross_entropy(logits, y[batch], weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.detach() * len(batch)
            right += (logits.detach().argmax(dim=1) == y[batch]).sum()
        record: dict[str, float | None] = {
            "epoch": epoch,
            "loss": _finite(float(loss_sum) / len(x), "training", epoch, config),
            "accuracy": float(right) / len(x),
            "validation_loss": None,
            "validation_accuracy": None,
        }
        if len(validation_labels) > 0:
            probabilities = predict(model, parts.validation, device=where)
            true = probabilities[np.arange(len(validation_labels)), validation_labels]
            score = float(np.mean(probabilities.argmax(axis=1) == validation_labels))
            # A probability that underflowed to 0 counts as the smallest normal number.
            surprise = -np.log(np.maximum(true, np.finfo(np.float32).tiny, dtype=np.float64))
            validation_loss = _finite(float(surprise.mean()), "validation", epoch, config)
            record |= {"validation_loss": validation_loss, "validation_accuracy": score}
            # Few clips give many ties in accuracy; among those the lower loss decides.
            if config.select == "validation" and (score, -validation_loss) > best:
                best, selected = (score, -validation_loss), epoch
                best_weights = {k: v.clone() for k, v in model.state_dict().items()}
        epochs.append(record)
        if progress is not None:
            progress(epoch, config.epochs)

    if best_weights is not None:
        model.load_state_dict(best_weights)
    model.eval()
    clips = map(np.unique, (parts.training_clips, parts.validation_clips))
    return History(epochs, selected, *clips)


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: NDArray[np.uint8],
    *,
    device: str | torch.device | None = None,
) -> NDArray[np.float32]:
    """Computes class probabilities: the softmax of the logits, Eq. (11).

    Args:
        model: Maps [B, 3, S, S] float to logits [B, classes]; moved to `device` and left there, in
            evaluation mode.
        images: [N, S, S] uint8.
        device: Where to compute; None takes the GPU if there is one.

    Returns:
        Probabilities [N, classes] float32; each row adds up to 1.

    Raises:
        InputError: If `images` is empty or not [N, S, S] uint8.
    """
    _check_images(images)
    where = pick_device(device)
    model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.eval()
    batches = torch.tensor(images).split(PREDICTION_BATCH)
    rows = [model(to_input(batch.to(where))).softmax(dim=1).cpu() for batch in batches]
    return torch.cat(rows).numpy()


def to_input(images: Tensor) -> Tensor:
    """Turns uint8 images into the network's input.

    Every image is brought to mean 0 and deviation 1 by its own statistics, and its one grey
    channel is repeated to three.

    Args:
        images: [B, S, S] uint8.

    Returns:
        [B, 3, S, S] float32 in channels_last, the faster layout on CPU and GPU alike.
    """
    x = images.float() / 255
    deviation, mean = torch.std_mean(x, dim=(1, 2), correction=0, keepdim=True)
    x = (x - mean) / deviation.clamp_min(1 / 255)  # a blank image stays finite: zeros
    three = x.unsqueeze(1).expand(-1, 3, -1, -1)  # [B, 3, S, S]
    return three.contiguous(memory_format=torch.channels_last)


def _finite(loss: float, kind: str, epoch: int, config: Config) -> float:
    """Returns the loss; raises InputError if it is no finite number."""
    if not math.isfinite(loss):
        raise InputError(
            f"the {kind} loss became {loss} in epoch {epoch}; "
            f"a learning_rate below {config.learning_rate} may help"
        )
    return loss


def _check_images(images: NDArray[np.uint8]) -> None:
    """Raises InputError unless `images` is a filled [N, S, S] uint8 array."""
    if images.dtype != np.uint8 or images.ndim != 3 or len(images) == 0:
        raise InputError(
            f"images must be [N, S, S] uint8 with N at least 1, got {images.shape} {images.dtype}"
        )
