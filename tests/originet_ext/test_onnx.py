"""ONNX through the decomposition of the psi ops, run by ONNX Runtime and by OpenVINO."""

import io

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from activations import randn
from torch import Tensor, nn

from originet import OrigiNet
from originet_ext import (
    FusedRReLU,
    decompositions,
    fused_rrelu,
    fused_rrelu_add,
    fused_rrelu_add_norm,
    reference,
)

# The sigmoid of ONNX Runtime is good to about 1e-7.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
# 26 is the newest that onnxruntime 1.31 loads.
OPSETS = [17, 26]
BATCH = torch.export.Dim("batch", min=1, max=64)


def onnx_export(model: nn.Module, inputs: tuple[Tensor, ...], **kwargs) -> "torch.onnx.ONNXProgram":
    return torch.onnx.export(model.eval(), inputs, dynamo=True, verbose=False, **kwargs)


def run_onnxruntime(file: bytes, *inputs: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return torch.from_numpy(session.run(None, feed)[0])


def run_openvino(model: "bytes | openvino.Model", *inputs: Tensor) -> Tensor:
    core = openvino.Core()
    if isinstance(model, bytes):
        model = core.read_model(model)
    # Where the processor has bfloat16, that would be the default.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled([x.numpy() for x in inputs])[0].copy())


def results(program: "torch.onnx.ONNXProgram", *inputs: Tensor) -> dict[str, Tensor]:
    """What each runtime makes of a program after a way through its file format."""
    file = io.BytesIO()
    program.save(file)
    return {run.__name__: run(file.getvalue(), *inputs) for run in (run_onnxruntime, run_openvino)}


def assert_close(got: dict[str, Tensor], want: Tensor, **tolerance) -> None:
    for name, x in got.items():
        torch.testing.assert_close(
            x.to(want.dtype), want, msg=lambda m, name=name: f"{name}: {m}", **tolerance
        )


def ops(program: "torch.onnx.ONNXProgram") -> list[str]:
    assert all(node.domain == "" for node in program.model.graph)
    return [node.op_type for node in program.model.graph]


def far_and_near() -> Tensor:
    """float32 over all magnitudes and both signs, [1201]."""
    magnitude = torch.from_numpy(np.logspace(-10, 38, 600)).float()
    return torch.cat([-magnitude, torch.zeros(1), magnitude])


@pytest.mark.slow
def test_every_magnitude(activation):
    x = far_and_near()
    got = results(onnx_export(activation.module(), (x,)), x)
    assert_close(got, activation.exact(x.double()), **TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_psi_is_at_most_6_nodes_and_within_2_ulp(opset):
    # Random last bits: multiples of a power of 2 would round too well.
    x = torch.cat([torch.empty(10**6).uniform_(-bound, bound) for bound in (1, 4, 16, 128)])
    program = onnx_export(FusedRReLU(), (x,), opset_version=opset)
    assert program.model.opset_imports[""] == opset
    assert len(ops(program)) <= 6
    want = reference.fused_rrelu(x.double())
    ulp = torch.finfo(torch.float32).eps * want.abs().clamp(min=1)
    for name, got in results(program, x).items():
        assert ((got.double() - want).abs() / ulp).max() < 2, name


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_limits_of_psi(opset):
    class Slopes(nn.Module):
        alphas = (0.1, -0.5, 0.0, 1.0, 1e30)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([fused_rrelu(x, alpha) for alpha in self.alphas])

    largest = torch.finfo(torch.float32).max
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0, -0.0, largest, -largest])
    x = x.repeat(5)  # whole vectors, as rests may take another way
    want = torch.tensor([torch.inf, 0, torch.nan, 0.5, 0.5, largest, 0]).repeat(5)
    for name, got in results(onnx_export(Slopes(), (x,), opset_version=opset), x).items():
        for alpha, y in zip(Slopes.alphas, got, strict=True):
            torch.testing.assert_close(
                y,
                want,
                equal_nan=True,
                rtol=0,
                atol=0,
                msg=lambda m, at=(name, alpha): f"{at}: {m}",
            )
            assert not y[want == 0].signbit().any()  # as the kernels give it


@pytest.mark.slow
def test_float64_keeps_its_digits():
    x = torch.cat([randn((1000,), dtype=torch.float64), torch.tensor([torch.inf, -torch.inf])])
    program = onnx_export(FusedRReLU(), (x,))
    ops(program)
    got = results(program, x)["run_onnxruntime"]  # OpenVINO computes in float32
    torch.testing.assert_close(got, fused_rrelu(x), rtol=1e-14, atol=1e-15)


@pytest.mark.slow
def test_float16_is_rounded_once(activation):
    x = torch.arange(-(2**15), 2**15, 7, dtype=torch.int16).view(torch.half)
    x = x[x.isfinite()]
    got = results(onnx_export(activation.module(), (x,)), x)
    # ONNX Runtime computes SiLU's sigmoid and product in float16.
    tolerance = {"rtol": 1e-3 if isinstance(activation.module(), FusedRReLU) else 4e-3}
    assert_close(got, activation.exact(x.double()), atol=2e-6, **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("inplace", [False, True])
def test_model_with_a_dynamic_batch(activation, inplace):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), activation.module(inplace=inplace), nn.Flatten())
    program = onnx_export(model, (randn((2, 3, 5, 5)),), dynamic_shapes=({0: BATCH},))
    x = randn((5, 3, 5, 5))
    assert_close(results(program, x), model(x).detach(), **TOLERANCE)


class Joins(nn.Module):
    """fused_rrelu_add and fused_rrelu_add_norm, of [N, 3, ...]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        for x in self.norm.parameters():
            nn.init.uniform_(x)
        self.norm.running_mean.uniform_()
        self.norm.running_var.uniform_(0.5, 1)
        self.bias = nn.Parameter(torch.rand(3))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        n = self.norm
        vectors = (n.weight, n.bias, n.running_mean, n.running_var)
        joined = fused_rrelu_add_norm(
            a, b, *vectors, bias_a=self.bias, training=n.training, eps=n.eps, alpha=0.3
        )
        return fused_rrelu_add(joined, b, alpha=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_joins_with_a_dynamic_batch(opset):
    joins = Joins()
    program = onnx_export(
        joins,
        (randn((2, 3, 5, 5)), randn((2, 3, 5, 5))),
        opset_version=opset,
        dynamic_shapes=({0: BATCH}, {0: BATCH}),
    )
    assert ops(program).count("BatchNormalization") == 1
    inputs = randn((4, 3, 5, 5)), randn((4, 3, 5, 5))
    assert_close(results(program, *inputs), joins(*inputs).detach(), rtol=1e-5, atol=5e-6)


def moved(variant: str) -> OrigiNet:
    """A network whose running statistics are not the initial ones."""
    model = OrigiNet(4, image_size=32, variant=variant)
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.randn(8, 3, 32, 32))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("variant, opset", [("paper", 17), ("authors", 26)])
def test_originet_with_a_dynamic_batch(variant, opset):
    model = moved(variant)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        program = onnx_export(model, (x[:2],), opset_version=opset, dynamic_shapes=({0: BATCH},))
        ops(program)
        assert_close(results(program, x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_exported_program_after_run_decompositions():
    model = moved("paper")
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        program = torch.export.export(model, (x[:2],), dynamic_shapes=({0: BATCH},))
        assert "originet.rrelu_add_norm_forward" in str(program.graph)
        decomposed = program.run_decompositions(decompositions())
        assert "originet" not in str(decomposed.graph)
        got = {
            "itself": decomposed.module()(x),
            "openvino": run_openvino(openvino.convert_model(decomposed), x),
            **results(torch.onnx.export(decomposed, verbose=False), x),
        }
        assert_close(got, model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # that this exporter is the old one
def test_legacy_exporter(tmp_path):
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4), FusedRReLU(), torch.nn.Linear(4, 2), FusedRReLU(inplace=True)
    )
    x, path = torch.randn(3, 4), tmp_path / "model.onnx"
    torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(path)
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(got), model(x), rtol=1e-5, atol=1e-6)
