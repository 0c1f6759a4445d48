"""The benchmark of the blocks' joins: its cases and its jobs."""

import itertools

import pytest
import torch
from benches import cases

import originet_ext
from originet import bench


@pytest.mark.parametrize("kind", bench.JOINS)
def test_join_case_differentiates_by_both_branches(kind):
    case = bench.join_case(kind, 2048, mode="full")
    assert list(case.calls) == ["fused", "unfused", "eager", "silu"] and case.bytes == 0
    for name, call in case.calls.items():
        y, of_a, of_b = call()
        assert y.numel() == 2048 and not torch.equal(of_a, of_b), name
    forward = bench.join_case(kind, 2048)
    torch.testing.assert_close(forward.calls["fused"](), case.calls["fused"]()[0], rtol=0, atol=0)
    assert not torch.allclose(forward.calls["fused"](), forward.calls["silu"](), rtol=0.01)


@pytest.mark.parametrize(
    ("kind", "name"), [("sum", "fused_rrelu_add"), ("norm", "fused_rrelu_add_norm")]
)
def test_join_case_refuses_a_wrong_kernel(kind, name, monkeypatch):
    right = getattr(originet_ext, name)
    monkeypatch.setattr(originet_ext, name, lambda *args: right(*args) * (1 + 1e-3))
    with pytest.raises(RuntimeError, match=f"join {kind}: provider 'fused' is wrong"):
        bench.join_case(kind, 1024)


def test_join_jobs_cover_kinds_modes_and_sizes():
    listed = cases("join", threads=[1, 2])
    sizes = {"sum": range(8, 21, 2), "norm": range(10, 21, 2)}
    assert sorted((kind, options["mode"], size) for kind, size, options, _ in listed) == sorted(
        (kind, mode, 1 << exponent)
        for kind, mode in itertools.product(bench.JOINS, bench.JOIN_MODES)
        for exponent in sizes[kind]
    )
    assert {threads for *_, threads in listed} == {2}
