"""The benchmark of psi: its cases, how they are checked, and its jobs."""

import itertools

import pytest
import torch
from benches import cases
from torch import nn

from originet import bench

NAMES = ("fused", "eager", "silu", "mish")


@pytest.mark.parametrize("dtype", bench.DTYPES, ids=str)
def test_rrelu_case_accepts_the_right_providers(dtype):
    case = bench.rrelu_case((257,), dtype=dtype, providers=bench.rrelu_providers(NAMES))
    assert case.calls["fused"]().dtype == dtype


def test_no_input_of_a_case_lies_on_the_kink(monkeypatch):
    # There eager psi has another slope; a 16-bit randn does give exact zeros.
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: torch.zeros(*shape))
    seen = []
    bench.rrelu_case((8,), providers={"fused": lambda x: seen.append(x) or x.sigmoid() * (1 + x)})
    assert all((x != 0).all() for x in seen) and seen


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_graph_can_be_walked_more_than_once(dtype):
    providers = bench.rrelu_providers(["compile"])
    case = bench.rrelu_case((64,), mode="backward", dtype=dtype, providers=providers)
    (first,), (second,) = case.calls["compile"](), case.calls["compile"]()
    assert torch.equal(first, second)


def test_rrelu_case_keeps_channels_last():
    case = bench.rrelu_case(
        (2, 3, 4, 5), layout="channels_last", providers=bench.rrelu_providers(["fused"])
    )
    assert case.calls["fused"]().is_contiguous(memory_format=torch.channels_last)


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return bench.eager_rrelu(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda x: bench.eager_rrelu(x, alpha=0.11), "values in torch.float32: provider 'bad'"),
        (lambda x: bench.eager_rrelu(x) * torch.nan, "values"),
        (lambda x: bench.eager_rrelu(x)[1:].sum(), "shape"),
        (nn.RReLU(), "values"),  # torch's RReLU is another function
        (WrongGradient.apply, "gradients"),
    ],
)
def test_rrelu_case_refuses_a_wrong_kernel(wrong, match):
    with pytest.raises(RuntimeError, match=match):
        bench.rrelu_case((1000,), providers={"bad": wrong})


def test_rrelu_case_checks_both_ends_of_a_large_tensor(monkeypatch):
    monkeypatch.setattr(bench.rrelu, "_CHECKED", 10)

    def wrong_at_the_end(x):
        return bench.eager_rrelu(x) + (torch.arange(len(x)) == 999)

    with pytest.raises(RuntimeError, match="values"):
        bench.rrelu_case((1000,), providers={"bad": wrong_at_the_end})


def test_psi_jobs_cover_sizes_dtypes_modes_and_threads():
    listed = cases("rrelu", threads=[2, 1])
    assert [threads for *_, threads in listed] == sorted(threads for *_, threads in listed)
    sizes = {(threads, dtype): set() for threads in (1, 2) for dtype in bench.DTYPES}
    for names, shape, options, threads in listed:
        size = torch.Size(shape).numel() * options["dtype"].itemsize
        if options["layout"] == "contiguous":
            sizes[threads, options["dtype"]].add(size)
        assert names[:2] == ["fused", "eager"] or names[:2] == ("fused", "eager")
        compiled = size in {1 << e for e in (10, 16, 20, 24, 28)} or len(shape) == 4
        assert ("compile" in names) == (threads == 2 and compiled)
        assert {"silu", "mish"} <= set(names)
    for dtype in bench.DTYPES:
        assert sizes[2, dtype] == {1 << exponent for exponent in range(10, 29, 2)}
        largest = {1 << 28} if dtype == torch.float32 else set()
        assert sizes[1, dtype] == {1 << 10, 1 << 16, 1 << 20, 1 << 24} | largest
    kinds = {(options["dtype"], options["mode"]) for _, _, options, _ in listed}
    assert kinds == set(itertools.product(bench.DTYPES, ("forward", "backward", "full")))
