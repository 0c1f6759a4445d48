"""What works on a machine, and the reasons why the rest does not."""

import pytest
import torch

import originet_ext
from originet.cli import diagnosis


def test_doctor_says_in_which_language_derivatives_are():
    (finding,) = [f for f in diagnosis.diagnose() if f.name == "autograd"]
    assert finding.text == originet_ext.build_info()["autograd"]


def test_doctor_gives_the_reason_why_cuda_is_not_usable(monkeypatch):
    built = originet_ext.build_info() | {"cuda_archs": "7.5;9.0+PTX", "cuda_symbols_resolved": True}
    monkeypatch.setattr(originet_ext, "build_info", lambda: built)
    if torch.version.cuda is None:
        assert "is a CPU-only build" in diagnosis.cuda_usable()[1]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in diagnosis.cuda_usable()[1]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert "Old GPU has compute capability 6.1" in diagnosis.cuda_usable()[1]
    built["cuda_symbols_resolved"] = False
    assert "does not export the stream" in diagnosis.cuda_usable()[1]
    built["cuda_archs"] = ""
    assert "built without CUDA kernels" in diagnosis.cuda_usable()[1]


@pytest.mark.parametrize(
    ("capability", "archs", "covered"),
    [
        ((9, 0), "7.5;9.0", True),
        ((8, 9), "8.6;9.0", True),
        ((8, 0), "8.6;9.0", False),
        ((10, 3), "9.0", False),
        ((10, 3), "9.0+PTX", True),
        ((12, 1), "12.0+PTX", True),
    ],
)
def test_compute_capabilities_covered_by_an_arch_list(capability, archs, covered):
    assert diagnosis._covered(capability, archs) is covered
