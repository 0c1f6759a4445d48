#!/usr/bin/env python3
"""Says on which Linux a wheel runs: python3 build_tools/audit.py WHEEL.

The exit code is 1 if that is a newer one than the wheel's name says. Needs auditwheel, which of
itself would also ask for torch's libraries inside the wheel.
"""

import sys
from pathlib import Path

from auditwheel.wheel_abi import analyze_wheel_abi

TORCH = frozenset({"libtorch.so", "libtorch_cpu.so", "libtorch_python.so", "libc10.so"})


def main(wheel: Path) -> int:
    """Prints the policy, as auditwheel calls it, and what stands in the way of an older one."""
    found = analyze_wheel_abi(
        None, None, wheel, TORCH, disable_isa_ext_check=True, allow_graft=False
    )
    policy = found.overall_policy.name
    named = wheel.stem.split("-")[-1]
    print(f"auditwheel: {policy}")
    for library, versions in sorted(found.versioned_symbols.items()):
        print(f"  {library}: {', '.join(sorted(versions))}")
    release = [int(name.split("_")[2]) for name in (policy, named) if name.startswith("manylinux_")]
    return 0 if len(release) == 2 and release[0] <= release[1] else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
