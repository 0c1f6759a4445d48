"""OrigiNet, training step and inference: with fused, eager and compiled psi, and torch's SiLU."""

import functools
import itertools
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from originet.bench.rrelu import eager_rrelu
from originet.system.clock import Call, Case, Job, check_close, saved_bytes
from originet.system.errors import InputError
from originet.training.model import OrigiNet
from originet_ext import FusedRReLU

MODEL_MODES = ("train", "inference")
MODEL_PROVIDERS = ("fused", "eager", "compile", "silu")
LAYOUTS = ("contiguous", "channels_last")

_CLASSES = 4
_BATCHES = (1, 8, 32, 128, 256)
_COMPILED = (1, 32, 256)  # compiling takes half a minute per batch size
# Relative to a tensor's largest magnitude. GPU convolutions multiply in TF32, with 10 bits, and the
# compiler may choose other algorithms than eager PyTorch. psi' jumps at 0, so rounding that moves
# an input across 0 shows in the gradients.
_TOLERANCE, _GRADIENT_TOLERANCE = 1e-2, 5e-2


class EagerRReLU(nn.Module):
    """Psi as usually written."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute psi(x)."""
        return eager_rrelu(x)


def model_case(
    batch: int,
    *,
    mode: str = "train",
    layout: str = "contiguous",
    device: str | torch.device = "cpu",
    providers: Sequence[str] = MODEL_PROVIDERS,
) -> Case:
    """Prepare OrigiNet for timing, its outputs and gradients checked against eager PyTorch.

    All networks start from the same weights. "silu" is OrigiNet with `nn.SiLU`, a different
    network.

    Args:
        batch: Number of images, each 3 x 128 x 128, float32.
        mode: "train" (forward, cross entropy, backward, SGD step) or "inference" (eval, no_grad).
        layout: "contiguous" or "channels_last", of the images and the weights; on the CPU "fused"
            computes in channels_last in either case.
        device: Where to run.
        providers: Some of `MODEL_PROVIDERS`; "compile" takes half a minute of compilation.

    Raises:
        InputError: Unknown mode, layout or provider.
        RuntimeError: A provider's outputs or gradients are wrong.
    """
    for what, given, known in (("mode", [mode], MODEL_MODES), ("layout", [layout], LAYOUTS)):
        _check_names(what, given, known)
    _check_names("provider", providers, MODEL_PROVIDERS)
    device = torch.device(device)
    train = mode == "train"
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(batch, 3, 128, 128, generator=generator, device=device)
    x = x.contiguous(memory_format=memory_format)
    y = torch.randint(_CLASSES, (batch,), generator=generator, device=device)
    weights = OrigiNet(_CLASSES).state_dict()

    def network(name: str) -> nn.Module:
        activation = {"fused": FusedRReLU, "silu": nn.SiLU}.get(name, EagerRReLU)
        # Only the fused network chooses its layout itself.
        model = OrigiNet(_CLASSES, activation=activation, channels_last=name == "fused")
        model.load_state_dict(weights)
        model.train(train).to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
        if name == "compile":
            return cast(nn.Module, torch.compile(model, fullgraph=True, dynamic=False))
        return model

    if "compile" in providers:
        torch.compiler.reset()  # else torch.compile would stop at its recompilation limit
    models = {name: network(name) for name in providers}
    expected = _results(network("eager"), x, y)
    for name, model in models.items():
        if name == "silu":
            continue
        for what, got in _results(model, x, y).items():
            relative = _TOLERANCE if what == "logits" else _GRADIENT_TOLERANCE
            tolerance = relative * expected[what].abs().max().item()
            check_close(f"OrigiNet {mode}: {what}", name, got, expected[what], tolerance)
    saved = {name: _kept(model, x, y) for name, model in models.items() if train}
    call = _train_step if train else _inference
    calls = {name: call(model, x, y) for name, model in models.items()}
    return Case("model", mode, device, x.dtype, tuple(x.shape), layout, 0, calls, saved)


def model_jobs(device: torch.device, *, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: training and inference, batch 1 to 256, contiguous and channels_last.

    Args:
        device: Where to run.
        threads: Numbers of CPU threads; only the largest is used. (0,) for a GPU.
        quick: Only batch 8, nothing compiled.
    """
    jobs = []
    for batch, layout, mode in itertools.product((8,) if quick else _BATCHES, LAYOUTS, MODEL_MODES):
        compiled = batch in _COMPILED and not quick
        names = [name for name in MODEL_PROVIDERS if compiled or name != "compile"]
        prepare = functools.partial(
            model_case, batch, mode=mode, layout=layout, device=device, providers=names
        )
        jobs.append(Job(prepare, threads=max(threads), budget=1.0))
    return jobs


def _check_names(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"{what} must be one of {', '.join(known)}, got {name!r}")


def _results(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the logits [N, classes] and, in training, every parameter's gradient, by name."""
    if not model.training:
        with torch.no_grad():
            return {"logits": model(x)}
    names, parameters = zip(*model.named_parameters(), strict=True)
    logits = model(x)
    gradients = torch.autograd.grad(F.cross_entropy(logits, y), parameters)
    results = {"logits": logits.detach()}
    for name, gradient in zip(names, gradients, strict=True):
        results[f"gradient of {name.removeprefix('_orig_mod.')}"] = (
            gradient  # prefix of torch.compile
        )
    return results


def _kept(model: nn.Module, x: Tensor, y: Tensor) -> int:
    """Return the bytes of activations that a training step keeps for its backward pass."""
    given = (x, y, *model.parameters(), *model.buffers())
    return saved_bytes(lambda: F.cross_entropy(model(x), y), exclude=given)


def _train_step(model: nn.Module, x: Tensor, y: Tensor) -> Call:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def _inference(model: nn.Module, x: Tensor, y: Tensor) -> Call:
    def infer() -> Tensor:
        with torch.no_grad():
            return model(x)

    return infer
