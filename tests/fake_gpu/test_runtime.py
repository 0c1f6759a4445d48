"""The device that is not there, by what torch does on it."""

import pytest
import torch
from counts import counted

FLOATS = torch.arange(12.0).reshape(3, 4)
ONE_COPY = {"to_device": 1, "pageable": 1, "synchronisations": 1}


@pytest.fixture
def stream():
    """A stream whose capture is ended, whatever happens."""
    with torch.cuda.stream(torch.cuda.Stream()) as _:
        yield torch.cuda.current_stream()
        if torch.cuda.is_current_stream_capturing():
            pytest.fail("the test left its capture open")


def capture(work, *, graph=None):
    graph = graph or torch.cuda.CUDAGraph()
    graph.capture_begin()
    try:
        work()
    finally:
        graph.capture_end()
    return graph


def test_torchs_ops_compute_on_the_memory_of_the_device():
    x = FLOATS.cuda()
    y = x.t().mul(2).add_(1)
    x.zero_()
    assert y.is_cuda and torch.equal(y.cpu(), FLOATS.t() * 2 + 1)
    assert x.sum().item() == 0


def test_gradients_are_those_of_the_cpu():
    layers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    x = torch.randn(2, 1, 5, 5)
    found = []
    for device in ("cpu", "cuda"):
        layers.to(device).zero_grad()
        layers(x.to(device)).square().sum().backward()
        found.append([parameter.grad.cpu().clone() for parameter in layers.parameters()])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_fresh_memory_is_no_number():
    torch.cuda.empty_cache()
    assert torch.empty(1 << 22, device="cuda").isnan().all()


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda x: FLOATS.cuda(), ONE_COPY),
        (lambda x: FLOATS.double().to("cuda", torch.float32), ONE_COPY),
        (lambda x: x[torch.tensor([0, 2])], ONE_COPY | {"torch_ops": 1}),
        (lambda x: x.cpu(), {"to_host": 1, "pageable": 1, "synchronisations": 1}),
        (lambda x: x.t().cpu(), {"to_host": 1, "pageable": 1, "synchronisations": 1}),
        (lambda x: x.add_(1), {"torch_ops": 1}),
        (lambda x: x[x.new_zeros((2,), dtype=torch.int64)], {"torch_ops": 2}),
        (lambda x: x[x > 3], {"torch_ops": 2, "synchronisations": 1}),
        (lambda x: x.nonzero(), {"torch_ops": 1, "synchronisations": 1}),
        (lambda x: torch.cuda.synchronize(), {"synchronisations": 1}),
    ],
)
def test_copies_and_waits_are_counted(work, expected):
    x = FLOATS.cuda()
    work(x)  # memory that torch keeps
    assert counted(lambda: work(x)) == expected


def test_reading_a_number_waits():
    x = FLOATS.cuda()
    assert counted(lambda: x[0, 0].item())["synchronisations"] == 1


def test_pinned_memory_is_copied_without_waiting():
    pinned, x = FLOATS.pin_memory(), FLOATS.cuda()
    assert counted(lambda: x.copy_(pinned, non_blocking=True)) == {"to_device": 1}


def test_a_graph_runs_later_on_what_is_then_in_memory(stream):
    x = FLOATS.cuda()
    y = torch.zeros_like(x)
    work = lambda: y.copy_(x * 2)  # noqa: E731
    work()
    y.zero_()
    graph = torch.cuda.CUDAGraph()
    assert counted(lambda: capture(work, graph=graph))["captures"] == 1
    assert y.sum().item() == 0
    x.add_(1)
    assert counted(graph.replay)["graph_launches"] == 1
    assert torch.equal(y.cpu(), (FLOATS + 1) * 2)


def test_waiting_breaks_a_capture(stream):
    x = FLOATS.cuda()
    float(x.sum())
    with pytest.raises(RuntimeError, match="previous error during capture"):
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin()
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            float(x.sum())
        with pytest.raises(RuntimeError, match="previous error during capture"):
            x.add_(1)
        graph.capture_end()
    assert torch.equal((x + 1).cpu(), FLOATS + 1)


def test_a_capture_waits_for_nothing_outside_of_it(stream):
    other = torch.cuda.Stream()
    outside = other.record_event()
    graph = torch.cuda.CUDAGraph()
    graph.capture_begin()
    with pytest.raises(RuntimeError, match="uncaptured work in another stream"):
        torch.cuda.current_stream().wait_event(outside)
    with pytest.raises(RuntimeError):
        graph.capture_end()


def test_a_fork_has_to_join_before_the_capture_ends(stream):
    x, other = FLOATS.cuda(), torch.cuda.Stream()
    joined, apart = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    for graph, joins in ((joined, True), (apart, False)):
        graph.capture_begin()
        other.wait_stream(stream)
        with torch.cuda.stream(other):
            x.add_(1)
        if joins:
            stream.wait_stream(other)
            graph.capture_end()
        else:
            with pytest.raises(RuntimeError, match="unjoined work"):
                graph.capture_end()
    joined.replay()
    assert torch.equal(x.cpu(), FLOATS + 1)


def test_devices_are_apart():
    if torch.cuda.device_count() == 1:
        pytest.skip("one device: FAKE_GPU_DEVICES=2 makes two")
    x, y = FLOATS.to("cuda:0"), FLOATS.to("cuda:1")
    assert torch.equal((y + 1).cpu(), FLOATS + 1)
    assert torch.equal(x.to("cuda:1") + y, y * 2)
    with pytest.raises(RuntimeError, match="same device"):
        x + FLOATS


def test_memory_of_the_cpu_is_refused():
    with pytest.raises(RuntimeError, match="same device"):
        FLOATS.cuda() + FLOATS
