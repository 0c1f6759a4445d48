"""The normalised join against nn.BatchNorm2d over the reference, and as a citizen of PyTorch."""

import functools
import itertools

import pytest
import torch
from torch import nn

from originet_ext import decompositions, fused_rrelu_add_norm, reference

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Of the largest value in a tensor: sums over a channel have the error of their largest term.
TOLERANCE = {
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
    torch.float32: 1e-4,
    torch.float64: 1e-12,
}
SHAPES = [
    (5, 4),
    (2, 3, 7),
    (4, 3, 5, 7),
    (2, 70, 3, 2),
    (3, 2, 33, 33),
    (2, 16, 32, 32),
    (3, 1, 120, 120),
    (2, 3, 4, 5, 6),
    (600, 8, 2, 1),
]


def make(shape, device="cpu", dtype=torch.float32, requires_grad=True) -> dict[str, torch.Tensor]:
    """a, b, weight, bias, running_mean, running_var, bias_a, bias_b; a and b off the kink."""
    vector = torch.float32 if dtype.itemsize == 2 else dtype
    channels = shape[1]
    made = {"bias_a": torch.randn(channels), "bias_b": torch.randn(channels)}
    made = {name: bias.to(vector) for name, bias in made.items()}
    for name in "ab":
        x = torch.randn(shape, dtype=torch.float64).mul(2)
        bias = made[f"bias_{name}"].double().reshape(-1, *[1] * (len(shape) - 2))
        made[name] = torch.where((x + bias).abs() < 0.05, x + 0.2, x).to(dtype)
    made["weight"], made["bias"] = torch.randn(2, channels).to(vector)
    made = {name: x.to(device).requires_grad_(requires_grad) for name, x in made.items()}
    made["running_mean"] = torch.randn(channels).to(device, vector)
    made["running_var"] = (torch.rand(channels) + 0.5).to(device, vector)
    return made


def exact(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: x.detach().double().requires_grad_(x.requires_grad) for k, x in inputs.items()}


def expected(inputs: dict[str, torch.Tensor], training: bool, alpha=0.1) -> torch.Tensor:
    """nn.BatchNorm2d (or its 1-d and 3-d kin) over the reference, and the running statistics."""
    a, b = inputs["a"], inputs["b"]
    column = (-1, *[1] * (a.dim() - 2))
    z = reference.fused_rrelu_add(
        a + inputs["bias_a"].reshape(column), b + inputs["bias_b"].reshape(column), alpha
    )
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[a.dim()]
    norm = kind(a.shape[1]).to(a.device, a.dtype).train(training)
    del norm.weight, norm.bias
    norm.weight, norm.bias = inputs["weight"], inputs["bias"]
    norm.running_mean, norm.running_var = inputs["running_mean"], inputs["running_var"]
    return norm(z)


def leaves(inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [x for x in inputs.values() if x.requires_grad]


def assert_near(got: torch.Tensor, want: torch.Tensor, dtype: torch.dtype) -> None:
    scale = want.abs().max().item()
    torch.testing.assert_close(got.double(), want, rtol=0, atol=TOLERANCE[dtype] * scale)


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "strided": lambda x: torch.stack([x, x], -1)[..., 0],
    "unaligned": lambda x: torch.cat([x.new_zeros(1), x.flatten()])[1:].view(x.shape),
}


def in_layout(inputs: dict[str, torch.Tensor], layout: str) -> dict[str, torch.Tensor]:
    moved = {k: LAYOUTS[layout](inputs[k].detach()).requires_grad_() for k in "ab"}
    return {**inputs, **moved}


# Forward and gradients


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_matches_reference_forward_gradients_and_statistics(device, dtype, layout, training):
    for shape in SHAPES:
        inputs = in_layout(make(shape, device, dtype), layout)
        wide = exact(inputs)
        y = fused_rrelu_add_norm(**inputs, training=training)
        want = expected(wide, training)
        assert y.dtype == dtype
        if layout != "strided":
            assert y.stride() == inputs["a"].stride()
        else:
            assert y.is_contiguous()
        assert_near(y, want, dtype)
        for name in ("running_mean", "running_var"):
            assert_near(inputs[name], wide[name], torch.float64 if dtype.itemsize == 8 else dtype)
        grad = torch.randn(shape, dtype=torch.float64).to(device, dtype)
        grads = torch.autograd.grad(y, leaves(inputs), grad)
        wants = torch.autograd.grad(want, leaves(wide), grad.double())
        for leaf, got, wanted in zip(leaves(inputs), grads, wants, strict=True):
            assert got.dtype == leaf.dtype
            assert_near(got, wanted, dtype)


@pytest.mark.parametrize("function", [fused_rrelu_add_norm, reference.fused_rrelu_add_norm])
def test_hand_computed_point(function):
    # psi(0) + psi(0) = 1 and psi(1) + psi(1) = 4 * sigmoid(1): normalised to -1 and 1.
    a = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    y = function(a, a, None, None, eps=1e-20)
    torch.testing.assert_close(y, torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    # Given mean 3 and variance 4, weight 5 and bias 7: (z - 3) / 2 * 5 + 7.
    mean, var, weight, bias = torch.tensor([[3.0], [4.0], [5.0], [7.0]], dtype=torch.float64)
    y = function(a, a, weight, bias, mean, var, training=False, eps=1e-20)
    want = torch.tensor([[2.0], [4 * 0.7310585786300049 * 2.5 - 0.5]], dtype=torch.float64)
    torch.testing.assert_close(y, want)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_alpha_and_absent_parameters(device, alpha):
    inputs = make((4, 5, 6, 6), device, torch.float64)
    for absent in ("weight", "bias", "bias_a", "bias_b"):
        some = {**inputs, absent: None}
        got = fused_rrelu_add_norm(**some, alpha=alpha)
        want = reference.fused_rrelu_add_norm(**some, alpha=alpha)
        torch.testing.assert_close(got, want)
        present = [x for x in some.values() if x is not None and x.requires_grad]
        grad = torch.randn_like(got)
        torch.testing.assert_close(
            torch.autograd.grad(got, present, grad), torch.autograd.grad(want, present, grad)
        )


def _of_means(grad: torch.Tensor) -> torch.Tensor:
    return grad[:, :, :1, :1].expand(grad.shape)


# How the gradient may lie in memory, by what makes it of a contiguous one.
GRADIENTS = {
    "contiguous": lambda grad: grad,
    "of the means of images": _of_means,
    "of a mean": lambda grad: grad[:1, :1, :1, :1].expand(grad.shape),
    "every other channel": lambda grad: torch.stack([grad, grad], 2).flatten(1, 2)[:, ::2],
    "columns first": lambda grad: grad.mT.contiguous().mT,
}


@pytest.mark.parametrize("kind", GRADIENTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_in_other_layouts_than_the_input(device, dtype, kind):
    backward = torch.ops.originet.rrelu_add_norm_backward
    for shape, layout in itertools.product([(3, 16, 5, 7), (2, 5, 4, 6)], LAYOUTS):
        inputs = in_layout(make(shape, device, dtype, requires_grad=False), layout)
        grad = GRADIENTS[kind](torch.randn(shape, device=device).to(dtype))
        rest = [inputs[name].detach() for name in ("a", "b", "bias_a", "bias_b", "weight")]
        rest += [inputs["running_mean"], inputs["running_var"], True, 1e-5, 0.1]
        got, want = backward(grad, *rest), backward(torch.empty_like(rest[0]).copy_(grad), *rest)
        for ours, theirs in zip(got, want, strict=True):
            assert ours.stride() == theirs.stride()
            assert_near(ours, theirs.double(), dtype)


def test_gradient_for_some_inputs_alone(device):
    inputs = make((4, 5, 6, 6), device, torch.float64)
    wide = exact(inputs)
    (want,) = torch.autograd.grad(expected(wide, True).pow(3).sum(), wide["bias_a"])
    alone = {k: x.detach() for k, x in inputs.items()}
    alone["bias_a"].requires_grad_()
    alone["running_mean"], alone["running_var"] = None, None
    (got,) = torch.autograd.grad(fused_rrelu_add_norm(**alone).pow(3).sum(), alone["bias_a"])
    torch.testing.assert_close(got, want)


def test_no_running_statistics_means_those_of_the_batch(device):
    inputs = make((4, 5, 6, 6), device)
    inputs["running_mean"] = inputs["running_var"] = None
    torch.testing.assert_close(
        fused_rrelu_add_norm(**inputs, training=False), fused_rrelu_add_norm(**inputs)
    )


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_large_mean_and_small_deviation(device, layout):
    # psi(x) = x for large x: the join has mean 1e3 and deviation 0.1.
    base = torch.randn(8, 4, 40, 40, dtype=torch.float64, device=device).mul(0.1).add(1000)
    base[0, :, 0, 0] += 5  # an outlier where a shifted sum would take its shift
    a = LAYOUTS[layout](base.float())
    b = LAYOUTS[layout](torch.full_like(a, -1e4))
    mean, var = torch.zeros(2, 4, device=device)
    fused_rrelu_add_norm(a, b, None, None, mean, var, momentum=1.0)
    z = reference.fused_rrelu_add(a.double(), b.double()).transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean.double(), z.mean(1), rtol=1e-7, atol=0)
    torch.testing.assert_close(var.double(), z.var(1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_parameters_and_statistics(device, dtype):
    inputs = make((4, 6, 8, 8), device, dtype, requires_grad=False)
    narrow = {k: x.to(dtype).requires_grad_("running" not in k) for k, x in inputs.items()}
    wide = exact(narrow)
    y, want = fused_rrelu_add_norm(**narrow), expected(wide, True)
    assert_near(y, want, dtype)
    assert_near(narrow["running_var"], wide["running_var"], dtype)
    grads = torch.autograd.grad(y.sum(), leaves(narrow))
    assert {g.dtype for g in grads} == {dtype}


# Autograd


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("biases", [True, False])
def test_gradcheck_and_gradgradcheck(device, training, biases):
    inputs = make((3, 2, 2, 2), device, torch.float64)
    names = ["a", "b", "weight", "bias", *(["bias_a", "bias_b"] if biases else [])]
    statistics = (inputs["running_mean"], inputs["running_var"]) if not training else (None, None)

    def function(*values):
        given = dict(zip(names, values, strict=True))
        return fused_rrelu_add_norm(
            **given, running_mean=statistics[0], running_var=statistics[1], training=training
        )

    values = [inputs[name] for name in names]
    torch.autograd.gradcheck(
        function, values, check_batched_grad=True, check_forward_ad=True, check_undefined_grad=False
    )
    torch.autograd.gradgradcheck(function, values, check_undefined_grad=False)


# How one differentiable argument may come from another: what is differentiated, and what it makes.
DEPENDENCIES = {
    "b is a": lambda x, v: {"a": x, "b": x},
    "b = 2 a": lambda x, v: {"a": x, "b": 2 * x},
    "b = cos(a)": lambda x, v: {"a": x, "b": x.cos()},
    "b is a flipped": lambda x, v: {"a": x, "b": x.flip(0)},
    "a = exp(b)": lambda x, v: {"a": x.exp(), "b": x},
    "both of one": lambda x, v: {"a": 3 * x, "b": x.sin()},
    "one bias twice": lambda x, v: {"a": x, "b": 2 * x, "bias_a": v, "bias_b": v},
    "bias of the other": lambda x, v: {"a": x, "b": x.sin(), "bias_a": v, "bias_b": v * v},
    "weight of a bias": lambda x, v: {"a": x, "b": x, "bias_a": v, "weight": 1 + v.cos()},
    "all vectors one": lambda x, v: {
        **{"a": x, "b": x, "bias_a": v},
        **{"bias_b": v, "weight": v, "bias": v},
    },
    "bias of a": lambda x, v: {"a": x, "b": x + 1, "bias_a": x.mean((0, 2, 3)), "bias": v},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pattern", DEPENDENCIES)
def test_arguments_made_of_one_another(device, pattern, training):
    """First and second derivatives against F.batch_norm over the formula."""
    x = torch.randn(3, 2, 4, 3, dtype=torch.float64, device=device)
    v = torch.rand(2, dtype=torch.float64, device=device) + 0.5
    upstream, direction = torch.randn(2, *x.shape, dtype=x.dtype, device=device)
    statistics = (torch.zeros_like(v), torch.ones_like(v))

    def derivatives(module):
        leaf, vector = (t.clone().requires_grad_() for t in (x, v))
        given = {"weight": None, "bias": None} | DEPENDENCIES[pattern](leaf, vector)
        positional = (given.pop(name) for name in ("a", "b", "weight", "bias"))
        y = module(*positional, *statistics, training=training, momentum=0.0, **given)
        asked = (leaf, vector)
        loss = (y * upstream).sum()
        first = torch.autograd.grad(loss, asked, create_graph=True, allow_unused=True)
        plain = torch.autograd.grad(loss, asked, retain_graph=True, allow_unused=True)
        second = torch.autograd.grad(
            (first[0] * direction).sum(), asked, allow_unused=True, materialize_grads=True
        )
        return [t for t in (*first, *plain, *second) if t is not None]

    got, want = derivatives(fused_rrelu_add_norm), derivatives(reference.fused_rrelu_add_norm)
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["weight", "bias", "bias_a", "bias_b"])
def test_one_vector_alone_requires_grad(device, name):
    inputs = make((4, 3, 5, 2), device, torch.float64, requires_grad=False)
    upstream = torch.randn(4, 3, 5, 2, dtype=torch.float64, device=device)
    found = []
    for function in (fused_rrelu_add_norm, reference.fused_rrelu_add_norm):
        given = inputs | {name: inputs[name].clone().requires_grad_()}
        y = function(**given | {"running_mean": None, "running_var": None})
        (grad,) = torch.autograd.grad((y * upstream).sum(), given[name], create_graph=True)
        found.append(grad)
    torch.testing.assert_close(*found)


def test_second_derivative_in_16_bits(device):
    inputs = make((4, 3, 4, 4), device, torch.bfloat16)
    wide = exact(inputs)
    results = []
    for function, given in ((fused_rrelu_add_norm, inputs), (reference.fused_rrelu_add_norm, wide)):
        (grad,) = torch.autograd.grad(
            function(**given).square().sum(), given["a"], create_graph=True
        )
        results.append(torch.autograd.grad(grad.square().sum(), given["weight"])[0].double())
    torch.testing.assert_close(*results, rtol=0.1, atol=0.1)


def test_functional_transforms(device):
    inputs = make((4, 3, 4, 4), device, torch.float64, requires_grad=False)
    rest = {k: inputs[k] for k in ("weight", "bias", "bias_a", "bias_b")}

    def loss(function, a):
        return function(a, inputs["b"], **rest).pow(3).sum()

    for transform in (torch.func.grad, lambda f: lambda a: torch.func.jvp(f, (a,), (a,))[1]):
        got, want = (
            transform(functools.partial(loss, function))(inputs["a"])
            for function in (fused_rrelu_add_norm, reference.fused_rrelu_add_norm)
        )
        torch.testing.assert_close(got, want)
    batch = torch.randn(2, *inputs["a"].shape, device=device, dtype=torch.float64)
    per_entry = torch.vmap(lambda a: fused_rrelu_add_norm(a, inputs["b"], **rest))(batch)
    for got, a in zip(per_entry, batch, strict=True):
        torch.testing.assert_close(got, fused_rrelu_add_norm(a, inputs["b"], **rest))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
def test_opcheck(device, layout, training):
    inputs = in_layout(make((2, 3, 4, 4), device), layout)
    given = (None, None) if training else (inputs["running_mean"], inputs["running_var"])
    names = ("a", "b", "bias_a", "bias_b", "weight", "bias")
    forward = torch.ops.originet.rrelu_add_norm_forward.default
    torch.library.opcheck(forward, (*(inputs[k] for k in names), *given, 1e-5, 0.1))
    still = {k: x.detach() for k, x in inputs.items()}
    mean, rstd = torch.randn(3, device=device), torch.rand(3, device=device)
    grad = torch.randn_like(still["a"])
    backward = torch.ops.originet.rrelu_add_norm_backward.default
    args = (grad, *(still[k] for k in names[:5]), mean, rstd, training, 1e-5, 0.1)
    torch.library.opcheck(backward, args)


@pytest.mark.parametrize("training", [True, False])
def test_backward_keeps_the_branches_and_vectors_alone(device, training):
    inputs = make((4, 6, 8, 8), device)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fused_rrelu_add_norm(**inputs, training=training)
    large = [t for t in kept if t.numel() > 6]
    assert [t.data_ptr() for t in large] == [inputs[k].data_ptr() for k in "ab"]
    assert len(kept) - 2 == 5  # both biases, weight, mean and rstd


def test_changed_input_is_noticed(device):
    inputs = make((4, 6, 8, 8), device)
    a = inputs["a"] * 1
    y = fused_rrelu_add_norm(**{**inputs, "a": a})
    with torch.no_grad():
        a.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# Compile


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("training", [True, False])
def test_compile_fullgraph(device, backend, training):
    torch.compiler.reset()  # or the cases count as recompilations of one function
    function = functools.partial(fused_rrelu_add_norm, training=training)
    compiled = torch.compile(function, fullgraph=True, backend=backend)
    for layout in ("contiguous", "channels_last"):
        inputs = in_layout(make((4, 6, 8, 8), device), layout)
        copies = {k: x.detach().clone().requires_grad_(x.requires_grad) for k, x in inputs.items()}
        y, want = compiled(**inputs), function(**copies)
        torch.testing.assert_close(y, want)
        assert y.stride() == want.stride()
        grad = torch.randn_like(want)
        torch.testing.assert_close(
            torch.autograd.grad(y, leaves(inputs), grad),
            torch.autograd.grad(want, leaves(copies), grad),
        )
        torch.testing.assert_close(inputs["running_var"], copies["running_var"])
        torch.testing.assert_close(inputs["running_mean"], copies["running_mean"])
        with torch.no_grad():
            torch.testing.assert_close(compiled(**inputs), function(**copies))


def test_meta_tensors():
    inputs = {k: x.to("meta") for k, x in make((2, 3, 4, 4), requires_grad=False).items()}
    assert fused_rrelu_add_norm(**inputs).shape == (2, 3, 4, 4)


def test_autocast(device):
    conv = nn.Conv2d(3, 4, 3, bias=False, device=device)
    inputs = make((2, 4, 6, 6), device)
    with torch.autocast(device, dtype=torch.bfloat16):
        branch = conv(torch.randn(2, 3, 8, 8, device=device))
        y = fused_rrelu_add_norm(**{**inputs, "a": branch, "b": branch * 1})
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert conv.weight.grad.dtype == inputs["bias_a"].grad.dtype == torch.float32


# Behaviour at the edges


def test_results_repeat_and_threads_agree():
    for layout in ("contiguous", "channels_last"):
        inputs = in_layout(make((8, 2, 96, 96)), layout)
        grad = torch.randn_like(inputs["a"])
        before = torch.get_num_threads()
        runs = []
        try:
            for threads in (1, 2, 2):
                torch.set_num_threads(threads)
                y = fused_rrelu_add_norm(**inputs)
                runs.append((y, *torch.autograd.grad(y, leaves(inputs), grad)))
        finally:
            torch.set_num_threads(before)
        for one, two, again in zip(*runs, strict=True):
            assert torch.equal(two, again)
            assert_near(one, two.double(), torch.float32)


def test_results_repeat_on_the_device(device):
    inputs = make((8, 6, 96, 96), device)
    runs = [fused_rrelu_add_norm(**inputs) for _ in range(3)]
    grad = torch.randn_like(inputs["a"])
    grads = [torch.autograd.grad(y, leaves(inputs), grad) for y in runs]
    assert all(torch.equal(runs[0], y) for y in runs)
    assert all(torch.equal(p, q) for other in grads for p, q in zip(grads[0], other, strict=True))


def test_infinite_and_nan_inputs_spoil_their_channel_alone(device):
    inputs = make((4, 3, 5, 5), device, requires_grad=False)
    inputs["a"][0, 0, 0, 0] = torch.inf
    inputs["b"][0, 1, 0, 0] = torch.nan
    y = fused_rrelu_add_norm(**inputs)
    assert y[:, :2].isnan().all()
    assert y[:, 2].isfinite().all()
    still = fused_rrelu_add_norm(**make((4, 3, 5, 5), device, requires_grad=False))
    assert still.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4)])
def test_no_elements(device, shape, training):
    # As nn.BatchNorm2d: nothing in, nothing out, no change of the running statistics.
    inputs = make(shape, device)
    before = inputs["running_mean"].clone()
    y = fused_rrelu_add_norm(**inputs, training=training)
    assert y.shape == shape
    assert torch.equal(inputs["running_mean"], before)
    grads = torch.autograd.grad(y.sum(), leaves(inputs))
    assert all((g == 0).all() for g in grads)


def _with(**changes):
    return lambda inputs: {**inputs, **changes}


@pytest.mark.parametrize("function", [fused_rrelu_add_norm, reference.fused_rrelu_add_norm])
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (_with(a=torch.zeros(2, 3, 4, 4).long()), TypeError, "a must be float16.*int64"),
        (_with(b=torch.zeros(2, 3, 4, 5)), ValueError, "same shape"),
        (_with(b=torch.zeros(2, 3, 4, 4).double()), TypeError, "same dtype"),
        (_with(a=torch.zeros(3), b=torch.zeros(3)), ValueError, r"\[N, C, ...\], got \[3\]"),
        (_with(weight=torch.ones(4)), ValueError, r"weight must be \[3\].*got \[4\]"),
        (_with(bias_a=torch.ones(1, 3)), ValueError, r"bias_a must be \[3\].*got \[1, 3\]"),
        (_with(bias=torch.ones(3).double()), TypeError, "bias must be torch.float32.*float64"),
        (_with(bias_b=1.0), TypeError, "bias_b must be a torch.Tensor or None, got float"),
        (_with(weight=torch.ones(3, device="meta")), ValueError, "weight must be on the device"),
        (_with(running_var=None), ValueError, "running_mean and running_var must both"),
        (_with(eps=0.0), ValueError, "eps must be positive, got 0.0"),
        (_with(alpha=float("nan")), ValueError, "alpha must be finite, got nan"),
        (
            _with(a=torch.zeros(1, 3, 1, 1), b=torch.zeros(1, 3, 1, 1)),
            ValueError,
            r"more than 1 value per channel, got a of shape \[1, 3, 1, 1\]",
        ),
    ],
)
def test_errors_name_the_argument(function, change, error, match):
    inputs = change(make((2, 3, 4, 4), requires_grad=False))
    with pytest.raises(error, match=match):
        function(**inputs)


def test_the_ops_check_what_they_get():
    a = torch.zeros(2, 3, 4, 4)
    forward = torch.ops.originet.rrelu_add_norm_forward
    nothing = (None,) * 4
    with pytest.raises(RuntimeError, match=r"b must have the shape of a, \[2, 3, 4, 4\]"):
        forward(a, a[:1], *nothing, None, None, 1e-5, 0.1)
    with pytest.raises(RuntimeError, match=r"weight must be \[3\].*got \[2\]"):
        forward(a, a, None, None, torch.ones(2), None, None, None, 1e-5, 0.1)
    with pytest.raises(RuntimeError, match="mean and var must be given together"):
        forward(a, a, *nothing, torch.ones(3), None, 1e-5, 0.1)
    with pytest.raises(RuntimeError, match=r"bias must have the dtype of a, Float.*got Double"):
        forward(a, a, None, None, None, torch.ones(3).double(), None, None, 1e-5, 0.1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_vectors", [True, False])
def test_decomposition_gives_what_the_op_gives(device, training, with_vectors):
    inputs = make((4, 3, 5, 7), device, torch.float64)
    names = ("bias_a", "bias_b", "weight", "bias")
    vectors = [inputs[name].detach() if with_vectors else None for name in names]
    given = (None, None) if training else (inputs["running_mean"], inputs["running_var"])
    args = (inputs["a"].detach(), inputs["b"].detach(), *vectors, *given, 1e-3, 0.2)
    op = torch.ops.originet.rrelu_add_norm_forward.default
    torch.testing.assert_close(decompositions()[op](*args), op(*args), rtol=1e-11, atol=1e-12)
