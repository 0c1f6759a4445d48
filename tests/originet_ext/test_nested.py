"""psi of nested tensors of both layouts, with F.silu as the control."""

import pytest
import torch
from activations import randn
from torch import nn

import originet_ext
from originet_ext import fused_rrelu_add

# torch says that the strided layout is a prototype, once a process.
pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
LAYOUTS = {"strided": torch.strided, "jagged": torch.jagged}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


def parts(*lengths: int, dtype=torch.float32) -> list[torch.Tensor]:
    return [randn((length, 3), dtype=dtype) for length in lengths]


def nested(tensors: list[torch.Tensor], layout, requires_grad: bool = False) -> torch.Tensor:
    return torch.nested.nested_tensor(tensors, layout=layout, requires_grad=requires_grad)


def assert_parts(got: torch.Tensor, want: list[torch.Tensor]) -> None:
    assert got.is_nested
    for one, other in zip(got.unbind(), want, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values(activation, layout, dtype):
    given = parts(2, 5, 1, dtype=dtype)
    x = nested(given, layout)
    want = [activation.function(part) for part in given]
    y = activation.function(x)
    assert y.layout == layout and y.dtype == dtype
    assert_parts(y, want)
    assert_parts(activation.module()(x), want)
    assert_parts(x, given)
    assert activation.in_place(x) is x
    assert_parts(x, want)


def test_first_derivatives(activation, layout):
    leaves = [part.requires_grad_() for part in parts(2, 4)]
    weights = torch.randn(6, 3).split([2, 4])
    total = sum((activation.function(p) * w).sum() for p, w in zip(leaves, weights, strict=True))
    want = torch.autograd.grad(total, leaves)
    for function in (activation.function, lambda x: activation.in_place(x.clone())):
        x = nested([part.detach() for part in leaves], layout, requires_grad=True)
        grad = nested(list(weights), torch.strided)
        if layout == torch.jagged:  # on the very offsets of x
            grad = torch.nested.nested_tensor_from_jagged(torch.cat(weights), x.offsets())
        (got,) = torch.autograd.grad(function(x), x, grad)
        assert_parts(got, list(want))


def test_in_place_follows_the_rules_of_autograd(activation, layout):
    # A jagged leaf is a view to autograd.
    with pytest.raises(RuntimeError, match=r"leaf Variable that requires grad|no_grad mode"):
        activation.in_place(nested(parts(2, 3), layout, requires_grad=True))


def test_parts_without_elements(activation, layout):
    given = parts(0, 2)
    want = [activation.function(part) for part in given]
    assert_parts(activation.function(nested(given, layout)), want)


# The jagged layout alone.


def jagged(requires_grad: bool = False) -> torch.Tensor:
    return nested(parts(2, 5), torch.jagged, requires_grad)


def test_results_go_with_their_inputs(activation):
    x = jagged()
    y = activation.function(x)
    assert (x + y).shape == x.shape == y.shape
    turned = x.transpose(1, 2)
    assert_parts(activation.function(turned), [activation.function(p.T) for p in x.unbind()])
    assert activation.function(turned).shape == turned.shape
    # A view of some rows, with lengths of its own.
    values, offsets = x.values(), x.offsets()
    view = torch.nested.nested_tensor_from_jagged(values, offsets, torch.tensor([1, 4]))
    got = activation.function(view)
    torch.testing.assert_close(got.lengths(), view.lengths())
    assert_parts(got, [activation.function(values[:1]), activation.function(values[2:6])])


def test_second_derivatives(activation):
    x = jagged(requires_grad=True)
    first = torch.autograd.grad(activation.function(x).values().sum(), x, create_graph=True)[0]
    (second,) = torch.autograd.grad(first.values().sum(), x)
    leaf = x.detach().values().requires_grad_()
    want = torch.autograd.grad(activation.function(leaf).sum(), leaf, create_graph=True)[0]
    torch.testing.assert_close(first.values(), want)
    torch.testing.assert_close(second.values(), torch.autograd.grad(want.sum(), leaf)[0])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled(activation, backend):
    x = jagged(requires_grad=True)
    model = nn.Sequential(nn.Linear(3, 4), activation.module())
    want = model(x)
    got = torch.compile(model, backend=backend, fullgraph=True)(x)
    assert_parts(got, list(want.unbind()))
    gradients = [torch.autograd.grad(y.values().square().sum(), x)[0] for y in (got, want)]
    torch.testing.assert_close(gradients[0].values(), gradients[1].values())


# Sums of two.


def test_sums(layout):
    a, b = nested(parts(2, 4), layout), nested(parts(2, 4), layout)
    if layout == torch.jagged:
        b = torch.nested.nested_tensor_from_jagged(b.values(), a.offsets())
    want = [fused_rrelu_add(*pair) for pair in zip(a.unbind(), b.unbind(), strict=True)]
    assert_parts(fused_rrelu_add(a, b), want)


def test_what_does_not_fit_is_named(layout):
    a = nested(parts(2, 4), layout)
    with pytest.raises(ValueError, match="nested"):
        fused_rrelu_add(a, torch.ones(2, 4, 3))
    with pytest.raises(ValueError, match="nested"):
        fused_rrelu_add(torch.ones(2, 4, 3), a)
    with pytest.raises(ValueError, match=r"same (shape|number of parts)"):
        fused_rrelu_add(a, nested(parts(2, 4, 1), layout))
    with pytest.raises(ValueError, match="same shape"):
        fused_rrelu_add(a, nested(parts(2, 3), layout))
    with pytest.raises(TypeError, match="float32 or float64, got torch"):
        originet_ext.fused_rrelu(nested([torch.ones(2, 3, dtype=torch.int64)], layout))
    with pytest.raises(ValueError, match="nested"):
        originet_ext.fused_rrelu_add_norm(a, a, None, None)
