"""Weights that stay on the device: a copy from the host would wait for the stream in every call."""

import threading
from collections import OrderedDict

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

_MOST = 256
_Key = tuple[str, tuple[int, ...], torch.dtype, torch.device]
_lock = threading.Lock()
# The least recently used first.
_kept: OrderedDict[_Key, Tensor] = OrderedDict()
# Those whose address is part of a CUDA graph, which may be replayed until the process ends.
_recorded: dict[_Key, Tensor] = {}


def put_weights(method: str, lengths: tuple[int, ...], weights: Tensor, frames: Tensor) -> Tensor:
    """Returns floating weights on the device of frames, in the dtype in which these are summed.

    The last 256 results are kept. While torch traces or transforms the call, nothing is. Those of
    several lengths are joined on the device, so a new combination of known lengths copies nothing.

    Args:
        method: one of `METHODS` with floating weights.
        lengths: those of the clips, each once, which with the method determine the weights.
        weights: [K] float64 on the CPU, as many for each length as it has frames.
        frames: the frames to sum, on any other device.

    Returns:
        [K]; float64 for float64 frames, otherwise float32.

    Raises:
        RuntimeError: these weights are first needed while a CUDA graph is captured.
    """
    dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
    if (
        torch.compiler.is_compiling()
        or is_in_torch_dispatch_mode()
        or torch._C._functorch.maybe_current_level() is not None
    ):
        return weights.to(frames.device, dtype)
    key = (method, lengths, dtype, frames.device)
    capturing = frames.is_cuda and torch.cuda.is_current_stream_capturing()
    with _lock:
        found = _recorded.get(key, _kept.get(key))
        if found is not None:
            if capturing:
                _recorded[key] = found
            elif key in _kept:
                _kept.move_to_end(key)
            return found
    if capturing:
        raise RuntimeError(
            f"the weights of {method!r} for clips of {list(lengths)} frames are not yet on "
            f"{frames.device}: call once before the capture of a graph"
        )
    # An inference tensor would be of no use outside of inference mode.
    with torch.inference_mode(False):
        if len(lengths) == 1:
            made = weights.to(frames.device, dtype)
        else:
            parts = zip(lengths, weights.split(lengths), strict=True)
            made = torch.cat([put_weights(method, (n,), part, frames) for n, part in parts])
    with _lock:
        _kept[key] = made
        if len(_kept) > _MOST:
            _kept.popitem(last=False)
    return made
