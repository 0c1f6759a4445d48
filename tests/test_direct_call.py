"""The short road to a kernel: taken for ordinary tensors in plain eager mode, and only then."""

import threading

import pytest
import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from originet_ext import build_info, fused_rrelu, fused_rrelu_add, reference
from originet_ext._library import direct_call, direct_call_, ops

FORWARD, BACKWARD, ADD_FORWARD, ADD_BACKWARD = range(4)


class Subclass(torch.Tensor):
    pass


class RecordedOps(TorchDispatchMode):
    """Records the ops that the dispatcher sees."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name())
        return func(*args, **kwargs or {})


def test_is_available():
    assert build_info()["direct_calls_unavailable"] == ""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gives_the_same_bits_as_the_dispatcher(device, dtype):
    for shape in ((), (0,), (5,), (3, 4, 5, 2), (40_000,)):
        a, b, grad = (torch.randn(shape, device=device).to(dtype) for _ in range(3))
        calls = {
            FORWARD: (ops.rrelu_forward, (a,)),
            BACKWARD: (ops.rrelu_backward, (grad, a)),
            ADD_FORWARD: (ops.rrelu_add_forward, (a, b)),
            ADD_BACKWARD: (ops.rrelu_add_backward, (grad, a, b)),
        }
        for number, (op, inputs) in calls.items():
            got, want = direct_call(number, 0.1, *inputs), op(*inputs, 0.1)
            torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_keeps_dense_layouts(device):
    x = torch.randn(2, 3, 4, 5, device=device)
    for layout in (x.to(memory_format=torch.channels_last), x.permute(3, 0, 2, 1)):
        y = direct_call(FORWARD, 0.1, layout)
        assert y.stride() == layout.stride()
        torch.testing.assert_close(y, reference.fused_rrelu(layout))


def test_declines_tensors_that_are_not_ordinary(device):
    x = torch.randn(4, 6, device=device)
    declined = {
        "requires grad": x.clone().requires_grad_(),
        "sliced": x[:, ::2],
        "expanded": x[:1].expand(4, 6),
        "integer": torch.arange(3, device=device),
        "complex": torch.zeros(3, dtype=torch.complex64, device=device),
        "meta": torch.empty(3, device="meta"),
        "sparse": x.to_sparse(),
        "negated view": torch._neg_view(x),
        "subclass": x.as_subclass(Subclass),
        "no tensor": 1.0,
    }
    for name, tensor in declined.items():
        assert direct_call(FORWARD, 0.1, tensor) is None, name
    assert direct_call(BACKWARD, 0.1, x, x.T.contiguous().T) is None
    assert direct_call(BACKWARD, 0.1, x, x.double()) is None
    for alpha in (float("nan"), float("inf"), 1, None):
        assert direct_call(FORWARD, alpha, x) is None
    with torch.no_grad():
        assert direct_call(FORWARD, 0.1, declined["requires grad"]) is not None
    assert direct_call(FORWARD, 0.1, torch.nn.Parameter(x, requires_grad=False)) is not None


def test_in_place_works_on_dense_layouts_alone(device):
    x = torch.randn(2, 3, 4, 5, device=device)
    layouts = {
        "contiguous": x.clone(),
        "channels last": x.to(memory_format=torch.channels_last),
        "permuted": x.clone().permute(3, 0, 2, 1),
        "one element": x[:1, :1, :1, :1].clone(),
        "empty": x[:0].clone(),
        "0-d": x[0, 0, 0, 0].clone(),
    }
    for name, layout in layouts.items():
        want = reference.fused_rrelu(layout)
        assert direct_call_(0.1, layout) is True, name
        torch.testing.assert_close(layout, want)
    before = x.clone()
    for layout in (x[:, ::2], x[:, :, 1:], x[:1].expand(2, 3, 4, 5), x.clone().requires_grad_()):
        assert direct_call_(0.1, layout) is False
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_refuses_what_is_no_op(device):
    x = torch.zeros(3, device=device)
    for arguments in ((), (FORWARD, 0.1), (FORWARD, 0.1, x, x), (4, 0.1, x), (-1, 0.1, x)):
        with pytest.raises(TypeError, match="no such op"):
            direct_call(*arguments)
    with pytest.raises(TypeError, match="takes two arguments"):
        direct_call_(x)


def test_negated_view_is_computed_right(device):
    x = torch.randn(50, device=device)
    torch.testing.assert_close(fused_rrelu(torch._neg_view(x)), reference.fused_rrelu(-x))


def test_modes_see_the_ops(device):
    x = torch.randn(5, device=device)
    with RecordedOps() as recorded:
        fused_rrelu(x)
        fused_rrelu_add(x, x)
    assert recorded.names == ["originet::rrelu_forward", "originet::rrelu_add_forward"]

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **kwargs or {})

    with Functions():
        assert direct_call(FORWARD, 0.1, x) is None
    with forward_ad.dual_level():
        assert direct_call(FORWARD, 0.1, x) is None
    torch.vmap(lambda row: row if direct_call(FORWARD, 0.1, row) is None else 1 / 0)(x[None])


def test_tracer_and_profiler_see_the_op(device):
    x = torch.randn(5, device=device)
    traced = torch.jit.trace(fused_rrelu, x, check_trace=False)
    assert "originet::rrelu_forward" in str(traced.graph)
    with torch.profiler.profile() as profile:
        fused_rrelu(x)
    assert "originet::rrelu_forward" in {event.key for event in profile.key_averages()}


def test_many_threads_at_once(device):
    """The GIL is released for large tensors; results do not mix."""
    inputs = [torch.full((100_000,), float(i), device=device) for i in range(8)]
    results: list[torch.Tensor | None] = [None] * len(inputs)

    def work(i: int) -> None:
        for _ in range(5):
            results[i] = fused_rrelu(inputs[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, y in zip(inputs, results, strict=True):
        torch.testing.assert_close(y, reference.fused_rrelu(x))
