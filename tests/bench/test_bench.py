"""What the benchmarks have in common: their jobs, their arguments and the files of their rows."""

import pytest
import torch
from benches import CPU, cases, timed

from originet import bench
from originet.system.errors import InputError


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


def test_rows_are_filed_by_subject(tmp_path):
    rows = timed(
        bench.active_image_case((4, 8, 8), method="rank"),
        bench.ragged_case(2, size=4),
        bench.windows_case(20, 5, size=4, method="rank-simple"),
        bench.stream_case((4, 8, 8), method="telescoped"),
    )
    names = {
        *(("active_image", "rank"), ("ragged", "absolute")),
        *(("windows", "rank-simple"), ("stream", "telescoped")),
    }
    assert {(row.subject, row.variant) for row in rows} == names
    bench.write_results(tmp_path, rows)
    assert {path.stem for path in tmp_path.iterdir()} == {subject for subject, _ in names}
    assert sorted(bench.read_results(tmp_path), key=str) == sorted(rows, key=str)
