"""What makes one wheel serve every Python, torch and Linux, and what is inside it."""

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import originet_ext
from originet_ext import build_info

ROOT = Path(__file__).parents[1]
LIBRARY = originet_ext._library.LIBRARY
AUTOGRAD = sorted(LIBRARY.parent.glob("_autograd_torch*.abi3.so"))
# Of PEP 600's manylinux_2_28: what that Linux has at most.
NEWEST = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)}
# In the stable ABI of Python 3.10, https://docs.python.org/3.10/c-api/stable.html.
STABLE = {
    "PyErr_Clear",
    "PyErr_Occurred",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyFloat_AsDouble",
    "PyFloat_Type",
    "PyLong_AsVoidPtr",
    "PyModule_Create2",
    "PyType_IsSubtype",
    "_Py_Dealloc",
    "_Py_NoneStruct",
}
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("readelf") is None, reason="needs Linux and binutils"
)


@pytest.fixture
def old_glibc(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "build_tools")
    import old_glibc

    return old_glibc


def symbols(library: Path, which: str) -> list[str]:
    command = ["nm", "-D", f"--{which}-only", str(library)]
    return [line.split()[-1] for line in subprocess.check_output(command, text=True).splitlines()]


def newer(library: Path) -> set[str]:
    """The symbols that the oldest Linux does not have."""
    found = set()
    for symbol in symbols(library, "undefined"):
        name, _, version = symbol.partition("@")
        match = re.fullmatch(r"@?(GLIBC|GLIBCXX|CXXABI)_([\d.]+)", version)
        if match and tuple(map(int, match[2].split("."))) > NEWEST[match[1]]:
            found.add(name)
    return found


def test_libraries_run_on_the_oldest_linux_that_torch_runs_on(old_glibc):
    libc = subprocess.check_output(["g++", "-print-file-name=libc.so.6"], text=True).strip()
    printed = subprocess.check_output(["readelf", "-W", "--dyn-syms", libc], text=True)
    # CUDA's runtime takes these from this machine's glibc, unless a wheel is built.
    replaced = set(old_glibc.older_versions(printed)) if build_info()["cuda_archs"] else set()
    for library in (LIBRARY, *AUTOGRAD):
        assert newer(library) <= replaced, library.name


def test_libraries_use_nothing_of_python_but_its_stable_abi():
    assert [name for name in symbols(LIBRARY, "undefined") if re.match("_?Py", name)] == []
    for library in AUTOGRAD:
        used = {name for name in symbols(library, "undefined") if re.match("_?Py", name)}
        assert used and used <= STABLE, library.name


def test_library_shows_only_its_own_functions():
    shown = symbols(LIBRARY, "defined")
    assert "originet_build_info" in shown
    assert [name for name in shown if not name.startswith("originet_")] == []


def test_functions_of_two_versions_are_found(old_glibc):
    printed = """\
   Num:    Value          Size Type    Bind   Vis      Ndx Name
    76: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 pthread_once@@GLIBC_2.34
    77: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 pthread_once@GLIBC_2.2.5
    78: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 sem_init@GLIBC_2.1
    79: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 sem_init@GLIBC_2.2.5
    80: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 sem_init@@GLIBC_2.34
    81: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 printf@@GLIBC_2.2.5
    82: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 stat@@GLIBC_2.33
    83: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 regexec@@GLIBC_2.3.4
    84: 0000000000088f20   183 FUNC    GLOBAL DEFAULT   15 regexec@GLIBC_2.2.5
"""
    assert old_glibc.older_versions(printed) == {"pthread_once": "2.2.5", "sem_init": "2.2.5"}


def test_what_is_linked_with_the_stubs_runs_and_needs_no_new_glibc(old_glibc, tmp_path):
    source = tmp_path / "twice.cpp"
    source.write_text(
        "#include <pthread.h>\n"
        "static void* twice(void* x) { *static_cast<int*>(x) *= 2; return nullptr; }\n"
        'extern "C" int run(int x) { pthread_t thread;\n'
        "  pthread_create(&thread, nullptr, twice, &x); pthread_join(thread, nullptr); return x; }"
    )
    library = tmp_path / "libtwice.so"
    stubs = map(str, old_glibc.make_stubs(tmp_path, ["g++"]))
    command = ["g++", "-shared", "-fPIC", source, "-Wl,--no-as-needed", *stubs, "-o", library]
    subprocess.run(command, check=True)
    assert newer(library) == set()
    assert "pthread_create" in {name.partition("@")[0] for name in symbols(library, "undefined")}
    assert ctypes.CDLL(str(library)).run(21) == 42


def unpack_sources(folder: Path) -> Path:
    folder.mkdir(parents=True)
    command = [sys.executable, "setup.py", "-q", "sdist", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return source


@pytest.mark.slow
def test_a_wheel_is_built_twice_to_the_same_bytes(tmp_path):
    """Without optimisation and with kernels alone, for time."""
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": "1700000000",
        "ORIGINET_PLATFORM": f"manylinux_2_28_{os.uname().machine}",
        "ORIGINET_CUDA": "0",
        "ORIGINET_AUTOGRAD": "python",
        "CXXFLAGS": "-O0",
    }
    built = []
    for folder in (tmp_path / "one", tmp_path / "another" / "folder"):
        source = unpack_sources(folder)
        command = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", folder]
        subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)
        built += folder.glob("*.whl")
    first, second = built
    assert first.name == f"originet-{build_info()['version']}-py3-none-" + (
        f"{environment['ORIGINET_PLATFORM']}.whl"
    )
    assert (
        hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    )
    with zipfile.ZipFile(first) as wheel:
        names = wheel.namelist()
        (bill,) = (name for name in names if name.endswith(".dist-info/sboms/originet.cdx.json"))
        listed = json.loads(wheel.read(bill))
        metadata = wheel.read(bill.replace("sboms/originet.cdx.json", "METADATA")).decode()
        wheel.extract("originet_ext/_C.so", tmp_path)
    assert [name for name in names if name.endswith(".so")] == ["originet_ext/_C.so"]
    assert {name.split("/", 2)[-1] for name in names if "/licenses/" in name} == {
        "LICENSE",
        "THIRD_PARTY.txt",
    }
    assert "Requires-Python: >=3.10" in metadata
    assert listed["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert [part["name"] for part in listed["components"]] == ["torch", "libstdc++"]
    assert newer(tmp_path / "originet_ext" / "_C.so") == set()


def test_the_bill_of_materials_lists_what_is_compiled_in(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "build_tools")
    from wheel_command import bill_of_materials

    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    bill = bill_of_materials("0.1.0", ["2.13.0+cpu", "2.11.0"], "13.0", "g++ 12")
    parts = {(part["name"], part["version"]) for part in bill["components"]}
    assert parts == {
        ("torch", "2.13.0+cpu"),
        ("torch", "2.11.0"),
        ("libstdc++", "g++ 12"),
        ("cudart_static", "13.0"),
    }
    references = {part["bom-ref"] for part in bill["components"]}
    assert len(references) == 4
    assert set(bill["dependencies"][0]["dependsOn"]) == references
    text = (ROOT / "THIRD_PARTY.txt").read_text()
    for name in ("PyTorch", "libstdc++", "cudart_static"):
        assert name in text


def test_what_builds_the_wheel_is_pinned_by_hash():
    requirements = (ROOT / "build_tools" / "requirements.txt").read_text()
    listed = set(re.findall(r"^([\w-]+)==", requirements, re.MULTILINE))
    asked = (ROOT / "build_tools" / "requirements.in").read_text().split()
    assert {re.split(r"\W", name)[0] for name in asked} <= listed
    assert len(re.findall("--hash=sha256:[0-9a-f]{64}", requirements)) >= len(listed)
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall('"([^"]+)"', re.search(r"^requires = \[(.*)\]", project, re.MULTILINE)[1])
    assert {re.split(r"\W", name)[0] for name in wanted} <= listed
