"""The benchmark cases and the harness; what is made of the results is in test_bench_results."""

import dataclasses
import functools
import itertools
import os

import pytest
import torch
from torch import nn

import originet_ext
from originet import bench
from originet.system import clock
from originet.system.environment import cache_sizes
from originet.system.errors import InputError

CPU = torch.device("cpu")
NAMES = ("fused", "eager", "silu", "mish")


@pytest.mark.parametrize("mode", ["forward", "backward", "full"])
def test_time_case_gives_consistent_rows_for_each_provider_and_the_clone(mode):
    case = bench.rrelu_case((3, 1000), mode=mode, providers=bench.rrelu_providers(NAMES))
    rows = bench.time_case(case, budget=0.01)
    assert [row.provider for row in rows] == [*NAMES, "clone"]
    clone = rows[-1]
    for row in rows:
        assert 0 < row.q20_us <= row.median_us <= row.q80_us
        assert row.bytes == {"forward": 2, "backward": 3, "full": 5}[mode] * 3 * 1000 * 4
        assert row.gbps == pytest.approx(row.bytes / row.median_us / 1e3, rel=0.01)
        assert row.copy_ratio == pytest.approx(clone.median_us / row.median_us, rel=0.01)
        assert (row.shape, row.dtype, row.mode) == ("3x1000", "float32", mode)
        assert row.device_name and row.torch == torch.__version__
        assert row.threads == torch.get_num_threads()
        assert row.peak_bytes == row.saved_bytes == 0
        assert (row.l2_bytes, row.l3_bytes) == cache_sizes(torch.device("cpu"))
    assert clone.copy_ratio == 1


def test_time_case_takes_every_provider_once_a_round_in_changing_order(monkeypatch):
    rounds = []

    def sample(call, repeats):
        rounds.append(call())
        return 1.0  # a second, so that each call is timed once

    calls = {name: lambda name=name: name for name in "abcd"}
    case = clock.Case("x", "forward", torch.device("cpu"), torch.float32, (1,), "", 0, calls)
    monkeypatch.setattr(clock, "_clock", lambda case: sample)
    monkeypatch.setattr(clock, "_MIN_ROUNDS", 12)
    bench.time_case(case, budget=0)
    rounds = rounds[-12 * 4 :]  # without those that find out how often to repeat
    orders = ["".join(rounds[i : i + 4]) for i in range(0, len(rounds), 4)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len(set(orders)) > 6


class Machine:
    """A machine whose calls take as long as a script says, and whose threads wait as it says."""

    def __init__(self, monkeypatch, script, waits=0.0, threads=1):
        """Takes the seconds of provider "b", in turn; "a" always takes 1, of which it waits."""
        self.script, self.waits, self.threads = iter(script), waits, threads
        self.clock, self.waited = 0.0, 0
        monkeypatch.setattr(clock, "_clock", lambda case: self.sample)
        monkeypatch.setattr(clock, "_repeats", lambda call, case, sample: 1)
        monkeypatch.setattr(clock.time, "perf_counter", lambda: self.clock)
        monkeypatch.setattr(clock.waits, "thread_times", self.thread_times)

    def sample(self, call, repeats):
        seconds = 1.0 if call() == "a" else next(self.script)
        self.clock += seconds
        self.waited += seconds * self.waits
        return seconds

    def thread_times(self):
        ran, waited = int(self.clock * 1e9), int(self.waited * 1e9)
        return {str(name): (ran - waited, waited) for name in range(self.threads)}

    def time(self, once=False, budget=0):
        calls = {name: lambda name=name: name for name in "ab"}
        arguments = ("x", "forward", CPU, torch.float32, (1,), "", 0, calls)
        a, b = bench.time_case(clock.Case(*arguments, once=once), budget=budget)
        self.left = len(list(self.script))
        return a, b


# Three rounds an attempt.
QUIET, BUSY, WORSE = [2.0, 2.1, 1.9], [2.0, 84.0, 84.0], [2.0, 84.0, 200.0]


def test_a_case_whose_rounds_agree_is_timed_once(monkeypatch):
    machine = Machine(monkeypatch, QUIET + BUSY)
    a, b = machine.time()
    assert (a.median_us, b.median_us) == (1e6, 2e6) and a.reliable and b.reliable
    assert machine.left == 3


def test_a_case_whose_rounds_spread_is_timed_again(monkeypatch):
    machine = Machine(monkeypatch, BUSY + QUIET + BUSY)
    _, b = machine.time()
    assert (b.median_us, b.q80_us) == (2e6, 2.06e6) and b.reliable  # nothing of the busy attempt
    assert machine.left == 3


def test_a_machine_that_stays_busy_leaves_the_steadiest_attempt_unreliable(monkeypatch):
    machine = Machine(monkeypatch, WORSE + BUSY + WORSE + QUIET)
    a, b = machine.time()
    assert b.median_us == 84e6 and b.q80_us == 84e6 and not b.reliable
    assert a.reliable  # of which the case says nothing
    assert machine.left == 3


def test_rounds_that_agree_on_waiting_are_unreliable(monkeypatch):
    always = [42.0] * 9
    machine = Machine(monkeypatch, always, waits=0.9)
    a, b = machine.time()
    assert b.median_us == b.q80_us == 42e6 and b.q20_us == pytest.approx(4.2e6)
    assert not a.reliable and not b.reliable and machine.left == 0
    assert all(row.reliable for row in Machine(monkeypatch, always, waits=0.3).time())
    # More threads than cores wait for each other, on a quiet machine too.
    cores = len(os.sched_getaffinity(0))
    assert all(r.reliable for r in Machine(monkeypatch, always, 0.9, threads=cores + 1).time())
    assert not Machine(monkeypatch, always, 0.9, threads=cores).time()[1].reliable


def test_a_case_that_is_timed_once_is_not_repeated(monkeypatch):
    machine = Machine(monkeypatch, [2.0, 2.0], waits=0.9)
    _, b = machine.time(once=True)
    assert b.median_us == 2e6 and not b.reliable and machine.left == 1


def test_the_waits_are_those_of_the_system_where_it_counts_them(monkeypatch, tmp_path):
    before = clock.waits.thread_times()
    assert set(before) <= set(os.listdir("/proc/self/task"))
    assert clock.waits.waited(before, before, 1.0) == 0
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "schedstat").write_text("500 300 2\n")
    (tmp_path / "8").mkdir()  # a thread that has just ended
    monkeypatch.setattr(clock.waits, "_TASKS", tmp_path)
    assert clock.waits.thread_times() == {"7": (500, 300)}
    monkeypatch.setattr(clock.waits, "_TASKS", tmp_path / "none")
    assert clock.waits.thread_times() == {}
    assert clock.waits.waited({}, {}, 1.0) == 0


@pytest.mark.parametrize("dtype", bench.DTYPES, ids=str)
def test_rrelu_case_accepts_the_right_providers(dtype):
    case = bench.rrelu_case((257,), dtype=dtype, providers=bench.rrelu_providers(NAMES))
    assert case.calls["fused"]().dtype == dtype


def test_no_input_of_a_case_lies_on_the_kink(monkeypatch):
    # There eager psi has another slope; a 16-bit randn does give exact zeros.
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: torch.zeros(*shape))
    seen = []
    bench.rrelu_case((8,), providers={"fused": lambda x: seen.append(x) or x.sigmoid() * (1 + x)})
    assert all((x != 0).all() for x in seen) and seen


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_graph_can_be_walked_more_than_once(dtype):
    providers = bench.rrelu_providers(["compile"])
    case = bench.rrelu_case((64,), mode="backward", dtype=dtype, providers=providers)
    (first,), (second,) = case.calls["compile"](), case.calls["compile"]()
    assert torch.equal(first, second)


def test_rrelu_case_keeps_channels_last():
    case = bench.rrelu_case(
        (2, 3, 4, 5), layout="channels_last", providers=bench.rrelu_providers(["fused"])
    )
    assert case.calls["fused"]().is_contiguous(memory_format=torch.channels_last)


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return bench.eager_rrelu(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda x: bench.eager_rrelu(x, alpha=0.11), "values in torch.float32: provider 'bad'"),
        (lambda x: bench.eager_rrelu(x) * torch.nan, "values"),
        (lambda x: bench.eager_rrelu(x)[1:].sum(), "shape"),
        (nn.RReLU(), "values"),  # torch's RReLU is another function
        (WrongGradient.apply, "gradients"),
    ],
)
def test_rrelu_case_refuses_a_wrong_kernel(wrong, match):
    with pytest.raises(RuntimeError, match=match):
        bench.rrelu_case((1000,), providers={"bad": wrong})


def test_rrelu_case_checks_both_ends_of_a_large_tensor(monkeypatch):
    monkeypatch.setattr(bench.rrelu, "_CHECKED", 10)

    def wrong_at_the_end(x):
        return bench.eager_rrelu(x) + (torch.arange(len(x)) == 999)

    with pytest.raises(RuntimeError, match="values"):
        bench.rrelu_case((1000,), providers={"bad": wrong_at_the_end})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bench.rrelu_case((4,), mode="sideways"), "mode .* 'sideways'"),
        (lambda: bench.rrelu_case((4,), layout="rows"), "layout .* 'rows'"),
        (lambda: bench.rrelu_case((4,), layout="channels_last"), r"4-d shape, got \[4\]"),
        (lambda: bench.rrelu_case((4,), mode="launch"), "launch needs a GPU"),
        (lambda: bench.rrelu_providers(["rrelu"]), "provider .* 'rrelu'"),
        (lambda: bench.model_case(1, mode="test"), "mode .* 'test'"),
        (lambda: bench.model_case(1, layout="rows"), "layout .* 'rows'"),
        (lambda: bench.model_case(1, providers=["mish"]), "provider .* 'mish'"),
        (lambda: bench.compiled_case("pool", 4096), "context .* 'pool'"),
        (lambda: bench.compiled_case("alone", 4096, mode="full"), "mode .* 'full'"),
        (lambda: bench.compiled_case("alone", 4095), "elements .* 4095"),
        (lambda: bench.join_case("product", 1024), "kind .* 'product'"),
        (lambda: bench.join_case("sum", 4, mode="train"), "mode .* 'train'"),
        (lambda: bench.join_case("norm", 1000), "elements .* 1000"),
        (lambda: bench.join_case("sum", 0), "elements .* 0"),
        (lambda: bench.jobs("psi", CPU), "subject .* 'psi'"),
        (lambda: bench.jobs("rrelu", CPU, threads=[2, 0]), "threads .* 2, 0"),
        (lambda: bench.dtype("int8"), "dtype .* 'int8'"),
        (lambda: bench.saved_bytes(lambda: torch.ones(3)), "no gradient"),
    ],
)
def test_bad_arguments_are_named(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_fused_psi_keeps_its_input_alone_for_backward():
    x = torch.randn(1000, requires_grad=True)
    assert bench.saved_bytes(lambda: originet_ext.fused_rrelu(x)) == x.nbytes
    assert bench.saved_bytes(lambda: originet_ext.fused_rrelu(x), exclude=[x]) == 0
    # sigmoid(x), x itself and 1 + leaky_relu(x)
    assert bench.saved_bytes(lambda: bench.eager_rrelu(x)) == 3 * x.nbytes


@pytest.mark.slow
def test_model_case_trains_every_provider_from_the_same_weights():
    names = ["fused", "eager", "silu"]
    case = bench.model_case(1, layout="channels_last", providers=names)
    assert case.shape == (1, 3, 128, 128) and case.bytes == 0
    assert case.saved["fused"] < case.saved["eager"]
    # Stage 1 gives 16 channels of 64 x 64 images; each branch's float32 values are kept.
    assert case.saved["fused"] > 2 * (16 * 64 * 64 * 4)
    rows = bench.time_case(case, budget=0)
    assert [row.provider for row in rows] == names, "a clone has no meaning here"
    assert [row.saved_bytes for row in rows] == [case.saved[name] for name in names]
    assert {(row.bytes, row.gbps, row.copy_ratio) for row in rows} == {(0, 0, 0)}


def test_model_case_infers_without_gradients():
    case = bench.model_case(1, mode="inference", providers=["fused", "eager"])
    logits = {name: call() for name, call in case.calls.items()}
    torch.testing.assert_close(logits["fused"], logits["eager"], rtol=1e-3, atol=1e-4)
    assert not logits["fused"].requires_grad and not case.saved


@pytest.mark.parametrize("mode", bench.MODEL_MODES)
def test_model_case_refuses_a_wrong_activation(monkeypatch, mode):
    wrong = functools.partial(originet_ext.FusedRReLU, alpha=0.2)
    monkeypatch.setattr(bench.model, "FusedRReLU", wrong)
    with pytest.raises(RuntimeError, match=f"OrigiNet {mode}: .* provider 'fused' is wrong"):
        bench.model_case(2, mode=mode, providers=["fused"])


@pytest.mark.parametrize("kind", bench.JOINS)
def test_join_case_differentiates_by_both_branches(kind):
    case = bench.join_case(kind, 2048, mode="full")
    assert list(case.calls) == ["fused", "unfused", "eager", "silu"] and case.bytes == 0
    for name, call in case.calls.items():
        y, of_a, of_b = call()
        assert y.numel() == 2048 and not torch.equal(of_a, of_b), name
    forward = bench.join_case(kind, 2048)
    torch.testing.assert_close(forward.calls["fused"](), case.calls["fused"]()[0], rtol=0, atol=0)
    assert not torch.allclose(forward.calls["fused"](), forward.calls["silu"](), rtol=0.01)


@pytest.mark.parametrize(
    ("kind", "name"), [("sum", "fused_rrelu_add"), ("norm", "fused_rrelu_add_norm")]
)
def test_join_case_refuses_a_wrong_kernel(kind, name, monkeypatch):
    right = getattr(originet_ext, name)
    monkeypatch.setattr(originet_ext, name, lambda *args: right(*args) * (1 + 1e-3))
    with pytest.raises(RuntimeError, match=f"join {kind}: provider 'fused' is wrong"):
        bench.join_case(kind, 1024)


def test_join_jobs_cover_kinds_modes_and_sizes():
    listed = cases("join", threads=[1, 2])
    sizes = {"sum": range(8, 21, 2), "norm": range(10, 21, 2)}
    assert sorted((kind, options["mode"], size) for kind, size, options, _ in listed) == sorted(
        (kind, mode, 1 << exponent)
        for kind, mode in itertools.product(bench.JOINS, bench.JOIN_MODES)
        for exponent in sizes[kind]
    )
    assert {threads for *_, threads in listed} == {2}


@pytest.mark.slow
def test_compiled_case_trains_every_provider_in_16_bits():
    case = bench.compiled_case("chain", 4096, mode="train", dtype=torch.bfloat16)
    assert list(case.calls) == ["fused", "formula", "reference"] and case.bytes == 0
    for call in case.calls.values():
        y, of_x, of_weight, of_bias = call()
        assert y.dtype == of_x.dtype == torch.bfloat16 and y.shape == of_x.shape == case.shape
        assert of_weight.shape == of_bias.shape == (256,)


@pytest.mark.slow
def test_compiled_case_refuses_a_wrong_activation(monkeypatch):
    monkeypatch.setitem(bench.compiled._FUNCTIONS, "fused", torch.sigmoid)
    with pytest.raises(RuntimeError, match="alone forward: provider 'fused' is wrong"):
        bench.compiled_case("alone", 4096)


def test_compiled_jobs_cover_contexts_modes_dtypes_and_sizes():
    listed = cases("compiled", threads=[1, 2])
    contexts = itertools.product(bench.COMPILED_CONTEXTS, bench.COMPILED_MODES)
    sizes = [(torch.float32, 1 << exponent) for exponent in (12, 18, 22)]
    sizes += [(torch.bfloat16, 1 << 18), (torch.float16, 1 << 18)]
    assert {threads for *_, threads in listed} == {2}
    assert sorted(
        (context, options["mode"], str(options["dtype"]), size)
        for context, size, options, _ in listed
    ) == sorted((*kind, str(dtype), size) for kind in contexts for dtype, size in sizes)
    assert bench.jobs("compiled", CPU, quick=True) == []


def cases(subject, **options):
    """The arguments of the subject's cases, the providers' names first, and the threads."""
    return [
        (*job.prepare.args, job.prepare.keywords, job.threads)
        for job in bench.jobs(subject, CPU, **options)
    ]


def test_psi_jobs_cover_sizes_dtypes_modes_and_threads():
    listed = cases("rrelu", threads=[2, 1])
    assert [threads for *_, threads in listed] == sorted(threads for *_, threads in listed)
    sizes = {(threads, dtype): set() for threads in (1, 2) for dtype in bench.DTYPES}
    for names, shape, options, threads in listed:
        size = torch.Size(shape).numel() * options["dtype"].itemsize
        if options["layout"] == "contiguous":
            sizes[threads, options["dtype"]].add(size)
        assert names[:2] == ["fused", "eager"] or names[:2] == ("fused", "eager")
        compiled = size in {1 << e for e in (10, 16, 20, 24, 28)} or len(shape) == 4
        assert ("compile" in names) == (threads == 2 and compiled)
        assert {"silu", "mish"} <= set(names)
    for dtype in bench.DTYPES:
        assert sizes[2, dtype] == {1 << exponent for exponent in range(10, 29, 2)}
        largest = {1 << 28} if dtype == torch.float32 else set()
        assert sizes[1, dtype] == {1 << 10, 1 << 16, 1 << 20, 1 << 24} | largest
    kinds = {(options["dtype"], options["mode"]) for _, _, options, _ in listed}
    assert kinds == set(itertools.product(bench.DTYPES, ("forward", "backward", "full")))


@pytest.mark.parametrize("subject", bench.SUBJECTS)
def test_quick_jobs_are_among_the_full_ones(subject):
    def kinds(quick):
        # Without the providers' names, which are fewer.
        listed = cases(subject, threads=[1], quick=quick)
        for case in listed:
            case[-2].pop("providers", None)
        return [str([part for part in case if not are_names(part)]) for case in listed]

    def are_names(part):
        return isinstance(part, list | tuple) and all(isinstance(name, str) for name in part)

    assert set(kinds(True)) < set(kinds(False))


def test_run_jobs_sets_the_threads_reports_progress_and_puts_the_threads_back():
    before = torch.get_num_threads()
    jobs = bench.active_image.active_image_jobs(CPU, threads=[1, before + 1], quick=True)
    jobs = [dataclasses.replace(job, budget=0) for job in jobs[::2]]  # the small clip
    seen = []
    rows = bench.run_jobs(jobs, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert {row.threads for row in rows} == {1, before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.needs_cuda
def test_launch_latency_and_peak_memory_on_a_gpu():
    case = bench.rrelu_case(
        (256,), mode="launch", device="cuda", providers=bench.rrelu_providers(["fused"])
    )
    for row in bench.time_case(case, budget=0.05):
        assert 0 < row.median_us < 1000 and row.threads == 0
        assert row.peak_bytes >= 1024 and row.l2_bytes > 0
