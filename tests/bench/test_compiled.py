"""The benchmark of psi in compiled networks: its cases and its jobs."""

import itertools

import pytest
import torch
from benches import CPU, cases

from originet import bench


@pytest.mark.slow
def test_compiled_case_trains_every_provider_in_16_bits():
    case = bench.compiled_case("chain", 4096, mode="train", dtype=torch.bfloat16)
    assert list(case.calls) == ["fused", "formula", "reference"] and case.bytes == 0
    for call in case.calls.values():
        y, of_x, of_weight, of_bias = call()
        assert y.dtype == of_x.dtype == torch.bfloat16 and y.shape == of_x.shape == case.shape
        assert of_weight.shape == of_bias.shape == (256,)


@pytest.mark.slow
def test_compiled_case_refuses_a_wrong_activation(monkeypatch):
    monkeypatch.setitem(bench.compiled._FUNCTIONS, "fused", torch.sigmoid)
    with pytest.raises(RuntimeError, match="alone forward: provider 'fused' is wrong"):
        bench.compiled_case("alone", 4096)


def test_compiled_jobs_cover_contexts_modes_dtypes_and_sizes():
    listed = cases("compiled", threads=[1, 2])
    contexts = itertools.product(bench.COMPILED_CONTEXTS, bench.COMPILED_MODES)
    sizes = [(torch.float32, 1 << exponent) for exponent in (12, 18, 22)]
    sizes += [(torch.bfloat16, 1 << 18), (torch.float16, 1 << 18)]
    assert {threads for *_, threads in listed} == {2}
    assert sorted(
        (context, options["mode"], str(options["dtype"]), size)
        for context, size, options, _ in listed
    ) == sorted((*kind, str(dtype), size) for kind in contexts for dtype, size in sizes)
    assert bench.jobs("compiled", CPU, quick=True) == []
