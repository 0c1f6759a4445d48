"""Devices, the command line, and the one place where a missing GPU or `--slow` skips a test."""

import importlib.metadata
import os
import random
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import films
import pytest
import torch

_versions = {d.version for d in importlib.metadata.distributions(name="torchvision")}
if torch.version.cuda is None and any("+" not in version for version in _versions):
    # PyPI's torchvision is a CUDA build: in a CPU-only torch its ops do not load, and its import
    # fails for want of these two schemas, which nothing here calls.
    _torchvision = torch.library.Library("torchvision", "FRAGMENT")
    _torchvision.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _torchvision.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")
    parser.addoption(
        "--emulate-cuda",
        action="store_true",
        help="run what the tests have for CUDA devices, and nothing else, on CUDA kernels that are "
        "translated to C++: no GPU, but nvcc is needed",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--emulate-cuda"):
        import emulator

        try:
            folder = str(emulator.build())
        except emulator.EmulatorError as error:
            raise pytest.UsageError(str(error)) from None
        if "originet_ext" in sys.modules:
            raise pytest.UsageError("originet_ext was imported before the emulated one could be")
        sys.path.insert(0, folder)
        # The library in C++ of an installed package would call the psi kernels past the dispatcher.
        os.environ["ORIGINET_AUTOGRAD"] = "python"
        # Also for the processes that tests start.
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        os.environ.setdefault("PTX_SEED", str(random.randrange(10**6)))


def pytest_report_header(config: pytest.Config) -> list[str]:
    if config.getoption("--emulate-cuda"):
        return [
            f"emulated CUDA kernels, their threads and blocks in order {os.environ['PTX_SEED']}"
        ]
    return []


def _deselect(config: pytest.Config, items: list[pytest.Item], out: list[pytest.Item]) -> None:
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        _deselect(config, items, [item for item in items if "slow" in item.keywords])
    if not films.complete() and os.environ.get("FAIL_WITHOUT_LANDMARKS") != "1":
        told = f"{films.INSTALL} (FAIL_WITHOUT_LANDMARKS=1 makes this a failure)"
        for item in items:
            if "needs_landmarks" in item.keywords:
                item.add_marker(pytest.mark.skip(reason=told))
    if not config.getoption("--emulate-cuda"):
        _deselect(config, items, [item for item in items if "emulated" in item.keywords])
    reason = "no CUDA device (FAIL_WITHOUT_CUDA=1 makes this a failure)"
    without = items
    if config.getoption("--emulate-cuda"):
        emulated = ("needs_cuda", "emulated")
        _deselect(config, items, [i for i in items if not any(m in i.keywords for m in emulated)])
        # What has no device as a parameter asks for streams, graphs or the memory of a GPU.
        reason = "needs a GPU: its streams, graphs and memory are not emulated"
        without = [item for item in items if "device" not in _parameters(item)]
    elif torch.cuda.is_available() or os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        return
    for item in without:
        if "needs_cuda" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def device(request: pytest.FixtureRequest) -> str:
    # Emulated kernels work on the tensors of the CPU.
    return "cpu" if request.config.getoption("--emulate-cuda") else request.param


@pytest.fixture
def backend(device: str, request: pytest.FixtureRequest) -> str:
    """Whose kernels run, "cpu" or "cuda": emulated, those of CUDA run on tensors of the CPU."""
    return request.node.callspec.params["device"]


@pytest.fixture(params=["rrelu", "silu"])
def activation(request: pytest.FixtureRequest):
    """psi, and F.silu through the same test, which shows that the test is fair."""
    import activations  # only now, as --emulate-cuda decides which originet_ext it gets

    return {"rrelu": activations.PSI, "silu": activations.SILU}[request.param]


@pytest.fixture(autouse=True)
def seeded_rng():
    """Every test starts from the same random state and leaves the global one as it was."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.random.set_rng_state(state)


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    """Each test has the whole of Dynamo's limit of recompilations, whatever ran before it."""
    yield
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs `originet ...` in this process; returns (exit code, stdout, stderr)."""
    from originet import cli  # here, since the kernels' tests run without the packages it needs

    # What the command line sets for a process of its own is put back at the end.
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["originet", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capfd.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and on a busy machine wait for them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def file_limit():
    """Lets no file become larger than so many bytes for a while, as on a full disk."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
