"""How fast OrigiNet answers on the CPU: the network, its folded copy, and the exported network.

    python bench/study_inference.py          # times into results/studies/inference.csv, draws
    python bench/study_inference.py --draw   # the table in docs, from the CSV
    python bench/study_inference.py --check  # exit code 1 if the table is not what the CSV gives

All providers get uint8 images of 128 x 128 pixels and give probabilities, in interleaved rounds.
The exported network has what the copy has: the fully connected layers as one map. Times are
processor time of one thread: unlike wall-clock time, they leave out other programs' work.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import typer
from study_rows import ROOT, STUDIES, put_table, read_rows, write_rows

from originet.bench.summary import markdown
from originet.datasets.prepare import Settings
from originet.deploy import runtimes
from originet.deploy.model import Model
from originet.system.environment import environment
from originet.training.model import OrigiNet
from originet.training.predict import probabilities_of

RESULTS = STUDIES / "inference.csv"
COMMAND = "python bench/study_inference.py"
DOCS = ROOT / "docs" / "models.md"

SIZE = 128
ROUNDS = {1: (60, 5), 32: (15, 1)}  # rounds, and calls in each, by images in a call
VARIANTS = ("paper", "authors")
PROVIDERS = {"network": "network", "folded": "folded copy", "openvino": "OpenVINO float32"}
TOLERANCE = 1e-5  # of a probability


@dataclass(frozen=True)
class Row:
    """One provider in one case."""

    variant: str
    images: int
    """In a call."""
    provider: str
    median_ms: float
    q20_ms: float
    q80_ms: float
    device_name: str
    torch: str
    commit: str
    date: str


def main(
    draw: Annotated[bool, typer.Option("--draw", help="Time nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
) -> None:
    if not (draw or check):
        torch.set_num_threads(1)
        write_rows(RESULTS, [row for variant in VARIANTS for row in measure(variant)])
    table = table_of(read_rows(RESULTS, Row))
    put_table(DOCS, "inference", table, check=check, command=f"{COMMAND} --draw")


def measure(variant: str) -> list[Row]:
    """Times one variant; its answers are checked first."""
    torch.manual_seed(0)
    network = OrigiNet(4, image_size=SIZE, variant=variant)
    with torch.no_grad():
        network(torch.randn(8, 3, SIZE, SIZE))  # moves the running statistics
    network.eval().to(memory_format=torch.channels_last)
    model = Model(tuple("abcd"), Settings(("cumulative",), SIZE), None, (network,), {})
    if model.folded != (True,):
        raise RuntimeError("the network is not folded")
    exported = runtimes.load("openvino", runtimes.to_openvino(runtimes.to_onnx(model)), 1)
    told = environment(torch.device("cpu"))
    rows = []
    for batch in ROUNDS:
        images = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE), dtype=np.uint8)
        calls = _calls(model, network, exported, images)
        expected = calls["network"]()
        for name, call in calls.items():
            if (off := np.abs(call() - expected).max()) > TOLERANCE:
                raise RuntimeError(f"{name} differs by {off:.1e}")
        for name, seconds in processor_times(calls, *ROUNDS[batch]).items():
            q20, median, q80 = np.round(1000 * np.quantile(seconds, (0.2, 0.5, 0.8)), 3)
            rows.append(
                Row(
                    variant=variant,
                    images=batch,
                    provider=name,
                    median_ms=float(median),
                    q20_ms=float(q20),
                    q80_ms=float(q80),
                    device_name=told["device_name"],
                    torch=told["torch"],
                    commit=told["commit"],
                    date=told["date"],
                )
            )
    return rows


def processor_times(
    calls: dict[str, Callable[[], object]], rounds: int, repeats: int
) -> dict[str, list[float]]:
    """Times calls in interleaved rounds; returns seconds of the processor for one call."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()  # brings its weights into the cache
            before = time.process_time()
            for _ in range(repeats):
                call()
            times[name].append((time.process_time() - before) / repeats)
    return times


def _calls(
    model: Model, network: OrigiNet, exported: runtimes.Answer, images: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    return {
        "network": lambda: probabilities_of(network, torch.tensor(images)).numpy(),
        "folded": lambda: model.probabilities(images),
        "openvino": lambda: exported(images),
    }


def table_of(rows: Sequence[Row]) -> str:
    """Writes the medians as a table, in Markdown."""
    first = rows[0]
    ratio_heads = ("copy / network", "copy / OpenVINO")
    header = ["variant", "images", *PROVIDERS.values(), *ratio_heads]
    lines = []
    for variant, images in dict.fromkeys((row.variant, row.images) for row in rows):
        found = {
            row.provider: row.median_ms
            for row in rows
            if (row.variant, row.images) == (variant, images)
        }
        network, folded, openvino = (found[name] for name in PROVIDERS)
        times = [f"{time:.2f} ms" for time in (network, folded, openvino)]
        ratios = [f"{folded / other:.2f}" for other in (network, openvino)]
        lines.append([f"`{variant}`", str(images), *times, *ratios])
    return (
        f"{markdown(header, lines)}\n\n"
        "Processor time of one thread, medians of interleaved rounds on a busy machine. "
        f"{first.device_name}, torch {first.torch}, commit {first.commit}, {first.date}."
    )


if __name__ == "__main__":
    typer.run(main)
