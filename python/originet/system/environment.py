"""The machine, the versions and the commit that are recorded with every result."""

import datetime
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_CACHE_FACTS = ("level", "type", "size")  # the size as in "1024K"


def environment(device: torch.device) -> dict[str, str]:
    """Return the device's name, the versions, the commit and the date, by their names in `Row`."""
    return {
        "device_name": _device_name(device),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "",
        "originet": originet_version(),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


@functools.cache
def cache_sizes(device: torch.device) -> tuple[int, int]:
    """Return the bytes of L2 and L3 that one core, or the GPU, sees; 0 if unknown.

    The CPU's come from /sys on Linux.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size, 0
    sizes = {"2": 0, "3": 0}
    for index in _CACHES.glob("index*"):
        level, kind, size = ((index / name).read_text().strip() for name in _CACHE_FACTS)
        if level in sizes and kind != "Instruction":
            sizes[level] = int(size.removesuffix("K")) << 10
    return sizes["2"], sizes["3"]


def originet_version() -> str:
    """Return the installed version, or "not installed" if only the sources are on the path."""
    try:
        return importlib.metadata.version("originet")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@functools.cache
def _commit() -> str:
    """Return this checkout's commit, with "-dirty" if changed; "" if this file is not tracked."""
    folder = Path(__file__).parent
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        # An installed copy may be in a virtual environment inside some other repository.
        tracked = ["git", "ls-files", "--error-unmatch", Path(__file__).name]
        subprocess.run(tracked, cwd=folder, check=True, capture_output=True)
        answer = subprocess.run(describe, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
