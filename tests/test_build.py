"""The compiled library, and what the build says when it cannot do what it was asked for."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

import originet_ext
from originet_ext import build_info

ROOT = Path(__file__).parents[1]
LIBRARY = originet_ext._library.LIBRARY
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
needs_binutils = pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf")


def build(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the build as far as it goes; the compilers are replaced by one that fails at once."""
    return subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "build_ext"),
            *("--build-temp", str(tmp_path / "temp"), "--build-lib", str(tmp_path / "lib")),
        ],
        cwd=ROOT,
        env=os.environ | {"CXX": "false", "MAX_JOBS": "1"} | environment,
        text=True,
        capture_output=True,
        check=False,
    )


def fake_torch(tmp_path: Path, version: str, cuda: str | None, hip: str | None = None) -> str:
    """A PYTHONPATH on which `torch` is a package of that version, to be looked at, not imported."""
    package = tmp_path / "path" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "version.py").write_text(
        f"__version__ = '{version}'\ncuda: str | None = {cuda!r}\nhip: str | None = {hip!r}\n"
    )
    return str(package.parent)


def test_build_info_says_what_was_built():
    info = build_info()
    assert re.match(r"(yes|no) because ", info["cuda_decision"])
    assert bool(info["cuda_archs"]) == info["cuda_decision"].startswith("yes")
    assert re.match(r"2\.\d+\.\d+", info["torch_headers"])
    assert info["version"] == importlib.metadata.version("originet")
    assert info["cpu_dispatch_level"]


def test_libraries_say_nothing_of_where_they_were_built():
    # As __FILE__ in messages would. Debuggers have to know, so debug builds may.
    libraries = [*LIBRARY.parent.glob("*.so")]
    assert LIBRARY in libraries
    headers = Path(torch.__file__).parent / "include"
    for library in libraries:
        code = library.read_bytes()
        if b".debug_info" in code:
            pytest.skip("a debug build")
        for place in (ROOT, headers, sysconfig.get_path("include")):
            assert str(place).encode() not in code, (library.name, place)


@needs_binutils
def test_library_needs_libtorch_so():
    # Without it the weak CUDA symbol stays null in a CUDA torch, and every CUDA call would fail.
    needed = subprocess.check_output(["readelf", "-d", LIBRARY], text=True)
    assert "[libtorch.so]" in needed
    assert "libcudart" not in needed


@needs_binutils
def test_the_symbols_that_may_be_missing_are_weak_and_no_unstable_torch_symbol_is_used():
    symbols = subprocess.check_output(["nm", "-D", "--undefined-only", LIBRARY], text=True)
    weak = re.findall(r" w (\S*torch\S*)", symbols)
    strong = re.findall(r" U (\S*)", symbols)
    cuda = bool(build_info()["cuda_archs"])
    expected = ["aoti_torch_get_current_cuda_stream"] if cuda else []
    assert sorted(weak) == [*expected, "torch_exception_get_what_without_backtrace"]
    assert [name for name in strong if re.search(r"_ZNK?(2at|3c10|5torch)", name)] == []


@pytest.mark.slow
@pytest.mark.parametrize("directory", [ROOT, Path("/")])
def test_import_works_from_the_source_tree_and_elsewhere(directory):
    code = "import originet_ext, torch; print(float(originet_ext.fused_rrelu(torch.zeros(1))))"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=directory, text=True)
    assert printed == "0.5\n"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["originet_ext", "originet"])
def test_import_brings_in_nothing_slow(package):
    slow = {"torch._dynamo", "torch.onnx", "sklearn", "scipy", "matplotlib", "ray", "tensorboard"}
    code = f"import torch, sys; torchs = set(sys.modules); import {package}; "
    code += f"print(*({slow} & (set(sys.modules) - torchs)))"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.split() == []


@pytest.mark.slow
def test_source_tree_without_library_uses_the_installed_one(tmp_path):
    shutil.copytree(
        ROOT / "originet_ext",
        tmp_path / "originet_ext",
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )
    left_by_a_build = tmp_path / "originet.egg-info"
    left_by_a_build.mkdir()
    (left_by_a_build / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: originet\nVersion: 0\n")
    (left_by_a_build / "SOURCES.txt").write_text("setup.py\n")
    code = "import originet_ext; print(originet_ext._library.LIBRARY)"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert Path(printed.strip()).resolve() == LIBRARY.resolve()


def test_originet_cuda_must_be_known(tmp_path):
    result = build(tmp_path, ORIGINET_CUDA="yes")
    assert result.returncode != 0
    assert "ORIGINET_CUDA must be auto, 0 or 1, got 'yes'" in result.stderr


@pytest.mark.slow
def test_asking_for_cuda_without_nvcc_is_an_error(tmp_path):
    result = build(tmp_path, ORIGINET_CUDA="1", CUDA_HOME=str(tmp_path))
    assert result.returncode != 0
    expected = f"ORIGINET_CUDA=1, but nvcc was not found (PATH, CUDA_HOME={tmp_path})"
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_without_nvcc_the_decision_is_no(tmp_path):
    result = build(tmp_path, ORIGINET_CUDA="auto", CUDA_HOME=str(tmp_path))
    assert "originet: CUDA kernels: no because nvcc was not found" in result.stderr
    assert "the compiler failed" in result.stderr  # ours is `false`


def test_cuda_can_be_refused(tmp_path):
    result = build(tmp_path, ORIGINET_CUDA="0")
    assert "originet: CUDA kernels: no because ORIGINET_CUDA=0" in result.stderr


@pytest.mark.slow
def test_the_autograd_library_is_built_where_it_fits_torch(tmp_path):
    unknown = "not built because it is written for torch 2.11 to 2.14, not for 2.99.0"
    for version, wish, decision in (
        ("2.13.0", "auto", "built with torch 2.13.0"),
        ("2.13.0", "python", "not built because ORIGINET_AUTOGRAD=python"),
        ("2.99.0", "auto", unknown),
        ("2.99.0", "cpp", "built with torch 2.99.0"),
    ):
        path = fake_torch(tmp_path / wish / version, version, None)
        result = build(tmp_path, ORIGINET_CUDA="0", ORIGINET_AUTOGRAD=wish, PYTHONPATH=path)
        assert f"originet: C++ autograd: {decision}\n" in result.stderr
    result = build(tmp_path, ORIGINET_CUDA="0", ORIGINET_AUTOGRAD="rust")
    assert "ORIGINET_AUTOGRAD must be auto, cpp or python, got 'rust'" in result.stderr


@pytest.mark.slow
def test_a_torch_for_rocm_gets_no_cuda_kernels_and_is_told(tmp_path):
    path = fake_torch(tmp_path, "2.13.0+rocm7.0", None, hip="7.0.51831")
    why = "torch is built for ROCm (HIP 7.0.51831), for which there are no kernels"
    done = build(tmp_path, PYTHONPATH=path, ORIGINET_CUDA="auto")
    assert f"CUDA kernels: no because {why}" in done.stderr
    done = build(tmp_path, PYTHONPATH=path, ORIGINET_CUDA="1")
    assert f"originet build error: ORIGINET_CUDA=1, but {why}" in done.stderr


@pytest.mark.slow
@needs_nvcc
def test_nvcc_of_another_major_version_is_named(tmp_path):
    path = fake_torch(tmp_path, "2.13.0+cu88", "8.8")
    result = build(tmp_path, ORIGINET_CUDA="1", PYTHONPATH=path)
    assert result.returncode != 0
    assert re.search(r"but nvcc \d+\.\d+ .* and torch's CUDA 8\.8 differ", result.stderr)
    result = build(tmp_path, ORIGINET_CUDA="auto", PYTHONPATH=path)
    assert "CUDA kernels: no because nvcc" in result.stderr


@pytest.mark.slow
@needs_nvcc
def test_unknown_architectures_are_named(tmp_path):
    for archs, message in (
        ("9.0;hopper", "'hopper' is not of the form"),
        ("1.3", "does not know '1.3'"),
    ):
        result = build(tmp_path, ORIGINET_CUDA="1", TORCH_CUDA_ARCH_LIST=archs)
        assert result.returncode != 0
        assert message in result.stderr


def test_backend_asks_for_torch_only_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "build_tools")
    import backend

    assert backend.get_requires_for_build_wheel() == []
    monkeypatch.setattr(backend, "find_torch", lambda: None)
    assert backend.get_requires_for_build_wheel() == [backend.BUILD_TORCH]


def test_backend_passes_over_a_torch_that_is_too_old(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "build_tools")
    import backend

    def searched(version):
        path = Path(fake_torch(tmp_path / version, version, None))
        monkeypatch.setattr(backend, "candidates", lambda: [path / "torch"])
        return backend.find_torch()

    assert searched("2.10.1") is None
    assert searched("2.11.0") is not None


def fake_nvcc(tmp_path: Path) -> Path:
    """A CUDA_HOME whose nvcc knows some architectures and compiles nothing."""
    nvcc = tmp_path / "cuda" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    known = " ".join(f"sm_{arch}" for arch in (75, 80, 86, 89, 90, 100, 120))
    nvcc.write_text(
        f'#!/bin/sh\necho "Cuda compilation tools, release 13.0"\necho {known} | tr " " "\\n"\n'
        'case " $* " in *" -c "*) exit 1;; esac\n'
    )
    nvcc.chmod(0o755)
    return nvcc.parents[1]


@pytest.mark.slow
def test_architectures_whose_ptx_is_the_same_share_it(tmp_path):
    home = fake_nvcc(tmp_path)
    for archs, expected in (
        ("", "75:sm_75 80:sm_80,sm_86 90:sm_90 100:sm_100,sm_120,compute_100"),
        ("8.6;8.9", "86:sm_86,sm_89"),
        ("7.5;9.0;12.0+PTX", "75:sm_75 90:sm_90 120:sm_120,compute_120"),
        ("8.6+PTX;8.0+PTX", "80:sm_86,compute_80,sm_80"),
    ):
        wish = {"CUDA_HOME": str(home), "TORCH_CUDA_ARCH_LIST": archs}
        build(tmp_path, ORIGINET_CUDA="1", **wish)
        written = (tmp_path / "temp" / "build.ninja").read_text().replace("$\n", "")
        found = re.findall(r"-gencode=arch=compute_(\d+),code=\[(\S+)\]", written)
        assert " ".join(f"{first}:{codes}" for first, codes in found) == expected


def test_no_code_tells_apart_architectures_that_share_ptx(monkeypatch):
    text = (ROOT / "setup.py").read_text()
    families = re.search(r"^PTX_FAMILIES = \((.*)\)$", text, re.MULTILINE)[1]
    families = [re.findall(r"[\d.]+", family) for family in re.findall(r"\(.*?\)", families)]
    assert [len(family) for family in families] == [4, 5]
    bounds = set()
    for path in sorted((ROOT / "csrc").glob("*")):
        if path.is_file():
            bounds |= set(re.findall(r"__CUDA_ARCH__ *([<>=!]=?) *(\d+)", path.read_text()))
    assert bounds
    for compare, bound in bounds:
        for family in families:
            answers = {
                eval(f"{int(arch.replace('.', '')) * 10} {compare} {bound}") for arch in family
            }
            assert len(answers) == 1, (compare, bound, family)


@pytest.mark.slow
def test_a_compiler_cache_stands_before_both_compilers(tmp_path):
    cache = tmp_path / "bin" / "ccache"
    cache.parent.mkdir()
    cache.write_text("#!/bin/sh\nexit 1\n")
    cache.chmod(0o755)
    common = {
        "PATH": f"{cache.parent}{os.pathsep}{os.environ['PATH']}",
        "CUDA_HOME": str(fake_nvcc(tmp_path)),
        "ORIGINET_CUDA": "1",
    }
    for wish in (
        {"CXX": "ccache false"},
        {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CMAKE_CUDA_COMPILER_LAUNCHER": "ccache"},
    ):
        result = build(tmp_path, **common, **wish)
        written = (tmp_path / "temp" / "build.ninja").read_text()
        assert re.findall(r"^(?:cuda)?launcher = (\w+)$", written, re.MULTILINE) == ["ccache"] * 2
        assert "cxx = false\n" in written and "$cudalauncher $nvcc" in written
        # A line for each file that is done, and how many there are.
        assert re.search(r"^originet: \[1/\d+, [\d.]+s\] \w+\.cu\.o$", result.stdout, re.MULTILINE)


def test_a_missing_compiler_is_named(tmp_path):
    result = build(tmp_path, CXX="g++-0 -m64")
    assert result.stderr.splitlines()[-1] == (
        "originet build error: g++-0 was not found; install it, or name another compiler by CXX"
    )


@pytest.mark.slow
@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_systems_other_than_linux_are_refused_in_one_line(tmp_path, system):
    # setuptools is imported first, because it picks its compiler by the system.
    code = "import runpy, sys, setuptools.command.build_ext; sys.argv = ['setup.py', '-q', "
    code += f"'build_ext', '--build-temp', {str(tmp_path)!r}, '--build-lib', {str(tmp_path)!r}]; "
    code += f"sys.platform = {system!r}; runpy.run_path('setup.py')"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("originet build error: the kernels are built on Linux only")
    assert f"this is {system}" in line
