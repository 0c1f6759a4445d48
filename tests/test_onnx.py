"""ONNX through the decomposition of the psi ops, run by onnxruntime."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from activations import randn
from torch import nn

from originet import OrigiNet
from originet_ext import FusedRReLU, decompositions, fused_rrelu_add, reference

# onnxruntime's own sigmoid is good to about 1e-8.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def onnx_export(model, inputs, **kwargs) -> "torch.onnx.ONNXProgram":
    return torch.onnx.export(model, inputs, dynamo=True, verbose=False, **kwargs)


def run(program: "torch.onnx.ONNXProgram", *inputs: torch.Tensor) -> torch.Tensor:
    """Runs a program after a way through its file format."""
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return torch.from_numpy(session.run(None, feed)[0])


def far_and_near() -> torch.Tensor:
    """float32 over all magnitudes and both signs, [1201]."""
    magnitude = torch.from_numpy(np.logspace(-10, 38, 600)).float()
    return torch.cat([-magnitude, torch.zeros(1), magnitude])


def test_every_magnitude(activation):
    x = far_and_near()
    program = onnx_export(activation.module().eval(), (x,))
    want = activation.exact(x.double())
    torch.testing.assert_close(run(program, x).double(), want, **TOLERANCE)


def test_limits_of_psi():
    # silu(-inf) is NaN, in PyTorch as in onnxruntime
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0, -0.0])
    got = run(onnx_export(FusedRReLU().eval(), (x,)), x)
    want = torch.tensor([torch.inf, 0, torch.nan, 0.5, 0.5])
    torch.testing.assert_close(got, want, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("inplace", [False, True])
def test_model_with_a_dynamic_batch(activation, inplace):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), activation.module(inplace=inplace), nn.Flatten())
    batch = torch.export.Dim("batch", min=1, max=64)
    program = onnx_export(model.eval(), (randn((2, 3, 5, 5)),), dynamic_shapes=({0: batch},))
    x = randn((5, 3, 5, 5))
    torch.testing.assert_close(run(program, x), model(x).detach(), **TOLERANCE)


def test_float16_is_rounded_once(activation):
    x = torch.arange(-(2**15), 2**15, 7, dtype=torch.int16).view(torch.half)
    x = x[x.isfinite()]
    got = run(onnx_export(activation.module().eval(), (x,)), x)
    # onnxruntime computes SiLU's sigmoid and product in float16
    tolerance = {"rtol": 1e-3 if isinstance(activation.module(), FusedRReLU) else 4e-3}
    torch.testing.assert_close(got.double(), activation.exact(x.double()), atol=2e-6, **tolerance)


def test_alpha_reaches_the_graph():
    x = randn((50,))
    got = run(onnx_export(FusedRReLU(alpha=0.5).eval(), (x,)), x)
    torch.testing.assert_close(got, reference.fused_rrelu(x, 0.5), **TOLERANCE)


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_originet(variant):
    model = OrigiNet(4, image_size=32, variant=variant).eval()
    with torch.no_grad():
        for _ in range(3):  # moves the running statistics
            model.train()(torch.randn(8, 3, 32, 32))
        model.eval()
        x = torch.randn(2, 3, 32, 32)
        program = onnx_export(model, (x,))
        torch.testing.assert_close(run(program, x), model(x), rtol=1e-4, atol=1e-5)
    assert all(node.domain == "" for node in program.model.graph)


def test_exported_program_after_run_decompositions():
    class Join(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return fused_rrelu_add(a, b)

    inputs = randn((20,)), randn((20,))
    program = torch.export.export(Join(), inputs)
    assert "originet.rrelu_add_forward" in str(program.graph)
    decomposed = program.run_decompositions(decompositions())
    assert "originet" not in str(decomposed.graph)
    want = fused_rrelu_add(*inputs)
    torch.testing.assert_close(decomposed.module()(*inputs), want, rtol=1e-6, atol=1e-7)
    got = run(torch.onnx.export(decomposed, verbose=False), *inputs)
    torch.testing.assert_close(got, want, **TOLERANCE)
