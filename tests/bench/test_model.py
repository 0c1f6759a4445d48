"""The benchmark of OrigiNet: training and inference, by each activation."""

import functools

import pytest
import torch

import originet_ext
from originet import bench


@pytest.mark.slow
def test_model_case_trains_every_provider_from_the_same_weights():
    names = ["fused", "eager", "silu"]
    case = bench.model_case(1, layout="channels_last", providers=names)
    assert case.shape == (1, 3, 128, 128) and case.bytes == 0
    assert case.saved["fused"] < case.saved["eager"]
    # Stage 1 gives 16 channels of 64 x 64 images; each branch's float32 values are kept.
    assert case.saved["fused"] > 2 * (16 * 64 * 64 * 4)
    rows = bench.time_case(case, budget=0)
    assert [row.provider for row in rows] == names, "a clone has no meaning here"
    assert [row.saved_bytes for row in rows] == [case.saved[name] for name in names]
    assert {(row.bytes, row.gbps, row.copy_ratio) for row in rows} == {(0, 0, 0)}


def test_model_case_infers_without_gradients():
    case = bench.model_case(1, mode="inference", providers=["fused", "eager"])
    logits = {name: call() for name, call in case.calls.items()}
    torch.testing.assert_close(logits["fused"], logits["eager"], rtol=1e-3, atol=1e-4)
    assert not logits["fused"].requires_grad and not case.saved


@pytest.mark.parametrize("mode", bench.MODEL_MODES)
def test_model_case_refuses_a_wrong_activation(monkeypatch, mode):
    wrong = functools.partial(originet_ext.FusedRReLU, alpha=0.2)
    monkeypatch.setattr(bench.model, "FusedRReLU", wrong)
    with pytest.raises(RuntimeError, match=f"OrigiNet {mode}: .* provider 'fused' is wrong"):
        bench.model_case(2, mode=mode, providers=["fused"])
