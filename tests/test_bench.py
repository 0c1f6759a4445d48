import dataclasses
import subprocess

import pytest
import torch
from torch import nn

import originet_ext
from originet import bench, timing
from originet.errors import InputError

NAMES = ("fused", "eager", "reference", "silu")


def make_row(**changes):
    row = timing.Row(
        benchmark="rrelu",
        provider="fused",
        mode="forward",
        device="cpu",
        device_name="a processor",
        dtype="float32",
        shape="1024",
        layout="contiguous",
        threads=2,
        median_us=2.0,
        q20_us=1.5,
        q80_us=2.5,
        bytes=8192,
        gbps=4.096,
        copy_ratio=0.5,
        torch="2.13.0",
        cuda="",
        originet="0.1.0",
        commit="abc",
        date="2026-01-01",
    )
    return dataclasses.replace(row, **changes)


@pytest.mark.parametrize("mode", bench.MODES)
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
    assert clone.copy_ratio == 1


def test_time_case_takes_providers_in_turn():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    case = timing.Case("x", "forward", torch.device("cpu"), torch.float32, (1,), "", 8, calls)
    bench.time_case(case, budget=0)
    runs = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert runs == ["a", "b"] * (len(runs) // 2)
    assert len(runs) >= 2 * 5, "at least five rounds after the warm-up"


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


def test_compiled_graph_can_be_walked_more_than_once():
    case = bench.rrelu_case((64,), mode="backward", providers=bench.rrelu_providers(["compile"]))
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
    monkeypatch.setattr(bench, "_CHECKED", 10)

    def wrong_at_the_end(x):
        return bench.eager_rrelu(x) + (torch.arange(len(x)) == 999)

    with pytest.raises(RuntimeError, match="values"):
        bench.rrelu_case((1000,), providers={"bad": wrong_at_the_end})


@pytest.mark.parametrize("method", originet_ext.METHODS)
def test_active_image_providers_agree(method):
    for shape in ((7, 12, 9), (5, 8, 6, 3), (2, 4, 4)):
        case = bench.active_image_case(shape, method=method)
        assert set(case.calls) == {"fused", "eager", "opencv", "numpy", "read"}


def test_active_image_case_refuses_a_wrong_kernel():
    with pytest.raises(RuntimeError, match="active image 'absolute': provider 'bad'"):
        bench.active_image_case(
            (4, 8, 8),
            providers={"bad": lambda frames: originet_ext.active_image(frames, method="rectified")},
        )


def test_active_image_case_counts_bytes_that_must_move():
    assert bench.active_image_case((9, 10, 10), method="absolute").bytes == 900 + 400
    assert bench.active_image_case((9, 10, 10), method="paper").bytes == 300 + 400


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bench.rrelu_case((4,), mode="sideways"), "mode .* 'sideways'"),
        (lambda: bench.rrelu_case((4,), layout="rows"), "layout .* 'rows'"),
        (lambda: bench.rrelu_case((4,), layout="channels_last"), r"4-d shape, got \[4\]"),
        (lambda: bench.rrelu_providers(["mish"]), "provider .* 'mish'"),
        (lambda: bench.active_image_case((4, 8, 8), method="sum"), "method .* 'sum'"),
        (lambda: bench.active_image_case((1, 8, 8)), r"shape .* \[1, 8, 8\]"),
        (lambda: bench.saved_bytes(torch.detach, torch.ones(3)), "no gradient"),
    ],
)
def test_bad_arguments_are_named(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_fused_psi_keeps_its_input_alone_for_backward():
    x = torch.randn(1000)
    assert bench.saved_bytes(originet_ext.fused_rrelu, x) == x.nbytes
    # sigmoid(x), x itself and 1 + leaky_relu(x)
    assert bench.saved_bytes(bench.eager_rrelu, x) == 3 * x.nbytes


def test_bench_functions_report_progress_and_cover_their_cases(monkeypatch):
    monkeypatch.setattr(bench, "time_case", lambda case, budget: [case])
    seen = []
    cases = bench.bench_rrelu(
        device="cpu", quick=True, progress=lambda done, total: seen.append((done, total))
    )
    assert [case.mode for case in cases] == [*bench.MODES] * 3
    assert seen == [(i, 9) for i in range(1, 10)]
    seen.clear()
    bench.bench_active_image(
        device="cpu", quick=True, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]


def test_write_csv_replaces_rows_of_the_same_key_and_keeps_the_others(tmp_path):
    path = tmp_path / "results" / "rows.csv"
    first, other = make_row(), make_row(provider="eager", median_us=9.0)
    bench.write_csv(path, [first, other])
    assert bench.read_csv(path) == [first, other]
    newer = make_row(median_us=1.0, torch="2.14.0", commit="def", date="2026-02-02")
    elsewhere = make_row(device_name="another processor")
    bench.write_csv(path, [newer, elsewhere])
    assert bench.read_csv(path) == [newer, other, elsewhere]
    assert [p.name for p in path.parent.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ""])
def test_write_csv_refuses_and_spares_a_file_that_is_no_bench_table(tmp_path, text):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.csv: not a bench table"):
        bench.write_csv(path, [make_row()])
    assert path.read_text() == text


def test_read_csv_names_the_line_that_cannot_be_read(tmp_path):
    path = tmp_path / "rows.csv"
    bench.write_csv(path, [make_row(), make_row(provider="eager")])
    path.write_text(path.read_text().replace("eager", "eager,extra", 1))
    with pytest.raises(InputError, match=r"rows\.csv: line 3"):
        bench.read_csv(path)


def test_commit_is_empty_outside_a_repository(monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "__file__", str(tmp_path / "timing.py"))
    assert timing._commit.__wrapped__() == ""


def test_commit_is_not_that_of_a_repository_around_an_installed_copy(monkeypatch, tmp_path):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    copy = tmp_path / "timing.py"
    copy.touch()
    monkeypatch.setattr(timing, "__file__", str(copy))
    assert timing._commit.__wrapped__() == ""
    subprocess.run(["git", "add", "timing.py"], cwd=tmp_path, check=True)
    assert timing._commit.__wrapped__().endswith("-dirty")
