"""The bench harness: how a case is timed.

A `Case` holds one ready-made call per provider. `time_case` runs them in rounds, each call once per
round and in random order, so that drift on a shared machine affects them all alike. A clone of as
many bytes as the case moves runs among them. For a memory-bound kernel, the clone is the ceiling of
this machine at this moment. Like every provider, it pays for allocating its result.

Programs that compete for cores do not affect all calls alike: a kernel with two threads waits at
every call for the thread without a core; a kernel with one thread may not. Then the rounds spread,
or the threads have waited (`originet.system.waits`), which counts as spread. Such a case is timed
again, up to three times. Every table marks the rows that still spread (`Row.reliable`).

On the CPU the clock is the wall clock. Repeated calls find their data in whatever cache holds it,
unless the case cycles through several inputs. On a GPU, CUDA events bracket single calls, and L2 is
filled with other data before each. There, mode "launch" measures how long the host takes to issue a
call, without waiting for the result.
"""

import functools
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from originet.system import waits
from originet.system.environment import cache_sizes, environment
from originet.system.errors import InputError
from originet.system.timings import STEADY, Row, spread

Call = Callable[[], object]
Function = Callable[[Tensor], Tensor]

_MIN_ROUNDS, _MAX_ROUNDS = 3, 200  # only slow calls get few rounds, and a slow call is an average
_ATTEMPTS = 3  # to find the machine quiet
_CPU_SAMPLE_SECONDS = 1e-3  # far above the clock's resolution
_LAUNCHES = 100  # in a row: a tenth of what a stream queues before the host has to wait


@dataclass(frozen=True)
class Case:
    """One benchmark in one mode, dtype and shape, with one call per provider.

    `bytes` is 0 if the case is not memory-bound; then no clone is timed. A case may bring its own
    call "clone", as the last one, if cloning the same bytes again and again would not be the
    ceiling. `saved` holds the saved bytes by provider, where they were measured (see `Row`). `once`
    is for calls that take minutes: each provider is called once, without warm-up.
    """

    benchmark: str
    mode: str
    device: torch.device
    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: str
    bytes: int
    calls: Mapping[str, Call]
    saved: Mapping[str, int] = field(default_factory=dict)
    once: bool = False

    def synchronous(self, provider: str) -> Call:
        """Return a provider's call that blocks until the work is done, for a clock on the host."""
        call = self.calls[provider]
        if self.device.type == "cpu":
            return call

        def call_and_wait() -> None:
            call()
            torch.cuda.synchronize(self.device)

        return call_and_wait


@dataclass(frozen=True)
class Job:
    """A case that is prepared only when its turn comes: the device holds one large case at a time.

    `threads` is 0 for a GPU; `budget` is passed to `time_case`.
    """

    prepare: Callable[[], Case]
    threads: int
    budget: float


def run_jobs(
    jobs: Sequence[Job],
    progress: Callable[[int, int], None] | None = None,
    save: Callable[[list[Row]], None] | None = None,
) -> list[Row]:
    """Prepare and time jobs one after the other.

    Args:
        jobs: From `originet.bench.jobs`.
        progress: Called as progress(done, total) after each job.
        save: Called with the rows of each job, so that an interrupted run keeps its results.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    rows: list[Row] = []
    try:
        # NumPy's BLAS has its own threads. They keep spinning for a while and take cores from the
        # next provider.
        with threadpool_limits(1, user_api="blas"):
            for done, job in enumerate(jobs, start=1):
                if job.threads:
                    torch.set_num_threads(job.threads)
                    cv2.setNumThreads(job.threads)
                timed = time_case(job.prepare(), budget=job.budget)
                rows += timed
                if save is not None:
                    save(timed)
                if progress is not None:
                    progress(done, len(jobs))
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    return rows


def time_case(case: Case, *, budget: float = 1.0) -> list[Row]:
    """Time every provider of a case, and a clone of as many bytes, in interleaved rounds.

    Args:
        case: The calls to time. A missing "clone" is added unless `case.bytes` is 0.
        budget: Seconds to spend, roughly; up to three times as many if the rounds spread. At least
            three rounds are run, unless the case is timed once.

    Returns:
        One row per provider, the clone's last, from the attempt that spreads least.
    """
    on_gpu = case.device.type == "cuda"
    sample = _clock(case)
    calls = dict(case.calls)
    if case.bytes and "clone" not in calls:
        calls["clone"] = _clone(case.bytes, case.device)
    if case.once:
        peaks = dict.fromkeys(calls, 0)
        microseconds = {
            name: _quantiles([_take(case, sample, call, 1)]) for name, call in calls.items()
        }
    else:
        peaks = {name: _first_call(call, case.device) for name, call in calls.items()}
        microseconds = _time_steadily(case, calls, sample, budget)
    l2_bytes, l3_bytes = cache_sizes(case.device)
    return [
        Row(
            benchmark=case.benchmark,
            provider=name,
            mode=case.mode,
            device=case.device.type,
            dtype=str(case.dtype).removeprefix("torch."),
            shape="x".join(map(str, case.shape)),
            layout=case.layout,
            threads=0 if on_gpu else torch.get_num_threads(),
            median_us=round(median, 3),
            q20_us=round(q20, 3),
            q80_us=round(q80, 3),
            bytes=case.bytes,
            gbps=round(case.bytes / median / 1e3, 3),
            copy_ratio=round(microseconds["clone"][0] / median, 4) if case.bytes else 0.0,
            saved_bytes=case.saved.get(name, 0),
            peak_bytes=peaks[name],
            l2_bytes=l2_bytes,
            l3_bytes=l3_bytes,
            **environment(case.device),
        )
        for name, (median, q20, q80) in microseconds.items()
    ]


def _time_steadily(
    case: Case, calls: Mapping[str, Call], sample: Callable[[Call, int], float], budget: float
) -> dict[str, list[float]]:
    """Time a case again while its rounds spread; return the quantiles of the steadiest attempt."""
    order = random.Random(0)
    attempts: list[tuple[float, dict[str, list[float]]]] = []
    while len(attempts) < _ATTEMPTS and (not attempts or attempts[-1][0] > STEADY):
        repeats = {name: _repeats(call, case, sample) for name, call in calls.items()}
        samples: dict[str, list[_Sample]] = {name: [] for name in calls}
        started = time.perf_counter()
        for finished in range(_MAX_ROUNDS):
            if finished >= _MIN_ROUNDS and time.perf_counter() - started > budget:
                break
            # Each provider finds in the caches what the one before it left: vary the order.
            for name in order.sample(sorted(calls), len(calls)):
                samples[name].append(_take(case, sample, calls[name], repeats[name]))
        found = {name: _quantiles(taken) for name, taken in samples.items()}
        attempts.append((max(spread(*each) for each in found.values()), found))
    return min(attempts, key=lambda attempt: attempt[0])[1]


class _Sample(NamedTuple):
    """The seconds that a call took, and how many of them one of its threads waited for a core."""

    seconds: float
    waited: float


def _take(case: Case, sample: Callable[[Call, int], float], call: Call, repeats: int) -> _Sample:
    if case.device.type == "cuda":  # the GPU's clock does not wait for cores
        return _Sample(sample(call, repeats), 0.0)
    before = waits.thread_times()
    seconds = sample(call, repeats)
    waited = waits.waited(before, waits.thread_times(), seconds * repeats)
    return _Sample(seconds, waited / repeats)


def _quantiles(samples: Sequence[_Sample]) -> list[float]:
    """Return the median, the 20 % and the 80 % quantile in microseconds.

    The 20 % quantile is lowered to the median of the times without their waits, if that is less:
    without competing programs, the time would lie somewhere in between.
    """
    median, low, high = np.quantile([each.seconds for each in samples], (0.5, 0.2, 0.8))
    running = np.median([each.seconds - each.waited for each in samples])
    return [float(value) * 1e6 for value in (median, min(low, running), high)]


def saved_bytes(call: Callable[[], Tensor], exclude: Iterable[Tensor] = ()) -> int:
    """Return how many bytes autograd keeps for the backward pass of `call()`.

    Each distinct storage counts once; views count with their storage.

    Args:
        call: Returns a tensor that requires gradients.
        exclude: Tensors whose storages do not count, such as parameters.

    Raises:
        InputError: The result requires no gradient.
    """
    kept: list[Tensor] = []  # referenced, so that no address is reused

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = call()
    if not result.requires_grad:
        raise InputError("call: its result requires no gradient, so autograd saves nothing")
    storages = (tensor.untyped_storage() for tensor in kept)
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    for tensor in exclude:
        sizes.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(sizes.values())


def check_close(what: str, name: str, actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Raise RuntimeError unless a provider's result matches, within an absolute tolerance."""
    if actual.shape != expected.shape:
        shapes = f"shape {list(actual.shape)} instead of {list(expected.shape)}"
        raise RuntimeError(f"{what}: provider {name!r} is wrong: {shapes}")
    error = (actual.double() - expected.double()).abs().max().item()
    if not error <= tolerance:  # NaN is wrong too
        raise RuntimeError(f"{what}: provider {name!r} is wrong by {error:.3g} > {tolerance:.3g}")


def sampled(result: Tensor, count: int, sample: Sequence[int]) -> Tensor:
    """Return some of a result's `count` rows; all of it, to be checked, if its shape is wrong."""
    return result[sample] if result.shape[:1] == (count,) else result


def _clock(case: Case) -> Callable[[Call, int], float]:
    """Return the function that measures the seconds of one call, given (call, repeats)."""
    if case.device.type == "cpu":
        return _cpu_sample
    if case.mode == "launch":
        return functools.partial(_launch_sample, case.device)
    return _CudaClock(case.device)


def _first_call(call: Call, device: torch.device) -> int:
    """Call once, which may compile or load a kernel; on a GPU, call again to measure the peak."""
    call()
    if device.type == "cpu":
        return 0
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _repeats(call: Call, case: Case, sample: Callable[[Call, int], float]) -> int:
    if case.mode == "launch":
        return _LAUNCHES
    if case.device.type == "cuda":
        return 1  # a second call in a row would find its data in L2
    once = sample(call, 1)
    if once < _CPU_SAMPLE_SECONDS:
        once = min(once, sample(call, 1), sample(call, 1))
    return max(1, round(_CPU_SAMPLE_SECONDS / max(once, 1e-7)))


def _cpu_sample(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _launch_sample(device: torch.device, call: Call, repeats: int) -> float:
    torch.cuda.synchronize(device)  # the queue is empty when the clock starts
    return _cpu_sample(call, repeats)


class _CudaClock:
    """Measures GPU seconds per call, between two events, with other data in L2.

    That data is read, not written: the call would otherwise pay for writing it back to memory.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # At a few TB/s this takes a tenth of a millisecond. In that time the host queues the call
        # behind it, so that small cases do not pay for the host's launch time.
        size = max(1 << 28, 2 * torch.cuda.get_device_properties(device).L2_cache_size)
        self.others = torch.zeros(size // 4, device=device)
        self.sum = torch.zeros((), device=device)

    def __call__(self, call: Call, repeats: int) -> float:
        with torch.cuda.device(self.device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.sum(self.others, dim=0, out=self.sum)
            start.record()
            for _ in range(repeats):
                call()
            end.record()
            end.synchronize()
        return start.elapsed_time(end) * 1e-3 / repeats


def _clone(moved: int, device: torch.device) -> Call:
    # A clone of n bytes moves 2 n. Ones: untouched pages of zeros would share one physical page.
    return torch.ones(math.ceil(moved / 8), dtype=torch.float32, device=device).clone
