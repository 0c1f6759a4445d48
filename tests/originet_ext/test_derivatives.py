"""Derivatives wherever code may ask for them: eager, compiled, exported, traced, in torch.func.

Everything here is run with the autograd kernels in C++ and, in .ci/run, with those in Python. The
reference, in plain PyTorch, says what is right; F.silu goes through the same tests.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import originet_ext
from originet_ext import build_info, fused_rrelu, fused_rrelu_, reference

# No value at which a function here has a kink.
X, TANGENT = torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([0.7, -0.3, 1.3])

ROWS = torch.arange(9.0).reshape(3, 3) / 8


def frames_of(x):
    return torch.stack([x * 0, x * 0.3, x * x, x.flip(0)])


def functions(module):
    """Functions of a vector, by name: those of the package or of its reference."""
    made = {
        "fused_rrelu": module.fused_rrelu,
        "fused_rrelu_": lambda x: module.fused_rrelu_(x.clone()),
        "fused_rrelu_add": lambda x: module.fused_rrelu_add(x, x * x),
        "fused_rrelu_add_norm": lambda x: module.fused_rrelu_add_norm(
            x.reshape(3, 1), (x * x).reshape(3, 1), x[:1], x[1:2], bias_a=x[2:]
        ),
        "temporal_pool": lambda x: module.temporal_pool(ROWS + x, x),
    }
    for method in ("cumulative", "rank", "absolute", "rectified"):
        made[f"active_image {method}"] = lambda x, method=method: module.active_image(
            frames_of(x), method=method, normalize="minmax"
        )
    for method in ("cumulative", "authors", "absolute", "rank"):
        made[f"sliding {method}"] = lambda x, method=method: module.sliding_active_images(
            frames_of(x), 3, method=method
        )
    return made


def joined(x):
    """fused_rrelu_add_norm below; F.batch_norm's own Hessian is wrong in torch 2.13."""
    z = reference.fused_rrelu_add((x + x[2:]).reshape(3, 1), (x * x).reshape(3, 1))
    var, mean = torch.var_mean(z, 0, correction=0)
    return (z - mean) * torch.rsqrt(var + 1e-5) * x[:1] + x[1:2]


FUNCTIONS = {name: (f, functions(reference)[name]) for name, f in functions(originet_ext).items()}
FUNCTIONS["fused_rrelu_add_norm"] = (FUNCTIONS["fused_rrelu_add_norm"][0], joined)
FUNCTIONS["silu"] = (F.silu, F.silu)
FUNCTIONS["the op itself"] = (
    lambda x: torch.ops.originet.rrelu_forward(x, 0.1),
    reference.fused_rrelu,
)


def dual(function, x, tangent):
    with forward_ad.dual_level():
        y = forward_ad.unpack_dual(function(forward_ad.make_dual(x, tangent)))
    return y.tangent


EACH = pytest.mark.parametrize("function,right", FUNCTIONS.values(), ids=FUNCTIONS)
TRANSFORMS = {
    "jvp": lambda f, x, t: torch.func.jvp(f, (x,), (t,))[1],
    "dual numbers": dual,
    "vjp": lambda f, x, t: torch.func.vjp(f, x)[1](torch.ones_like(f(x)))[0],
    "grad": lambda f, x, t: torch.func.grad(lambda v: f(v).square().sum())(x),
    "jacfwd": lambda f, x, t: torch.func.jacfwd(f)(x),
    "jacrev": lambda f, x, t: torch.func.jacrev(f)(x),
    "hessian": lambda f, x, t: torch.func.hessian(lambda v: f(v).square().sum())(x),
    "vmap": lambda f, x, t: torch.vmap(f)(torch.stack([x, x + t])),
    "vmap of grad": lambda f, x, t: torch.vmap(torch.func.grad(lambda v: f(v).square().sum()))(
        torch.stack([x, x + t])
    ),
}


COMPILED = ("jvp", "dual numbers", "vjp", "hessian", "vmap of grad")  # for time


def close(got, want):
    assert got is not None
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@EACH
def test_transforms(function, right, compiled):
    torch.compiler.reset()
    for name, transform in TRANSFORMS.items():
        if compiled and name not in COMPILED:
            continue
        call = lambda x, t, of=transform: of(function, x, t)  # noqa: E731
        if compiled:
            call = torch.compile(call, backend="aot_eager")
        close(call(X.clone(), TANGENT), transform(right, X, TANGENT))


@pytest.mark.slow
@EACH
def test_gradient_of_a_compiled_function(function, right):
    torch.compiler.reset()
    x = X.clone().requires_grad_()
    y = torch.compile(function, backend="aot_eager", fullgraph=True)(x)
    want = TRANSFORMS["grad"](right, X, None)
    close(torch.autograd.grad(y.square().sum(), x)[0], want)


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@EACH
def test_graphs_that_others_made_have_tangents(function, right):
    want = dual(right, X, TANGENT)
    close(dual(torch.export.export(Module(function), (X,)).module(), X, TANGENT), want)
    close(dual(make_fx(lambda x: function(x))(X), X, TANGENT), want)
    close(dual(torch.jit.trace(function, X, check_trace=False), X, TANGENT), want)
    graph = make_fx(lambda x, t: torch.func.jvp(function, (x,), (t,))[1])(X, TANGENT)
    close(graph(X, TANGENT), want)


@EACH
def test_functionalize(function, right):
    want = dual(right, X, TANGENT)
    close(torch.func.functionalize(function)(X), right(X))
    close(torch.func.jvp(torch.func.functionalize(function), (X,), (TANGENT,))[1], want)
    outer = torch.func.functionalize(lambda x, t: torch.func.jvp(function, (x,), (t,))[1])
    close(outer(X, TANGENT), want)


@pytest.mark.parametrize("function", [fused_rrelu, F.silu])
def test_compiled_autograd(function):
    x = X.clone().requires_grad_()
    with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager")):
        function(function(x) * 2).sum().backward()
    again = X.clone().requires_grad_()
    function(function(again) * 2).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)


# Tensors that are not ordinary


def test_tensors_without_storage(activation):
    zeros = torch._efficientzerotensor((5,))
    for x in (zeros, zeros[1:3]):
        dense = torch.zeros(x.shape)
        torch.testing.assert_close(activation.function(x) + 0, activation.function(dense))
        torch.testing.assert_close(activation.in_place(x + 0), activation.function(dense))
        leaf = torch.ones(x.shape, requires_grad=True)
        (grad,) = torch.autograd.grad(activation.function(leaf), leaf, x)
        torch.testing.assert_close(grad + 0, dense)


def test_in_place_on_lazily_negated_and_conjugated_views(activation):
    x = torch.randn(3, dtype=torch.cfloat)
    want = activation.function(x.conj().imag.clone())
    view = x.conj().imag
    assert view.is_neg()
    torch.testing.assert_close(activation.in_place(view).resolve_neg(), want)
    torch.testing.assert_close(x.imag, -want)


def test_the_op_in_place_returns_its_argument():
    x = X.clone()
    assert torch.ops.originet.rrelu_forward_(x, 0.1) is x
    torch.testing.assert_close(x, fused_rrelu(X))
    torch.library.opcheck(torch.ops.originet.rrelu_forward_.default, (X.clone(), 0.1))


def test_profiler_tracer_and_modes_see_the_ops():
    with torch.profiler.profile() as profile:
        fused_rrelu(X)
        fused_rrelu_(X.clone())
    assert {"originet::rrelu_forward", "originet::rrelu_forward_"} <= {
        event.key for event in profile.key_averages()
    }
    traced = torch.jit.trace(fused_rrelu, X, check_trace=False)
    assert "originet::rrelu_forward" in str(traced.graph)

    class Recorded(TorchDispatchMode):
        names: ClassVar[list[str]] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.namespace == "originet":
                self.names.append(func.name())
            return func(*args, **kwargs or {})

    class Functions(TorchFunctionMode):
        seen: ClassVar[list] = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **kwargs or {})

    with Recorded():
        fused_rrelu(X)
        originet_ext.fused_rrelu_add(X, X)
    assert Recorded.names == ["originet::rrelu_forward", "originet::rrelu_add_forward"]
    with Functions():
        fused_rrelu(X)
    assert fused_rrelu in Functions.seen


def test_many_threads_at_once():
    """The GIL is released; results and gradients do not mix."""

    def work(i):
        x = torch.full((100_000,), i / 4, requires_grad=True)
        for _ in range(5):
            y = fused_rrelu(x)
            (grad,) = torch.autograd.grad(y.sum(), x)
        return x, y, grad

    with ThreadPoolExecutor(8) as pool:
        for x, y, grad in pool.map(work, range(-8, 8)):
            want = reference.fused_rrelu(x)
            torch.testing.assert_close(y, want)
            torch.testing.assert_close(grad, torch.autograd.grad(want.sum(), x)[0])


# Which kernels are in use


def ask(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
def test_the_kernels_are_chosen_and_named():
    code = "import originet_ext; print(originet_ext.build_info()['autograd'])"
    assert build_info()["autograd"].startswith(("C++, built with torch 2.", "Python, because "))
    python = ask(code, ORIGINET_AUTOGRAD="python")
    assert python.stdout == "Python, because ORIGINET_AUTOGRAD=python\n", python.stderr
    other = f"import torch; torch.__version__ = '2.99.0'; {code}"
    assert "was built with torch" in ask(other, ORIGINET_AUTOGRAD="auto").stdout
    assert "this is 2.99.0" in ask(other, ORIGINET_AUTOGRAD="auto").stdout
    refused = ask(other, ORIGINET_AUTOGRAD="cpp")
    assert refused.returncode == 1 and "ORIGINET_AUTOGRAD=cpp, but" in refused.stderr
    wrong = ask(code, ORIGINET_AUTOGRAD="rust")
    assert "ORIGINET_AUTOGRAD must be auto, cpp or python, got 'rust'" in wrong.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    not build_info()["autograd_decision"].startswith("built"),
    reason="no C++ autograd in this build",
)
def test_the_other_label_of_the_same_torch_is_served():
    code = "import torch; torch.__version__ = torch.__version__.split('+')[0] + '+cu999'; import "
    code += "originet_ext; print(originet_ext.build_info()['autograd'])"
    assert ask(code, ORIGINET_AUTOGRAD="auto").stdout.startswith("C++, built with torch ")


# Traced modules, and weights of a pool


def test_traced_module_with_parameters_is_saved(tmp_path):
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 3),
        originet_ext.FusedRReLU(),
        torch.nn.Linear(3, 2),
        originet_ext.FusedRReLU(inplace=True),
    )
    torch.jit.save(torch.jit.trace(model, X), tmp_path / "model.pt")
    loaded = torch.jit.load(tmp_path / "model.pt")
    close(loaded(X), model(X))
    for module in (model, loaded):
        module(X).square().sum().backward()
    for got, want in zip(loaded.parameters(), model.parameters(), strict=True):
        close(got.grad, want.grad)


def test_weights_of_a_pool_in_torch_func():
    frames, weights = ROWS, TANGENT

    def pool(w):
        return originet_ext.temporal_pool(frames, w)

    close(torch.func.jacfwd(pool)(weights), frames.T)
    close(torch.func.jacrev(pool)(weights), frames.T)
    close(torch.vmap(pool)(torch.eye(3)), frames)
    hessian = torch.func.hessian(lambda w: pool(w).square().sum())(weights)
    close(hessian, 2 * frames @ frames.T)
