"""Diagnoses what is installed, what works on this machine, and why the rest does not."""

import platform
import re
from dataclasses import dataclass

import cv2
import torch

import originet_ext
from originet.clips import faces
from originet.system.words import counted

TOLERANCE = 1e-5  # of float32 psi on -4..4


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    name: str
    text: str
    ok: bool | None = None
    """Whether it works; None if there is nothing to test."""


def diagnose() -> list[Finding]:
    """Examines Python, torch, the kernels, CUDA and OpenCV.

    Returns:
        The findings, in the order in which they build on each other. Only broken parts have
        `ok=False`; a missing GPU is not a fault.
    """
    info = originet_ext.build_info()
    flavour = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU-only build"
    findings = [
        Finding("Python", f"{platform.python_version()} on {platform.platform()}"),
        Finding(
            "torch",
            f"{torch.__version__} ({flavour}, {counted(torch.get_num_threads(), 'thread')})",
        ),
        Finding(
            "originet",
            f"{info['version']}, built by g++ {info['compiler']} for torch >= 2.11 with the "
            f"headers of {info['torch_headers']}",
        ),
        _cpu_kernels(info["cpu_dispatch_level"]),
        Finding("autograd", info["autograd"]),
        Finding("CUDA kernels inside", info["cuda_decision"]),
    ]
    if info["cuda_archs"]:
        findings.append(
            Finding("CUDA architectures", f"{info['cuda_archs']} (nvcc {info['nvcc']})")
        )
    usable, reason = cuda_usable()
    broken = torch.cuda.is_available() and not usable
    findings.append(
        Finding("CUDA usable", f"{'yes' if usable else 'no'}: {reason}", False if broken else None)
    )
    try:
        cascade, found = str(faces.cascade_path()), True
    except FileNotFoundError as error:
        cascade, found = str(error), False
    findings.append(Finding("OpenCV", cv2.__version__))
    findings.append(Finding("face cascade", cascade, found))
    return findings


def cuda_usable() -> tuple[bool, str]:
    """Returns whether the CUDA kernels run on this machine, and the reason."""
    info = originet_ext.build_info()
    if not info["cuda_archs"]:
        return False, f"the package was built without CUDA kernels ({info['cuda_decision']})"
    if torch.version.cuda is None:
        return False, f"torch {torch.__version__} is a CPU-only build"
    if not info["cuda_symbols_resolved"]:
        return False, f"torch {torch.__version__} does not export the stream that the kernels need"
    if not torch.cuda.is_available():
        return False, "torch sees no GPU (no driver, no device, or CUDA_VISIBLE_DEVICES hides it)"
    device = torch.cuda.get_device_name()
    capability = torch.cuda.get_device_capability()
    if not _covered(capability, info["cuda_archs"]):
        return False, (
            f"{device} has compute capability {capability[0]}.{capability[1]}, but the kernels "
            f"were built for {info['cuda_archs']}; set TORCH_CUDA_ARCH_LIST and rebuild"
        )
    error = _test_error("cuda")
    if not error < TOLERANCE:
        return False, f"a test kernel on {device} was off by {error:.3g}"
    return True, f"a test kernel ran on {device}"


def _covered(capability: tuple[int, int], archs: str) -> bool:
    """Returns whether an architecture list covers a device.

    Machine code runs on its own major version, from its minor version up. PTX runs on anything
    newer.
    """
    for arch in archs.split(";"):
        match = re.fullmatch(r"(\d+)\.(\d+)[af]?(\+PTX)?", arch)
        assert match is not None, arch
        built = (int(match.group(1)), int(match.group(2)))
        if built <= capability and (match.group(3) or built[0] == capability[0]):
            return True
    return False


def _cpu_kernels(level: str) -> Finding:
    error = _test_error("cpu")
    return Finding("CPU kernels", f"{level}; a test was off by {error:.1g}", error < TOLERANCE)


def _test_error(device: str) -> float:
    x = torch.linspace(-4, 4, 33, device=device)
    difference = originet_ext.fused_rrelu(x) - originet_ext.reference.fused_rrelu(x)
    return float(difference.abs().max())
