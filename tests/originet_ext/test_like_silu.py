"""psi as a citizen of PyTorch: whatever F.silu can do, in tests that F.silu passes as well."""

import copy
import io
import os
import pickle

import pytest
import torch
from activations import DTYPES, PSI, SILU, TOLERANCE, exact_gradient, randn
from torch import nn
from torch.autograd import forward_ad

# Dtypes, sizes and layouts


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (1023,), (4, 0, 3), (3, 5, 7), (2, 3, 128, 128)])
def test_dtypes_and_sizes(activation, device, shape, dtype):
    x = randn(shape, device, dtype, requires_grad=True)
    upstream = randn(shape, device, dtype)
    exact = x.detach().double().requires_grad_()
    y, want = activation.function(x), activation.exact(exact)
    (grad,) = torch.autograd.grad(y, x, upstream)
    (want_grad,) = torch.autograd.grad(want, exact, upstream.double())
    for got, expected in ((y, want), (grad, want_grad)):
        assert got.dtype == dtype and got.shape == shape
        torch.testing.assert_close(got.double(), expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_integers_are_refused(activation, dtype):
    names = {torch.int64: "Long|int64", torch.uint8: "Byte|uint8", torch.bool: "Bool|bool"}
    for function in (activation.function, activation.in_place, activation.module()):
        # silu's error is a RuntimeError of its kernel
        with pytest.raises((TypeError, RuntimeError), match=names[dtype]):
            function(torch.ones(3, dtype=dtype))


LAYOUTS = {
    "transposed": lambda x: x.transpose(0, 3),
    "sliced": lambda x: x[:, :, 1:-1, ::2],
    "unaligned": lambda x: x.flatten()[1:],
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "channels_last_3d": lambda x: x[:, :, None].contiguous(memory_format=torch.channels_last_3d),
    "expanded": lambda x: x[:1].expand(3, -1, -1, -1),
    "overlapping": lambda x: x.flatten().as_strided((3, 10), (5, 1)),
}
SHARING_MEMORY = ("expanded", "overlapping")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(activation, device, layout, dtype):
    x = LAYOUTS[layout](randn((4, 6, 8, 10), device, dtype))
    y = activation.function(x)
    torch.testing.assert_close(y, activation.function(x.contiguous()), **TOLERANCE[dtype])
    if layout != "overlapping":  # for which silu has strides of its own
        assert y.stride() == torch.empty_like(x).stride()
    # the incoming gradient has a layout of its own
    upstream = randn((), device, dtype).expand(x.shape)
    leaf = x.detach().requires_grad_()
    (grad,) = torch.autograd.grad(activation.function(leaf), leaf, upstream)
    want = exact_gradient(activation, x) * upstream.double()
    torch.testing.assert_close(grad.double(), want, **TOLERANCE[dtype])


@pytest.mark.slow
def test_more_than_2_to_the_31_elements(activation, device):
    if device == "cuda":
        memory = torch.cuda.mem_get_info()[1]
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < 20e9:
        pytest.skip(f"needs 20 GB, the {device} has {memory / 1e9:.0f}")
    ends = torch.tensor([1.0, -1.0, 2.0])
    want = activation.exact(ends.double())
    x = torch.full((2**31 + 9,), 3.0, dtype=torch.bfloat16, device=device)
    x[-3:] = ends
    three = activation.exact(torch.tensor(3.0, dtype=torch.float64)).to(torch.bfloat16)
    for function in (activation.function, activation.in_place):
        y = function(x)
        torch.testing.assert_close(y[-3:].cpu().double(), want, **TOLERANCE[y.dtype])
        assert (y[2**31 - 5 : 2**31 + 5] == three).all() and y[0] == three
        del y


# In place


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in SHARING_MEMORY])
def test_in_place_equals_out_of_place(activation, device, layout):
    x = LAYOUTS[layout](randn((4, 6, 8, 10), device))
    want, stride, version = activation.function(x), x.stride(), x._version
    assert activation.in_place(x) is x
    assert x.stride() == stride and x._version > version
    torch.testing.assert_close(x, want, **TOLERANCE[x.dtype])


def test_in_place_follows_the_rules_of_autograd(activation, device):
    leaf = randn((6,), device, torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        activation.in_place(leaf)
    (grad,) = torch.autograd.grad(activation.in_place(leaf * 2).sum(), leaf)
    torch.testing.assert_close(grad, 2 * exact_gradient(activation, 2 * leaf))

    def on_a_copy(x):
        return activation.in_place(x.clone())

    torch.autograd.gradcheck(on_a_copy, (leaf,), check_forward_ad=True, check_batched_grad=True)
    torch.autograd.gradgradcheck(on_a_copy, (leaf,), check_fwd_over_rev=True)
    # A tensor that another backward needs must not be changed unnoticed.
    y = leaf.exp()
    with torch.no_grad():
        activation.in_place(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_in_place_on_a_view_reaches_the_base(activation, device):
    leaf = randn((3, 4), device, torch.float64, requires_grad=True)
    base = leaf * 1
    activation.in_place(base[:, 1:3])
    want = leaf.detach().clone()
    want[:, 1:3] = activation.exact(want[:, 1:3])
    torch.testing.assert_close(base, want)
    (grad,) = torch.autograd.grad(base.sum(), leaf)
    want_grad = torch.ones_like(grad)
    want_grad[:, 1:3] = exact_gradient(activation, leaf[:, 1:3])
    torch.testing.assert_close(grad, want_grad)


def test_in_place_refuses_shared_memory(activation, device):
    with pytest.raises(RuntimeError, match=r"expanded|single memory location"):
        activation.in_place(torch.zeros(1, device=device).expand(3))


# Autograd


def test_gradients_of_every_order_and_direction(activation, device):
    x = randn((7,), device, torch.float64, requires_grad=True)
    torch.autograd.gradcheck(
        activation.function,
        (x,),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    torch.autograd.gradgradcheck(
        activation.function, (x,), check_fwd_over_rev=True, check_rev_over_rev=True
    )


def test_third_derivative(activation, device):
    x = randn((20,), device, torch.float64, requires_grad=True)
    chains = []
    for function in (activation.function, activation.exact):
        value = function(x)
        for _ in range(3):
            (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        chains.append(value)
    torch.testing.assert_close(*chains, rtol=1e-10, atol=1e-12)


def test_forward_ad_of_a_tensor_without_requires_grad(activation, device):
    x, tangent = randn((6,), device, torch.float64), randn((6,), device, torch.float64)
    want = exact_gradient(activation, x) * tangent
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, tangent)
        for y in (activation.function(dual), activation.in_place(dual)):
            torch.testing.assert_close(forward_ad.unpack_dual(y).tangent, want)


def test_backward_keeps_the_input_alone(activation, device):
    kept = []
    x = randn((1000,), device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        activation.function(x)
    assert [(t.data_ptr(), t.nbytes) for t in kept] == [(x.data_ptr(), x.nbytes)]


def test_inference_mode(activation, device):
    x = randn((5,), device, requires_grad=True)
    with torch.inference_mode():
        y = activation.function(x)
    assert y.is_inference() and not y.requires_grad
    torch.testing.assert_close(y, activation.function(x.detach()), rtol=0, atol=0)


# torch.func


def test_jvp_vjp_and_jacobians(activation, device):
    x, tangent = randn((6,), device, torch.float64), randn((6,), device, torch.float64)
    slope = exact_gradient(activation, x)
    value, directional = torch.func.jvp(activation.function, (x,), (tangent,))
    torch.testing.assert_close(value, activation.exact(x))
    torch.testing.assert_close(directional, slope * tangent)
    _, pullback = torch.func.vjp(activation.function, x)
    torch.testing.assert_close(pullback(tangent)[0], slope * tangent)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(jacobian(activation.function)(x), slope.diag())


def test_hessian(activation, device):
    x = randn((6,), device, torch.float64)
    want = torch.func.hessian(lambda v: activation.exact(v).sum())(x)
    for outer in (torch.func.jacfwd, torch.func.jacrev):
        for inner in (torch.func.jacfwd, torch.func.jacrev):
            got = outer(inner(lambda v: activation.function(v).sum()))(x)
            torch.testing.assert_close(got, want)


def test_vmap_of_the_function_and_of_its_gradient(activation, device):
    batch = randn((5, 4, 3), device, torch.float64)
    want = activation.exact(batch)
    torch.testing.assert_close(torch.vmap(activation.function)(batch), want)
    moved = torch.vmap(activation.function, in_dims=2, out_dims=1)(batch)
    torch.testing.assert_close(moved, want.permute(0, 2, 1))
    twice = torch.vmap(torch.vmap(activation.function, in_dims=1))(batch)
    torch.testing.assert_close(twice, want.permute(0, 2, 1))
    overwritten = batch.clone()
    torch.vmap(activation.in_place)(overwritten)
    torch.testing.assert_close(overwritten, want)
    per_sample = torch.vmap(torch.func.grad(lambda v: activation.function(v).sum()))(batch)
    torch.testing.assert_close(per_sample, exact_gradient(activation, batch))


def test_per_sample_gradients_of_a_model(activation, device):
    model = nn.Sequential(nn.Linear(3, 4), activation.module(), nn.Linear(4, 1)).to(device).double()
    weights = dict(model.named_parameters())
    batch = randn((5, 3), device, torch.float64)

    def loss(weights, sample):
        return torch.func.functional_call(model, weights, (sample,)).sum()

    got = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, batch)
    for i, sample in enumerate(batch):
        want = torch.autograd.grad(model(sample).sum(), list(weights.values()))
        for name, gradient in zip(weights, want, strict=True):
            torch.testing.assert_close(got[name][i], gradient)


# Modules and autocast


def test_module_copies_pickles_and_has_no_state(activation, device):
    model = nn.Sequential(nn.Linear(3, 3), activation.module()).to(device)
    x = randn((2, 3), device)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(buffer, weights_only=False),
    ]
    for other in copies:
        assert torch.equal(other(x), model(x))
        other.load_state_dict(model.state_dict())
    assert activation.module().state_dict() == {}
    assert list(activation.module().parameters()) == []
    # weights pass between a network with SiLU and one with psi
    other = nn.Sequential(nn.Linear(3, 3), (SILU if activation is PSI else PSI).module())
    other.load_state_dict(model.state_dict())


def test_module_in_place(activation, device):
    x = randn((9,), device)
    want = activation.module()(x)
    assert activation.module(inplace=True)(x) is x
    assert torch.equal(x, want)
    assert "inplace=True" in repr(activation.module(inplace=True))


def test_autocast_passes_through(activation, device):
    linear = nn.Linear(4, 4, device=device)
    x = randn((2, 4), device)
    with torch.autocast(device, dtype=torch.bfloat16):
        y = activation.function(linear(x))
        assert activation.function(x).dtype == torch.float32
    assert y.dtype == torch.bfloat16
    (grad,) = torch.autograd.grad(y.float().sum(), linear.weight)
    assert grad.dtype == torch.float32 and grad.isfinite().all()


# Meta and fake tensors, compile, export, CUDA graphs


def test_meta_and_fake_tensors(activation):
    meta = torch.empty(3, 4, device="meta", dtype=torch.half, requires_grad=True)
    y = activation.function(meta)
    assert y.shape == (3, 4) and y.dtype == torch.half and y.device.type == "meta"
    assert torch.autograd.grad(y.sum(), meta)[0].device.type == "meta"
    with torch._subclasses.FakeTensorMode():
        x = torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
        y = activation.function(x)
        assert y.stride() == x.stride()
        assert torch.autograd.grad(y.sum(), x)[0].stride() == x.stride()
        z = x.detach()
        assert activation.in_place(z) is z


@pytest.mark.slow
@pytest.mark.parametrize("form", ["function", "in_place"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile_fullgraph_forward_and_training(activation, device, form, dynamic):
    def function(x):
        return getattr(activation, form)(x * 1)

    compiled = torch.compile(function, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for n in (5, 9):
        x = randn((3, n), device, requires_grad=True)
        y, want = compiled(x), function(x)
        torch.testing.assert_close(y, want)
        torch.testing.assert_close(
            torch.autograd.grad(y.sum(), x)[0], torch.autograd.grad(want.sum(), x)[0]
        )
        with torch.no_grad():
            torch.testing.assert_close(compiled(x), want)


def test_compiled_in_place_changes_the_argument(activation, device):
    x = randn((3, 5), device)
    want = activation.function(x)
    compiled = torch.compile(activation.in_place, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), want)
    torch.testing.assert_close(x, want)


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile_a_model_with_inductor(activation, device, dynamic):
    model = nn.Sequential(
        nn.Linear(4, 8), activation.module(), nn.Linear(8, 2), activation.module(inplace=True)
    ).to(device)
    compiled = torch.compile(model, fullgraph=True, dynamic=dynamic)
    for n, stance in ((16, "default"), (24, "fail_on_recompile" if dynamic else "default")):
        x = randn((n, 4), device, requires_grad=True)
        want = torch.autograd.grad(model(x).square().sum(), x)[0]
        with torch.compiler.set_stance(stance):
            got = torch.autograd.grad(compiled(x).square().sum(), x)[0]
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_export_then_run(activation, device, strict):
    model = nn.Sequential(nn.Linear(4, 8), activation.module(), activation.module(inplace=True))
    model.to(device)
    batch = torch.export.Dim("batch", min=2, max=100)
    program = torch.export.export(
        model, (randn((16, 4), device),), dynamic_shapes=({0: batch},), strict=strict
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    for exported in (program, program.run_decompositions(), torch.export.load(buffer)):
        x = randn((7, 4), device)
        torch.testing.assert_close(exported.module()(x), model(x))


@pytest.mark.needs_cuda
@pytest.mark.parametrize("form", ["function", "in_place"])
def test_cuda_graph_replays_forward_and_backward(activation, form):
    def step(x, upstream):
        y = getattr(activation, form)(x * 1)
        return y, *torch.autograd.grad(y, x, upstream)

    x, upstream = randn((1000,), "cuda", requires_grad=True), randn((1000,), "cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # warms up, as torch.cuda.graph asks
        for _ in range(3):
            step(x, upstream)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(x, upstream)
    for _ in range(3):
        with torch.no_grad():
            x.copy_(randn((1000,)))
            upstream.copy_(randn((1000,)))
        graph.replay()
        torch.testing.assert_close(captured, step(x, upstream), **TOLERANCE[x.dtype])
