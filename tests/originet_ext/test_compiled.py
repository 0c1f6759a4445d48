"""The psi ops in graphs that Inductor compiles: fused where that is faster, kernels elsewhere."""

import math
import subprocess
import sys

import pytest
import torch
import torch._functorch.config
from activations import DTYPES, TOLERANCE, randn
from torch import nn
from torch._inductor import config
from torch._inductor.utils import run_and_get_code, run_fw_bw_and_get_code

from originet_ext import FusedRReLU, _tracing, fused_rrelu, fused_rrelu_add, reference

LARGE = (1024, 1024)


@pytest.fixture(autouse=True)
def lowered_now():
    """Keeps graphs of earlier runs, and of other versions of the lowering, out of these tests."""
    torch.compiler.reset()
    with (
        config.patch(fx_graph_cache=False),
        torch._functorch.config.patch(enable_autograd_cache=False),
    ):
        yield


def kernels(sources: list[str]) -> list[str]:
    """The ops of this package that compiled code calls, in order."""
    call = "= torch.ops.originet."
    lines = "\n".join(sources).splitlines()
    return [line.partition(call)[2].partition(".")[0] for line in lines if call in line]


@pytest.mark.slow
def test_inductor_is_imported_by_nobody_but_its_user():
    script = (
        "import sys, torch, originet_ext\n"
        "assert not {'torch._inductor', 'torch._dynamo'} & set(sys.modules)\n"
        "from torch.fx.experimental.proxy_tensor import make_fx\n"
        "make_fx(lambda x: originet_ext.fused_rrelu(x))(torch.zeros(3))\n"
        "assert 'torch._inductor.lowering' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_this_torch_takes_the_lowerings():
    assert _tracing.why_not_fused() == ""


def test_a_torch_that_does_not_take_them_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "originet_ext._inductor", None)  # makes its import fail
    _tracing.why_not_fused.cache_clear()
    try:
        with pytest.warns(UserWarning, match="does not fuse"):
            assert torch.__version__ in _tracing.why_not_fused()
    finally:
        _tracing.why_not_fused.cache_clear()


def chain(x):
    return fused_rrelu(x) * 2 + 1


def normalized(x):
    return nn.functional.layer_norm(fused_rrelu(x), x.shape[-1:])


def beyond_a_view(x):
    return fused_rrelu(x).flatten() + 1


def twice(x):
    return fused_rrelu(fused_rrelu(x, 0.2))


def join(x):
    return fused_rrelu_add(x, x.T) * 2


CONV = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), FusedRReLU()).eval()
LINEAR = nn.Sequential(nn.Linear(16, 16), FusedRReLU(), nn.Linear(16, 16))
FORWARD, BACKWARD = "rrelu_forward", "rrelu_backward"


@pytest.mark.slow
@pytest.mark.parametrize("function", [chain, normalized, beyond_a_view, twice, join, CONV])
def test_fuses_with_what_is_compiled(function):
    x = randn((64, 4, 66, 66) if function is CONV else LARGE)
    with torch.no_grad():
        y, sources = run_and_get_code(torch.compile(function, fullgraph=True), x)
        torch.testing.assert_close(y, function(x), rtol=1e-5, atol=1e-5)
    assert not kernels(sources)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (fused_rrelu, LARGE, [FORWARD, BACKWARD]),
        (lambda x: fused_rrelu_add(x, x.T), LARGE, ["rrelu_add_forward"]),
        # The sum that is the bias's gradient can be fused with the op's backward.
        (LINEAR, (1 << 16, 16), [FORWARD]),
        (chain, LARGE, []),
        (fused_rrelu, (1024, 1023), []),
    ],
    ids=["alone", "join", "linear", "chain", "small"],
)
def test_stands_alone_where_that_pays(function, shape, expected):
    x = randn(shape, requires_grad=True)
    compiled = torch.compile(function, fullgraph=True)
    y, sources = run_fw_bw_and_get_code(lambda: compiled(x))
    assert kernels(sources) == expected
    torch.testing.assert_close(y, function(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_alone_before_a_matrix_product_beyond_a_view():
    x, w = randn(LARGE), randn((1024, 8))
    _, sources = run_and_get_code(torch.compile(lambda x: fused_rrelu(x).T @ w), x)
    assert kernels(sources) == [FORWARD]


def test_alone_in_a_graph_of_dynamic_shapes():
    compiled = torch.compile(fused_rrelu, fullgraph=True, dynamic=True)
    _, sources = run_and_get_code(compiled, randn(LARGE))
    assert kernels(sources) == [FORWARD]


# The formula's values


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "alpha"), [*((d, 0.1) for d in DTYPES), (torch.float64, -2.0)])
def test_formula_is_exact_and_has_the_limits(device, dtype, alpha):
    special = [-math.inf, math.inf, math.nan, 0.0, -0.0, 1e4, -1e4, 85.0, -85.0, -1 / alpha]
    x = torch.cat((torch.tensor(special), randn((1017,)))).to(device, dtype).requires_grad_()
    grad = randn(x.shape, device, dtype)
    y = torch.compile(fused_rrelu, fullgraph=True)(x, alpha)
    exact = x.detach().double().requires_grad_()
    want = reference.fused_rrelu(exact, alpha)
    for got, expected in (
        (y, want),
        (torch.autograd.grad(y, x, grad)[0], torch.autograd.grad(want, exact, grad.double())[0]),
    ):
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), expected, equal_nan=True, **TOLERANCE[dtype])


@pytest.mark.slow
def test_join_differentiates(device):
    inputs = [randn((7, 9), device, requires_grad=True) for _ in range(2)]
    y, want = torch.compile(fused_rrelu_add, fullgraph=True)(*inputs), fused_rrelu_add(*inputs)
    torch.testing.assert_close(y, want)
    grad = randn(y.shape, device)
    torch.testing.assert_close(
        torch.autograd.grad(y, inputs, grad), torch.autograd.grad(want, inputs, grad)
    )


@pytest.mark.slow
def test_formula_in_every_layout_and_of_any_size(device):
    compiled = torch.compile(fused_rrelu, fullgraph=True, dynamic=True)
    for n in (5, 6):
        for x in (
            randn((n, 4, 7, 9), device).to(memory_format=torch.channels_last),
            randn((n, 4, 7, 9), device).transpose(1, 3),
            randn((n, 4, 14, 9), device)[:, :, ::2],
        ):
            y, want = compiled(x), fused_rrelu(x)
            assert y.stride() == want.stride()
            torch.testing.assert_close(y, want)


@pytest.mark.slow
def test_ahead_of_time_without_python(tmp_path):
    model = nn.Sequential(FusedRReLU(), nn.Linear(1024, 8))
    x = randn(LARGE)
    program = torch.export.export(model, (x,))
    path = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "psi.pt2"))
    torch.testing.assert_close(torch._inductor.aoti_load_package(path)(x), model(x))
