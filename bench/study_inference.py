"""How fast OrigiNet answers on the CPU: the network, its folded copy, and the exported network.

    python bench/study_inference.py          # times into results/studies/inference.csv, draws
    python bench/study_inference.py --draw   # the table in docs, from the CSV
    python bench/study_inference.py --check  # exit code 1 if the table is not what the CSV gives

All providers get uint8 images of 128 x 128 pixels and give probabilities, in interleaved rounds.
The exported network has what the copy has: the fully connected layers as one map.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from originet.bench import summary
from originet.datasets.prepare import Settings
from originet.deploy import runtimes
from originet.deploy.model import Model
from originet.system.clock import Call, Case, time_case
from originet.system.files import write_atomically
from originet.system.timings import MARK_NOTE, Row, marked, read_csv, write_csv
from originet.training.model import OrigiNet
from originet.training.predict import probabilities_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "studies" / "inference.csv"
DOCS = ROOT / "docs" / "models.md"

SIZE, BATCHES = 128, (1, 32)
VARIANTS = ("paper", "authors")
PROVIDERS = {"network": "network", "folded": "folded copy", "openvino": "OpenVINO float32"}
TOLERANCE = 1e-5  # of a probability


def main(
    draw: Annotated[bool, typer.Option("--draw", help="Time nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of all providers.")] = 2,
    budget: Annotated[float, typer.Option(help="Seconds for a case.")] = 4.0,
) -> None:
    if not (draw or check):
        torch.set_num_threads(threads)
        for variant in VARIANTS:
            write_csv(RESULTS, measure(variant, threads, budget))
    text = DOCS.read_text(encoding="utf-8")
    wanted = summary.replace_block(text, table_of(read_csv(RESULTS)), "inference")
    if not check:
        write_atomically(DOCS, wanted.encode())
    elif text != wanted:
        print(f"{DOCS} is not what {RESULTS} gives: python bench/study_inference.py --draw")
        raise typer.Exit(1)


def measure(variant: str, threads: int, budget: float) -> list[Row]:
    """Times one variant; its answers are checked first."""
    torch.manual_seed(0)
    network = OrigiNet(4, image_size=SIZE, variant=variant)
    with torch.no_grad():
        network(torch.randn(8, 3, SIZE, SIZE))  # moves the running statistics
    network.eval().to(memory_format=torch.channels_last)
    model = Model(tuple("abcd"), Settings(("cumulative",), SIZE), None, (network,), {})
    if model.folded != (True,):
        raise RuntimeError("the network is not folded")
    exported = runtimes.load("openvino", runtimes.to_openvino(runtimes.to_onnx(model)), threads)
    rows = []
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE), dtype=np.uint8)
        calls = _calls(model, network, exported, images)
        expected = calls["network"]()
        for name, call in calls.items():
            if (off := np.abs(call() - expected).max()) > TOLERANCE:
                raise RuntimeError(f"{name} differs by {off:.1e}")
        case = Case(
            f"inference_{variant}",
            "inference",
            torch.device("cpu"),
            torch.uint8,
            images.shape,
            "contiguous",
            0,
            calls,
        )
        rows += time_case(case, budget=budget)
    return rows


def _calls(
    model: Model, network: OrigiNet, exported: runtimes.Answer, images: np.ndarray
) -> dict[str, Call]:
    return {
        "network": lambda: probabilities_of(network, torch.tensor(images)).numpy(),
        "folded": lambda: model.probabilities(images),
        "openvino": lambda: exported(images),
    }


def table_of(rows: Sequence[Row]) -> str:
    """Writes the medians as a table, in Markdown."""
    first = rows[0]
    heads = [*PROVIDERS.values(), "copy / network", "copy / OpenVINO"]
    lines = [["variant", "threads", "images", *heads], ["---", *["---:"] * (2 + len(heads))]]
    for case in dict.fromkeys(row.case for row in rows):
        found = {row.provider: row for row in rows if row.case == case}
        network, folded, openvino = (found[name] for name in PROVIDERS)
        times = [
            marked(f"{row.median_us / 1000:.2f} ms", row) for row in (network, folded, openvino)
        ]
        ratios = [
            marked(f"{folded.median_us / other.median_us:.2f}", folded, other)
            for other in (network, openvino)
        ]
        images = folded.shape.partition("x")[0]
        lines.append([f"`{folded.variant}`", str(folded.threads), images, *times, *ratios])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    made = f"{first.device_name}, torch {first.torch}, commit {first.commit}, {first.date}."
    notes = [f"Medians of interleaved rounds. {made}"]
    if not all(row.reliable for row in rows):
        notes.append(MARK_NOTE)
    return table + "\n\n" + " ".join(notes)


if __name__ == "__main__":
    typer.run(main)
