"""More than one GPU, and more than one stream: where the kernels run."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from originet_ext import (
    active_image,
    fused_rrelu,
    fused_rrelu_add,
    fused_rrelu_add_norm,
    sliding_active_images,
)

pytestmark = pytest.mark.needs_cuda

Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "psi": fused_rrelu,
    "sum": lambda x: fused_rrelu_add(x, x.flip(0)),
    "normalised sum": lambda x: fused_rrelu_add_norm(x, x.flip(0), None, None),
    "active image": lambda x: active_image(x, method="rank"),
    "motion": lambda x: active_image(x, method="absolute", normalize="minmax"),
    "windows": lambda x: sliding_active_images(x, 4, 2),
}


@pytest.fixture(params=FUNCTIONS)
def function(request: pytest.FixtureRequest) -> Function:
    return FUNCTIONS[request.param]


@pytest.fixture
def two_gpus() -> None:
    if torch.cuda.device_count() == 1:
        pytest.skip("one GPU; needs two")


@pytest.mark.usefixtures("two_gpus")
def test_tensors_of_another_device_than_the_current_one(function):
    x = torch.randn(8, 16, 16)
    y = function(x.to("cuda:1"))
    assert torch.cuda.current_device() == 0
    assert y.device == torch.device("cuda:1")
    torch.testing.assert_close(y.cpu(), function(x), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("two_gpus")
def test_tensors_of_two_devices_are_refused():
    a, b = torch.randn(8, 16, device="cuda:0"), torch.randn(8, 16, device="cuda:1")
    for call in (fused_rrelu_add, lambda a, b: fused_rrelu_add_norm(a, b, None, None)):
        with pytest.raises(ValueError, match="same device, got cuda:0 and cuda:1"):
            call(a, b)
    with pytest.raises(TypeError, match="on cuda:1"):
        active_image([a.expand(4, 8, 16), b.expand(4, 8, 16)])


def test_kernels_run_in_torchs_current_stream(function):
    """Each stream's work follows what it was given before, and waits for nothing of the other's."""
    x = torch.randn(8, 64, 64)
    streams = [torch.cuda.Stream() for _ in range(2)]
    results = []
    for k, stream in enumerate(streams):
        with torch.cuda.stream(stream):
            moved = x.to("cuda", non_blocking=True)
            torch.cuda._sleep(10_000_000)  # so that a kernel in another stream would run before
            results.append(function(moved.add_(k)))
    torch.cuda.synchronize()
    for k, result in enumerate(results):
        torch.testing.assert_close(result.cpu(), function(x + k), rtol=1e-4, atol=1e-5)
