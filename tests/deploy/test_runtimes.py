"""originet.deploy.runtimes: a model's network in ONNX Runtime, OpenVINO and AOTInductor."""

import dataclasses
import importlib.util

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from originet import OrigiNet
from originet.datasets.prepare import Settings
from originet.deploy import runtimes
from originet.deploy.model import Model
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.networks.table import factory_of

SIDE = 16


def images(count: int) -> np.ndarray:
    """Noise, but for a blank image and one of a single point."""
    made = np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    made[0] = 7
    if count > 1:
        made[1] = 0
        made[1, 3, 5] = 255
    return made


@pytest.fixture(scope="module")
def mixed() -> Model:
    """Both variants, one of them with a unit that is always off: psi(-inf) = 0."""
    networks = []
    for variant in ("paper", "authors"):
        network = OrigiNet(5, image_size=SIDE, variant=variant)
        with torch.no_grad():
            for _ in range(3):
                network.train()(2 * torch.randn(8, 3, SIDE, SIDE))
        networks.append(network.eval())
    with torch.no_grad():
        networks[0].stage2.conv_small.bias[3] = -torch.inf
    return Model(tuple("abcde"), Settings(("cumulative",), SIDE), None, tuple(networks), {})


@pytest.fixture(scope="module")
def file(mixed) -> bytes:
    return runtimes.to_onnx(mixed)


@pytest.fixture(scope="module")
def small(file) -> bytes:
    return runtimes.quantise(file, images(64))


@pytest.mark.slow
def test_answers_are_the_models(mixed, file):
    files = {"onnx": (file,), "openvino": runtimes.to_openvino(file)}
    for runtime, each in files.items():
        assert len(each) == len(runtimes.FILES[runtime])
        answer = runtimes.load(runtime, each, 1)
        for count in (1, 3, 33):
            expected = mixed.probabilities(views := images(count))
            np.testing.assert_allclose(answer(views), expected, atol=1e-5, err_msg=runtime)


@pytest.mark.slow
def test_the_file_has_standard_operators_and_short_activations(file):
    network = onnx.load_from_string(file)
    onnx.checker.check_model(network, full_check=True)
    assert [(each.domain, each.version) for each in network.opset_import] == [("", runtimes.OPSET)]
    (given,), (got,) = network.graph.input, network.graph.output
    assert (given.name, got.name) == ("images", "probabilities")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    for value, shape in ((given, ["batch", SIDE, SIDE]), (got, ["batch", 5])):
        dims = value.type.tensor_type.shape.dim
        assert [dim.dim_param or dim.dim_value for dim in dims] == shape
    kinds = [node.op_type for node in network.graph.node]
    assert all(node.domain == "" for node in network.graph.node)
    assert kinds.count("Sigmoid") == kinds.count("LeakyRelu") == kinds.count("Conv") == 16
    assert not {"Less", "Where", "Exp", "MatMul"} & {*kinds}
    assert kinds.count("Gemm") == 3  # one map for the paper's variant, one a branch for the other
    assert b"originet" not in file and b".py" not in file  # no traces of this program


@pytest.mark.slow
def test_int8_is_small_and_near(mixed, file, small):
    network = onnx.load_from_string(small)
    made = {output: node for node in network.graph.node for output in node.output}
    inputs = [
        [getattr(made.get(name), "op_type", None) for name in node.input[:2]]
        for node in network.graph.node
        if node.op_type in ("Conv", "Gemm")
    ]
    assert inputs.count(["DequantizeLinear"] * 2) == 16 + 3 - 4  # all but two a network
    weights = [
        onnx.numpy_helper.to_array(each)
        for each in network.graph.initializer
        if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 4
    ]
    assert len(weights) == 12 and max(abs(each.astype(int)).max() for each in weights) <= 64
    assert len(small) < len(file) / 3
    expected = mixed.probabilities(views := images(64))
    for runtime, files in (("onnx", (small,)), ("openvino", runtimes.to_openvino(small))):
        got = runtimes.load(runtime, files, 1)(views)
        assert 0 < abs(got - expected).max() < 0.05, runtime
        assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.99, runtime


@pytest.mark.slow
def test_aoti_answers_the_same(mixed):
    one = dataclasses.replace(mixed, networks=mixed.networks[:1])  # a minute less to compile
    answer = runtimes.load("aoti", (runtimes.to_aoti(one),), 1)
    for count in (1, 33):
        np.testing.assert_allclose(
            answer(views := images(count)), one.probabilities(views), atol=1e-5
        )


@pytest.mark.slow
def test_aoti_without_a_compiler_is_told(mixed, monkeypatch):
    small = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
    monkeypatch.setattr(runtimes, "_program", lambda _: small)
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}),
        torch._inductor.config.patch({"force_disable_caches": True}),
        pytest.raises(InputError, match=r"--to aoti needs a C\+\+ compiler"),
    ):
        runtimes.to_aoti(mixed)


@pytest.mark.parametrize(
    ("runtime", "int8", "told"),
    [
        ("tensorrt", False, "--to must be one of onnx, openvino, aoti, got 'tensorrt'"),
        ("aoti", True, "--int8 is for onnx and openvino: AOTInductor computes in float32"),
    ],
)
def test_what_there_is_not_is_refused(runtime, int8, told):
    with pytest.raises(InputError, match=told):
        runtimes.check_runtime(runtime, int8)


def test_missing_packages_are_named_with_the_command(monkeypatch):
    there = importlib.util.find_spec

    def find(name: str):
        return None if name in ("onnxscript", "openvino") else there(name)

    monkeypatch.setattr("importlib.util.find_spec", find)
    with pytest.raises(InputError) as error:
        runtimes.check_runtime("openvino")
    assert str(error.value) == (
        "--to openvino needs onnxscript, openvino: pip install 'originet[export]'"
    )
    runtimes.check_runtime("aoti")


def of(*networks: nn.Module) -> Model:
    return Model(("a", "b"), Settings(("cumulative",), SIDE), None, networks, {})


def test_networks_that_are_trained_or_changed_are_refused():
    hooked = OrigiNet(2, image_size=SIDE).eval()
    hooked.stage1.register_forward_hook(lambda *_: None)
    trained = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3 * SIDE**2, 2)).train()
    for network in (hooked, trained):
        with pytest.raises(InputError, match="only a model on the CPU, in evaluation mode"):
            runtimes.Ensemble(of(network))


@pytest.mark.slow
def test_other_networks_are_written_as_they_are():
    other = factory_of(Config(network="LEARNet", image_size=SIDE))(2)
    with torch.no_grad():
        other.train()(torch.randn(8, 3, SIDE, SIDE))
    model = of(other.eval(), OrigiNet(2, image_size=SIDE).eval())
    assert model.folded == (False, True)
    answer = runtimes.load("onnx", (runtimes.to_onnx(model),), threads=1)
    for count in (1, 5):
        expected = model.probabilities(images(count))
        np.testing.assert_allclose(answer(images(count)), expected, atol=1e-5)
