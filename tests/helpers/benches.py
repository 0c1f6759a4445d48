"""Rows of benchmarks that the tests make up, or time on small cases; and the jobs' arguments."""

import dataclasses

import torch

import originet_ext
from originet import bench
from originet.system import timings

CPU = torch.device("cpu")


def make_row(**changes):
    row = timings.Row(
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
        saved_bytes=0,
        peak_bytes=0,
        l2_bytes=1 << 20,
        l3_bytes=1 << 25,
        torch="2.13.0",
        cuda="",
        originet="0.1.0",
        commit="abc",
        date="2026-01-01",
    )
    return dataclasses.replace(row, **changes)


def make_rows(fused=2.0, noise=1.05, **changes):
    """A case in which a clone takes 1, SiLU 2 and eager 8 microseconds."""
    times = {"fused": fused, "eager": 8.0, "silu": 2.0, "clone": 1.0}
    return [
        make_row(
            provider=name,
            median_us=time,
            q20_us=time / noise,
            q80_us=time * noise,
            copy_ratio=1 / time,
            **changes,
        )
        for name, time in times.items()
    ]


def disturbed(row, low=0.1, high=40.0):
    return dataclasses.replace(row, q20_us=low * row.median_us, q80_us=high * row.median_us)


def cases(subject, **options):
    """The arguments of the subject's cases, the providers' names first, and the threads."""
    return [
        (*job.prepare.args, job.prepare.keywords, job.threads)
        for job in bench.jobs(subject, CPU, **options)
    ]


def timed(*cases):
    rows = [row for case in cases for row in bench.time_case(case, budget=0)]
    # What a busy machine gives is marked, and these tests are about the rest.
    return [dataclasses.replace(r, q20_us=r.median_us, q80_us=r.median_us) for r in rows]


def wrong_method(frames):
    return originet_ext.active_image(frames, method="rectified")


def bench_row(**changed):
    columns = timings.Row.__dataclass_fields__
    values = {name: {int: 1, float: 2.0}.get(each.type, "x") for name, each in columns.items()}
    return timings.Row(**values | changed)
