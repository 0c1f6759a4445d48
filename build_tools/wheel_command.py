"""The setuptools command that packs the wheel: its tag, and the list of what is inside."""

import json
import os
import time
from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel


def bill_of_materials(version: str, torch: list[str], cuda: str, compiler: str) -> dict:
    """Lists what is compiled into the libraries, in CycloneDX 1.6.

    Args:
        version: of originet.
        torch: the versions of torch whose headers were used.
        cuda: the version of nvcc, whose runtime is linked statically; "" for none.
        compiler: the C++ compiler, as it names itself in one line.
    """
    parts = [
        {
            "type": "library",
            "name": "torch",
            "version": release,
            "purl": f"pkg:pypi/torch@{release.split('+')[0]}",
            "description": "inline functions of its headers; its libraries are not inside",
            "licenses": [{"license": {"id": "BSD-3-Clause"}}],
        }
        for release in torch
    ]
    parts.append(
        {
            "type": "library",
            "name": "libstdc++",
            "version": compiler,
            "description": "templates of the C++ library's headers; the library is not inside",
            "licenses": [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}],
        }
    )
    if cuda:
        parts.append(
            {
                "type": "library",
                "name": "cudart_static",
                "version": cuda,
                "description": "NVIDIA's CUDA runtime, linked statically",
                "licenses": [{"license": {"name": "NVIDIA CUDA Toolkit EULA"}}],
            }
        )
    reference = f"pkg:pypi/originet@{version}"
    own = {
        "type": "library",
        "bom-ref": reference,
        "name": "originet",
        "version": version,
        "purl": reference,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    when = {}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        when["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch)))
    for part in parts:
        part["bom-ref"] = f"{part['name']}@{part['version']}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {**when, "component": own},
        "components": parts,
        "dependencies": [
            {"ref": reference, "dependsOn": [part["bom-ref"] for part in parts]},
            *({"ref": part["bom-ref"]} for part in parts),
        ],
    }


class Wheel(bdist_wheel):
    """Packs a wheel for every Python 3; ORIGINET_PLATFORM names the platform that it serves."""

    def get_tag(self) -> tuple[str, str, str]:
        """Names Python, ABI and platform."""
        # No library inside depends on the version of Python (setup.py); pyproject.toml says 3.10.
        return "py3", "none", os.environ.get("ORIGINET_PLATFORM") or super().get_tag()[2]

    def write_wheelfile(self, wheelfile_base: str, *arguments: str) -> None:
        """Adds the bill of materials, too, where PEP 770 wants it."""
        super().write_wheelfile(wheelfile_base, *arguments)
        inside = getattr(self.get_finalized_command("build_ext"), "inside", None)
        if inside is None:  # an editable install, which packs nothing
            return
        folder = Path(wheelfile_base) / "sboms"
        folder.mkdir(exist_ok=True)
        bill = bill_of_materials(self.distribution.get_version(), **inside)
        (folder / "originet.cdx.json").write_text(json.dumps(bill, indent=2) + "\n")
