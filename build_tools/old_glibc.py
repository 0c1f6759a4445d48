"""Links as on a system with glibc 2.28, whatever glibc this machine has.

Since glibc 2.29 many functions have two versions, as `pthread_create` of 2.2.5 and 2.34, and the
linker binds to the newer, which no older system has. The runtime of CUDA, linked statically, calls
some fifty of them. Stubs of the libraries that had these functions in 2.28 have the older versions
alone. The linker gets them first and so binds to those. They are not part of what is built.
"""

import re
import subprocess
from pathlib import Path

NEWEST = (2, 28)
SYMBOL = re.compile(r" (?:FUNC|IFUNC) .* (\w+)@(@?)GLIBC_([\d.]+)$", re.MULTILINE)
# Where functions that are in libc.so.6 today were in 2.28.
FORMER = {"dl": "libdl.so.2", "shm_": "librt.so.1", "pthread_": "libpthread.so.0"}
FORMER["sem_"] = FORMER["pthread_"]


def older_versions(symbols: str) -> dict[str, str]:
    """Finds functions whose default is newer than 2.28 but that have an older version too.

    Args:
        symbols: what `readelf -W --dyn-syms` prints of a library of glibc's.

    Returns:
        The newest version up to 2.28 by name of function.
    """
    older: dict[str, tuple[int, ...]] = {}
    newer = set()
    for name, default, text in SYMBOL.findall(symbols):
        version = tuple(map(int, text.split(".")))
        if version <= NEWEST and not default:
            older[name] = max(older.get(name, version), version)
        elif version > NEWEST and default:
            newer.add(name)
    return {name: ".".join(map(str, older[name])) for name in sorted(newer & older.keys())}


def make_stubs(folder: Path, cxx: list[str]) -> list[Path]:
    """Builds the stubs with the compiler that is going to link; returns their paths.

    The folder must hold nothing else: no program may run in it, since nvcc has its own programs
    look for libraries in the working directory.
    """
    folder.mkdir(exist_ok=True)
    libraries: dict[str, dict[str, str]] = {}
    for library in ("libc.so.6", "libm.so.6"):
        file = subprocess.check_output([*cxx, f"-print-file-name={library}"], text=True).strip()
        symbols = subprocess.check_output(["readelf", "-W", "--dyn-syms", file], text=True)
        for name, version in older_versions(symbols).items():
            former = [now for start, now in FORMER.items() if name.startswith(start)]
            home = library if library != "libc.so.6" else former[0] if former else None
            if home is not None:
                libraries.setdefault(home, {})[name] = version
    return [_stub(folder / name, cxx, versions) for name, versions in libraries.items()]


def _stub(file: Path, cxx: list[str], versions: dict[str, str]) -> Path:
    lines = [f'.globl {name}\n.type {name}, "function"\n{name}: .byte 0\n' for name in versions]
    source, script = file.with_suffix(".s"), file.with_suffix(".versions")
    source.write_text(".text\n" + "".join(lines))
    nodes = {}
    for name, version in versions.items():
        nodes.setdefault(version, []).append(name)
    script.write_text(
        "".join(f"GLIBC_{version} {{ {'; '.join(names)}; }};\n" for version, names in nodes.items())
    )
    options = ["-shared", "-nostdlib", f"-Wl,-soname,{file.name}", f"-Wl,--version-script={script}"]
    subprocess.run([*cxx, "-x", "assembler", str(source), *options, "-o", str(file)], check=True)
    return file
