"""The weights of a trained network as a safetensors file, which holds no executable code."""

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from originet.system.errors import InputError
from originet.system.json_files import differences
from originet.system.tensor_files import open_tensors
from originet.training import scaling


def to_safetensors(model: nn.Module) -> bytes:
    """Returns parameters and buffers as the content of a safetensors file.

    Args:
        model: Any network whose state holds only tensors; it is not changed or moved.

    Returns:
        The bytes. They depend only on the numbers, not on the layout or device of the tensors.
    """
    # Copies, since safetensors accepts neither channels_last nor tensors that share memory.
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    return safetensors.torch.save(state)


def check_state(model: nn.Module) -> None:
    """Raises InputError if part of a network's state is not a tensor, so it cannot be written."""
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise InputError(
                f"weights cannot be kept: {name!r} of the model is {kind}, not a tensor"
            )


def load_fold_weights(path: str | Path, model: nn.Module) -> None:
    """Loads the final weights of a fold of `originet.run_loso`.

    Args:
        path: A file `folds/<name>.safetensors` in a run's directory.
        model: A network as made by the run's factory. It is filled in place, on its own device, and
            left unchanged if the weights are refused. If it was trained on flows or other floating
            point channels, it scales its input from now on as it did then.

    Raises:
        InputError: If the file cannot be read, is damaged or holds another network's weights.

    Example:
        >>> model = OrigiNet(4)
        >>> load_fold_weights("results/folds/seed0_000_s01.safetensors", model)
    """
    with open_tensors(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}
    # Check first, since `load_state_dict` raises only after it has loaded whatever fits.
    expected = _shapes(model.state_dict())
    scales = scaling.SCALE in state and not scaling.is_attached(model)
    if scales:
        expected |= _shapes(scaling.buffers(state[scaling.SCALE].numel()))
    if found := list(differences(_shapes(state), expected)):
        raise InputError(f"{path} does not fit the model: {'; '.join(found)}")
    if scales:
        scaling.attach(model, state[scaling.SCALE].numel())
    model.load_state_dict(state)


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, str]:
    return {name: f"{value.dtype} {list(value.shape)}" for name, value in state.items()}
