"""The training loop, for one network or for several that take turns.

Images stay in memory as uint8 and become floating point batch by batch. Each image is normalised
only by its own statistics, so no clip influences how another one is seen. Flows are scaled by the
training clips, see `originet.training.scaling`.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from originet.system.channels import is_one_image
from originet.system.device import arithmetic, own_stream, pick_device, set_seed
from originet.system.errors import InputError
from originet.training import scaling
from originet.training.augment import augmented_views
from originet.training.balance import balanced_weights, epoch_order
from originet.training.config import Config
from originet.training.cuda_graph import Graphs
from originet.training.predict import (
    as_array,
    check_channels,
    check_images,
    probabilities_of,
    to_input,
)
from originet.training.protocol import Parts, fold_parts
from originet.training.variation import (
    draw_shares,
    draw_shifts,
    largest_shift,
    mixed,
    mixed_loss,
    shifted,
)


@dataclass(frozen=True)
class History:
    """The record of one call of `fit`."""

    epochs: list[dict[str, float | None]]
    """For each epoch: epoch (from 1); loss (with class weights, label smoothing and mixup) and
    accuracy on the training copies during the epoch (of mixtures: of the larger parts);
    validation_loss and validation_accuracy (None without validation clips)."""
    selected_epoch: int
    """The epoch whose weights the model now holds, from 1."""
    training: NDArray[np.int64]
    """Indices of the clips with training images, ascending."""
    validation: NDArray[np.int64]
    """Indices of the clips with validation images, ascending; under "strict" none of them is in
    `training`."""


class Training:
    """The training of one network, step by step, so that several can take turns on one device.

    A step reads its images, its place in the epoch and its learning rate from device memory. So on
    a GPU, a step is a CUDA graph that is launched again and again without arguments, on its own
    stream.
    """

    def __init__(
        self,
        model: nn.Module,
        views: Tensor,
        clips: NDArray[np.int64],
        labels: NDArray[np.int64],
        config: Config,
        *,
        seed: int,
        classes: int | None = None,
        cuda_graph: bool = True,
        parts: Parts | None = None,
    ) -> None:
        """Prepares the training of a model on the parts that `config.protocol` chooses.

        Args:
            model: Maps [B, 3, S, S] float to logits [B, classes], or [B, C, S, S] if the views have
                C channels; moved to the device of `views`. If these are floating point, it will
                scale its input, see `originet.training.scaling`.
            views: The views of all clips of a run, [all, 1 + copies, S, S] uint8 or
                [all, 1 + copies, S, S, C], see `originet.training.augment.augmented_views`.
            clips: Indices of the clips to train and validate on, [N].
            labels: Their class indices [N].
            config: Settings; those of seeds and active images are not used here.
            seed: Seed of the split, of the order of the batches, of what varies from epoch to epoch
                and of dropout.
            classes: Number of logits per image that the network must return; None allows any
                number that fits the labels.
            cuda_graph: On a GPU, launch steps as CUDA graphs.
            parts: The training and validation images; None lets `config.protocol` choose them.

        Raises:
            InputError: If fewer than two training images are left or, under "paper", none of some
                class; or if the precision is "tf32" and the device is not a GPU.
        """
        self.model, self.config, self.device = model, config, views.device
        if config.precision == "tf32" and self.device.type != "cuda":
            raise InputError(f"precision 'tf32' needs a CUDA device, the device is {self.device}")
        self._parts = parts or fold_parts(labels, config, seed)
        self._count = len(self._parts.training_clips)
        if self._count < 2:
            raise InputError(f"at least 2 training images are needed, got {self._count}")
        set_seed(seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._rng = np.random.default_rng((seed, 1))  # not that of the split
        self._labels = torch.from_numpy(labels[self._parts.training_clips])  # [M]
        self._validation_labels = torch.from_numpy(labels[self._parts.validation_clips])  # [V]
        self._clips, self._classes = clips, classes
        self._stream = own_stream(self.device)
        self.steps = -(-self._count // config.batch_size)
        self.epochs: list[dict[str, float | None]] = []
        self._best = (-math.inf, -math.inf)
        self._best_weights: dict[str, Any] | None = None
        self._selected = config.epochs
        self._graphs = Graphs() if cuda_graph and self.device.type == "cuda" else None
        with self._stream:
            self._prepare(views)

    def _prepare(self, views: Tensor) -> None:
        """Copies the data of the steps to the device."""
        config, where, parts = self.config, self.device, self._parts
        if views.is_floating_point():
            scaling.attach(self.model, views.shape[-1])
        self.model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if views.is_floating_point():
            training = torch.from_numpy(self._clips[np.unique(parts.training_clips)]).to(where)
            scaling.calibrate(self.model, views[training, 0], config.channels)
        self._pixels = views.flatten(0, 1)  # [all * (1 + copies), S, S] or [..., S, S, C]

        def rows(chosen: NDArray[np.int64], view: NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(self._clips[chosen] * views.shape[1] + view).to(where)

        self._rows = rows(parts.training_clips, parts.training_views)  # [M]
        self._validation_rows = rows(parts.validation_clips, parts.validation_views)  # [V]
        self._targets = self._labels.to(where)  # [M]
        self._validation_targets = self._validation_labels.to(where)  # [V]
        balanced = config.class_weights == "balanced"
        self._weights = balanced_weights(self._targets) if balanced else None
        total = config.epochs * self.steps
        falling = [(1 + math.cos(math.pi * step / total)) / 2 for step in range(total)]
        self._rates = torch.tensor([config.learning_rate * share for share in falling]).to(where)
        self._rate = self._rates[0].clone()
        self._done = torch.zeros(1, dtype=torch.int64, device=where)
        rounds = 2 if config.mixup_alpha > 0 else 1  # mixup takes two images for one
        self._orders = [torch.empty_like(self._targets) for _ in range(rounds)]
        self._most = largest_shift(config.translation, views.shape[2])
        shifts = torch.zeros((self._count, 2), dtype=torch.int64, device=where)
        self._shifts = [shifts.clone() for _ in range(rounds if self._most else 0)]
        self._shares = [torch.zeros(self._count, device=where) for _ in range(rounds - 1)]
        self._place = torch.zeros((), dtype=torch.int64, device=where)
        self._offsets = torch.arange(config.batch_size, device=where)
        self._loss_sum, self._right = torch.zeros((), device=where), torch.zeros((), device=where)
        self._verdict = torch.zeros((2, len(self._validation_rows)), device=where)
        self._optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=self._rate,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=where.type == "cuda",
        )

    def start_epoch(self) -> None:
        """Draws the order of the images, and how they vary in this epoch."""
        self.model.train()
        sampling, generator = self.config.sampling, self._generator
        order, *others = [epoch_order(self._labels, sampling, generator) for _ in self._orders]
        # Batches of an epoch differ in size by at most one image. Steps pop them from the end, so
        # the list is reversed for the larger ones to come first.
        self._sizes = [len(batch) for batch in order.tensor_split(self.steps)][::-1]
        drawn = [
            *(order, *others),
            *(draw_shifts(self._count, self._most, generator) for _ in self._shifts),
            *(draw_shares(self._count, self.config.mixup_alpha, self._rng) for _ in self._shares),
        ]
        with self._stream:
            held = (*self._orders, *self._shifts, *self._shares)
            for buffer, values in zip(held, drawn, strict=True):
                # From pinned memory, so that the host does not wait for the copy.
                values = values.pin_memory() if self.device.type == "cuda" else values
                buffer.copy_(values, non_blocking=True)
            for counter in (self._place, self._loss_sum, self._right):
                counter.zero_()

    def step(self) -> None:
        """Trains on the next batch; on a GPU, returns before the step is done.

        Raises:
            InputError: If the network returns logits of the wrong shape.
        """
        with self._stream:
            self._run(self._step, self._sizes.pop())

    def validate(self) -> None:
        """Predicts the validation images; on a GPU, returns before that is done."""
        self.model.eval()
        with self._stream:
            if len(self._validation_rows):
                self._run(self._validate, len(self._validation_rows))

    def end_epoch(self) -> None:
        """Waits for the steps and the validation, and keeps the weights if they are the best.

        Raises:
            InputError: If a loss is not finite.
        """
        with self._stream:
            self._end_epoch()

    def _run(self, step: Callable[[int], None], size: int) -> None:
        if self._graphs is None:
            step(size)
        else:
            self._graphs.run(step, size)

    def _step(self, size: int) -> None:
        precision, weights = self.config.precision, self._weights
        places = self._place + self._offsets[:size]
        self._rate.copy_(self._rates.index_select(0, self._done).squeeze(0))
        images, labels = self._take(0, places)
        x = to_input(images)
        if self._shares:
            shares, (others, other_labels) = self._shares[0][places], self._take(1, places)
            x = mixed(x, to_input(others), shares)
        with arithmetic(precision, self.device):
            with torch.autocast(self.device.type, torch.bfloat16, precision == "bfloat16"):
                logits = self.model(x)  # [B, classes]
            if self._classes is not None and logits.shape != (size, self._classes):
                expected, got = [size, self._classes], list(logits.shape)
                raise InputError(f"the network must return logits {expected} here, got {got}")
            logits = logits.float()
            if weights is not None:  # the network may have classes without clips here
                weights = F.pad(weights, (0, logits.shape[1] - len(weights)))
            smoothing = self.config.label_smoothing
            if self._shares:
                loss = mixed_loss(logits, labels, other_labels, shares, weights, smoothing)
            else:
                loss = F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
            self._optimizer.zero_grad()
            loss.backward()
        self._optimizer.step()
        self._loss_sum += loss.detach() * size
        self._right += (logits.detach().argmax(dim=1) == labels).sum()
        self._place += size
        self._done += 1

    def _take(self, which: int, places: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the images and the labels at some places [B] of one of the epoch's orders."""
        batch = self._orders[which][places]
        rows = self._rows[batch]
        if self._most == 0:
            return self._pixels[rows], self._targets[batch]
        return shifted(self._pixels, rows, self._shifts[which][places]), self._targets[batch]

    @torch.inference_mode()
    def _validate(self, size: int) -> None:
        """Writes each validation image's probability of its class, and 1 if that is the largest."""
        labels = self._validation_targets
        probabilities = probabilities_of(self.model, self._pixels[self._validation_rows])
        self._verdict[0] = probabilities[torch.arange(size, device=self.device), labels]
        self._verdict[1] = probabilities.argmax(dim=1) == labels

    def _end_epoch(self) -> None:
        epoch = len(self.epochs) + 1
        # The only time in an epoch that the host waits for the device.
        sums = torch.stack([self._loss_sum, self._right])
        told = torch.cat([sums, self._verdict.flatten()]).cpu().numpy()
        loss, right = float(told[0]) / self._count, float(told[1])
        record: dict[str, float | None] = {
            "epoch": epoch,
            "loss": _finite(loss, "training", epoch, self.config),
            "accuracy": right / self._count,
            "validation_loss": None,
            "validation_accuracy": None,
        }
        self.epochs.append(record)
        true, hits = told[2:].reshape(2, -1)  # [V] each
        if len(true) == 0:
            return
        score = float(np.mean(hits, dtype=np.float64))
        # A probability that underflowed to 0 counts as the smallest normal number.
        surprise = -np.log(np.maximum(true, np.finfo(np.float32).tiny, dtype=np.float64))
        validation_loss = _finite(float(surprise.mean()), "validation", epoch, self.config)
        record |= {"validation_loss": validation_loss, "validation_accuracy": score}
        # With few clips, accuracies often tie; then the lower loss decides.
        if self.config.select == "validation" and (score, -validation_loss) > self._best:
            self._best, self._selected = (score, -validation_loss), epoch
            self._keep_weights()

    def _keep_weights(self) -> None:
        """Copies the weights, from the second time on into the memory of the first."""
        state = self.model.state_dict()
        if self._best_weights is None:
            # deepcopy, since a network's state may hold more than tensors.
            self._best_weights = copy.deepcopy(state)
            return
        for name, value in state.items():
            kept = self._best_weights.get(name)
            if isinstance(value, Tensor) and isinstance(kept, Tensor) and kept.shape == value.shape:
                kept.copy_(value)
            else:
                self._best_weights[name] = copy.deepcopy(value)

    def finish(self) -> History:
        """Loads the weights of the selected epoch; leaves the model in evaluation mode."""
        if self._best_weights is not None:
            with self._stream:
                self.model.load_state_dict(self._best_weights)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        clips = map(np.unique, (self._parts.training_clips, self._parts.validation_clips))
        return History(self.epochs, self._selected, *clips)


def fit(
    model: nn.Module,
    images: NDArray[Any] | Tensor,
    labels: NDArray[np.int64] | Tensor,
    config: Config,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    cuda_graph: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Trains a model in place with Adam and cross-entropy (which includes the softmax of Eq. 11).

    `originet.training.protocol` chooses the training and validation images. The validation figures
    are plain means, whatever the class weights and the sampling. On the CPU, the same call gives
    bit-identical weights, if the model starts with the same weights and the number of threads is
    the same.

    Args:
        model: Maps [B, 3, S, S] float to logits [B, classes], or [B, C, S, S] if images have C
            channels; moved to `device` and left there, in evaluation mode. If they are floating
            point, it scales its input from now on, see `originet.training.scaling`.
        images: One active image per clip, [N, S, S] uint8; or [N, S, S, C] uint8 or float32, of
            which `config.method` names the channels. An array or a tensor on any device.
        labels: Class indices [N], from 0, an array or a tensor on any device.
        config: Settings; those of seeds and active images are not used here, but for the channels.
        seed: Seed of the split, of the order of the batches and of dropout.
        device: Where to train; None takes the GPU if there is one.
        cuda_graph: On a GPU, launch steps as CUDA graphs. Use False for a network that cannot be
            captured, because it copies values to the host or branches on them.
        progress: Called as progress(epochs done, epochs) after every epoch.

    Returns:
        The history.

    Raises:
        InputError: If shapes or dtypes do not fit; if fewer than two training images are left or,
            under "paper", none of some class; if the device does not support the precision; if the
            network cannot be captured; or if the loss becomes infinite or NaN.
    """
    pixels = check_images(images)
    classes = _class_indices(labels, len(pixels))
    if pixels.ndim == 4:
        check_channels(pixels, config.channels)
    elif not is_one_image(config.method):
        raise InputError(f"images must be [N, S, S, C] for method {config.method!r}, got [N, S, S]")
    views = torch.from_numpy(
        augmented_views(pixels, config.rotations, config.equalize, config.channels)
    )
    training = Training(
        model,
        views.to(pick_device(device)),
        np.arange(len(pixels)),
        classes,
        config,
        seed=seed,
        cuda_graph=cuda_graph,
    )
    (outcome,) = fit_together([training], progress)
    if isinstance(outcome, InputError):
        raise outcome
    return outcome


def _class_indices(labels: Any, count: int) -> NDArray[np.int64]:
    """Checks the labels of `count` images, and returns them as an array.

    Raises:
        InputError: If they are not whole numbers from 0, one per image.
    """
    values = as_array(labels)
    values = np.asarray(values.tolist()) if values.dtype == object else values
    if values.shape != (count,):
        raise InputError(f"labels must have shape [{count}], got {list(values.shape)}")
    wrong = [label for label in values.tolist() if not _is_index(label)]
    if not wrong:
        return values.astype(np.int64)
    hint = "; np.unique(labels, return_inverse=True) converts names to indices"
    raise InputError(
        f"labels must be class indices, whole numbers from 0, got {wrong[0]!r}"
        + (hint if isinstance(wrong[0], str) else "")
    )


def _is_index(label: object) -> bool:
    return isinstance(label, int | float) and label >= 0 and float(label).is_integer()


def fit_together(
    trainings: Sequence[Training], progress: Callable[[int, int], None] | None = None
) -> list[History | InputError]:
    """Trains several networks at once, which take turns step by step.

    A network as small as OrigiNet leaves most of a GPU idle, so the steps of different networks run
    concurrently there. Each network gets the same numbers as if it were trained alone, except
    networks with dropout, which draw from the device's generator in the order of the turns.

    Args:
        trainings: Trainings that have not started, all with the same number of epochs.
        progress: Called as progress(epochs done, epochs) when all have finished an epoch.

    Returns:
        For each training, its history or the error that ended it early.
    """
    failed: dict[int, InputError] = {}
    epochs = trainings[0].config.epochs
    for epoch in range(1, epochs + 1):
        running = [index for index in range(len(trainings)) if index not in failed]
        for index in running:
            trainings[index].start_epoch()
        # Every network's work is queued before the host waits for that of the first.
        turns = max((trainings[index].steps for index in running), default=0)
        rounds = [Training.step] * turns + [Training.validate, Training.end_epoch]
        for turn, work in enumerate(rounds):
            for index in running:
                if index in failed or trainings[index].steps <= turn < turns:
                    continue
                try:
                    work(trainings[index])
                except InputError as error:
                    failed[index] = error
        if progress is not None:
            progress(epoch, epochs)
    return [
        failed[index] if index in failed else training.finish()
        for index, training in enumerate(trainings)
    ]


def _finite(loss: float, kind: str, epoch: int, config: Config) -> float:
    """Returns the loss; raises InputError if it is not finite."""
    if not math.isfinite(loss):
        raise InputError(
            f"the {kind} loss became {loss} in epoch {epoch}; "
            f"a learning_rate below {config.learning_rate} may help"
        )
    return loss
