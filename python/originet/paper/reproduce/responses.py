"""Figs. 4 and 5: networks' responses to active images of a subject they never saw.

A network is trained as in a fold of the leave-one-subject-out run that leaves out the subject of
the pictures. Then the mean over all channels ("mean response of all collected neurons") is taken at
two places. The paper names the first for Fig. 4 and none for Fig. 5; the second is our
interpretation.

- first layer: the input of the second convolution. For OrigiNet: both branches after psi, and the
  block's output.
- a quarter: the last response whose side is at least a quarter of the image's, the smallest size
  that still shows positions on the face.

Reference: Verma et al., arXiv:2005.07991, Figs. 4 and 5.
"""

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple, TypedDict

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor, nn

from originet.evaluation.fold import ModelFactory
from originet.paper.reproduce.shown_clips import Shown
from originet.system.device import set_seed
from originet.system.errors import InputError
from originet.system.files import safe_name, write_atomically
from originet.system.tensor_files import open_tensors, read_arrays
from originet.training.config import Config
from originet.training.model import OrigiNet, parameter_count
from originet.training.predict import predict, to_input
from originet.training.train import fit

QUARTER = "a quarter"

Maps = dict[str, NDArray[np.float32]]

_MOST = 2**30  # bytes of a network's responses

_Places = Annotated[list[str], msgspec.Meta(min_length=2, max_length=100)]


class _Header(TypedDict):
    """The header of a file of responses; both fields are JSON."""

    places: str
    record: str


class _Record(TypedDict):
    """`Responses.record`."""

    network: str
    parameters: int
    seed: int
    selected_epoch: int
    seconds: float


class Responses(NamedTuple):
    """The responses of one network.

    Attributes:
        maps: [K, h, w] float32 for K clips, by name of the place: first those of the first layer,
            in order, then `QUARTER`.
        untrained: The same for the network before training, with random weights.
        probabilities: [K, C] float32.
        record: The network's name, number of parameters, seed, selected epoch, and seconds.
    """

    maps: Maps
    untrained: Maps
    probabilities: NDArray[np.float32]
    record: dict[str, Any]

    @property
    def first(self) -> list[str]:
        """Names of the places of the first layer."""
        return [name for name in self.maps if name != QUARTER]


@torch.inference_mode()
def mean_responses(model: nn.Module, x: Tensor) -> Maps:
    """Takes the mean over the channels at the first layer and at a quarter of the image's side.

    Args:
        model: In evaluation mode; an OrigiNet, or a network with at least two convolutions.
        x: Input [K, 3, S, S] on the model's device.

    Returns:
        [K, h, w] float32 by place, see `Responses.maps`.

    Raises:
        InputError: If the network has no such places.
    """
    inputs: list[Tensor] = []
    late: list[Tensor] = []

    def before(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d):
            inputs.append(arguments[0].mean(dim=1))

    def after(module: nn.Module, arguments: tuple[Tensor, ...], output: Any) -> None:
        maps = isinstance(output, Tensor) and output.ndim == 4
        if maps and output.shape[-1] >= x.shape[-1] // 4:
            late[:] = [output.mean(dim=1)]

    hooks = []
    for module in model.modules():
        hooks.append(module.register_forward_pre_hook(before))
        hooks.append(module.register_forward_hook(after))
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    if isinstance(model, OrigiNet):  # its fused blocks hide their convolutions from hooks
        block = model.stage1
        first = {
            "{0}×{0}".format(conv.kernel_size[0]): block.act(conv(x)).mean(dim=1)
            for conv in (block.conv_small, block.conv_large)
        }
        first["both"] = block(x).mean(dim=1)
    elif len(inputs) > 1:
        first = {"first layer": inputs[1]}
    else:
        raise InputError(f"{type(model).__name__} has fewer than two convolutions")
    if not late:
        raise InputError(
            f"{type(model).__name__} has no response of at least a quarter of the image's side"
        )
    return {
        name: pixels.float().cpu().numpy() for name, pixels in (first | {QUARTER: late[0]}).items()
    }


def network_responses(
    name: str,
    factory: ModelFactory,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    shown: Shown,
    config: Config,
    *,
    folder: Path,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Responses:
    """Trains a network and takes its responses, or reads those of an earlier run.

    Args:
        name: The network's name.
        factory: Makes the network.
        images: All active images [N, S, S] uint8.
        labels: All class indices [N].
        shown: The clips to show, and those for training (which also select the epoch).
        config: Settings; only the first seed is used.
        folder: Folder of `<name>.safetensors`.
        device: Where to compute.
        progress: Called as progress(epochs done, epochs).

    Returns:
        The responses.

    Raises:
        InputError: If training fails, the network has no suitable layers, or the existing file is
            damaged.
    """
    path = folder / f"{safe_name(name)}.safetensors"
    if path.exists():
        found = _read(path)
        shape = len(shown.places), int(labels.max()) + 1
        if found.probabilities.shape != shape:
            there, here = list(found.probabilities.shape), list(shape)
            raise _damaged(path, f"its probabilities have shape {there}, not {here}")
        if progress is not None:
            progress(config.epochs, config.epochs)
        return found
    started, seed = perf_counter(), config.seeds[0] % 2**32  # the range of NumPy's generator
    set_seed(seed)
    network = factory(int(labels.max()) + 1).to(device).eval()
    pictures = images[shown.places]
    x = to_input(torch.tensor(pictures).to(device))
    untrained = mean_responses(network, x)
    history = fit(
        network,
        images[shown.training],
        labels[shown.training],
        config,
        seed=seed,
        device=device,
        progress=progress,
    )
    record = {
        "network": name,
        "parameters": parameter_count(network),
        "seed": seed,
        "selected_epoch": history.selected_epoch,
        "seconds": perf_counter() - started,
    }
    probabilities = predict(network, pictures, device=device)
    answered = Responses(mean_responses(network, x), untrained, probabilities, record)
    write_atomically(path, _format(answered))
    return answered


def edge_correlation(image: NDArray[np.uint8], response: NDArray[np.float32]) -> float:
    """Measures how closely a response map follows the edges of its image.

    Args:
        image: [S, S].
        response: [h, w], of any scale and sign.

    Returns:
        Pearson's correlation, -1..1, between the strength of the image's edges (Sobel gradient,
        resized to [h, w]) and the response's distance from its median; 0 for a flat response.
    """
    pixels = image.astype(np.float32)
    across, down = (cv2.Sobel(pixels, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    size = response.shape[1], response.shape[0]
    edges = cv2.resize(np.hypot(across, down), size, interpolation=cv2.INTER_AREA).ravel()
    deviation = np.abs(response - np.median(response)).ravel()
    return correlation(edges, deviation)


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Returns Pearson's correlation, -1..1, of two maps of the same size; 0 if one is flat."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _format(answered: Responses) -> bytes:
    """Writes responses as safetensors, with the record and the order of the maps in the header."""
    header = {"record": json.dumps(answered.record), "places": json.dumps(list(answered.maps))}
    tensors = {"probabilities": answered.probabilities}
    for state, maps in (("trained", answered.maps), ("untrained", answered.untrained)):
        tensors |= {f"{state} {place}": pixels for place, pixels in maps.items()}
    return save(tensors, metadata=header)


def _read(path: Path) -> Responses:
    """Reads what `_format` wrote."""
    try:
        with open_tensors(path, "numpy", most=_MOST) as file:
            metadata = file.metadata()
        header = msgspec.convert(metadata, _Header)
        places = msgspec.json.decode(header["places"], type=_Places)
        record = msgspec.json.decode(header["record"], type=_Record)
        tensors = read_arrays(path, np.float32, most=_MOST)
        probabilities = tensors["probabilities"]
        trained, untrained = (
            {place: tensors[f"{state} {place}"] for place in places}
            for state in ("trained", "untrained")
        )
    except (msgspec.MsgspecError, KeyError, RecursionError) as error:
        raise _damaged(path, error) from error
    except InputError as error:
        raise InputError(f"{error}; delete the file to compute it again") from error
    clips = len(probabilities) if probabilities.ndim == 2 else 0
    for maps in (*trained.values(), *untrained.values()):
        if maps.ndim != 3 or len(maps) != clips or not maps.size or not np.isfinite(maps).all():
            raise _damaged(path, f"its maps are not finite, or not of {clips} clips")
    if QUARTER not in trained or not np.isfinite(probabilities).all():
        raise _damaged(path, "it has no maps of a quarter, or probabilities that are not finite")
    return Responses(trained, untrained, probabilities, dict(record))


def _damaged(path: Path, reason: object) -> InputError:
    return InputError(f"{path} is damaged: {reason}; delete the file to compute it again")
