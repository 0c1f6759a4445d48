"""The report: one HTML file with everything inside it, to be opened anywhere, without a network.

Pictures are embedded, the style sheet is inline and there is no script. The page fits a phone (wide
tables scroll inside their own box), a dark screen and paper.
"""

import base64
import datetime
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

import originet_ext
from originet import metrics, plots, timing
from originet.files import write_atomically
from originet.protocol import LEAK, describe, is_leaky, protocol_label

if TYPE_CHECKING:
    from originet.loso import LosoResult

Cell = str | int | float

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #5f6368; --page: #fff; --line: #d5d8dc;
  --head: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --soft: #a4a8ad; --page: #17181a;
  --line: #3b3e42; --head: #232528; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 58rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; padding-bottom: 0.2rem;
  border-bottom: 1px solid var(--line); }
p { margin: 0.6rem 0; max-width: 46rem; }
figure { margin: 1.2rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: 0.9rem; margin: 0.3rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { background: var(--head); }
.number { text-align: right; white-space: nowrap; }
@media print { :root { --ink: #000; --soft: #444; --page: #fff; --line: #bbb; --head: #eee; }
  body { max-width: none; padding: 0; font-size: 10pt; } .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""

_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?( ?(±|to) ?[\d.]+)?( ?(%|x|µs|ms|s))?|-")


class Report:
    """A page that grows from top to bottom; all text is escaped.

    Example:
        >>> report = Report("Kernels")
        >>> report.section("Speed")
        >>> report.table(["provider", "time"], [["fused", "1.2 ms"]], "Medians.")
        >>> report.write("report.html")
    """

    def __init__(self, title: str) -> None:
        """Start a page.

        Args:
            title: The page's title and first heading.
        """
        self.title = title
        self._parts: list[str] = []

    def section(self, title: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(title)}</h2>")

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs."""
        self._parts += [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs]

    def figure(self, figure: Figure, caption: str, alt: str) -> None:
        """Add a figure, embedded as PNG.

        Args:
            figure: The figure.
            caption: Text below it.
            alt: What it shows, for those who do not see it.
        """
        data = base64.b64encode(plots.png(figure)).decode()
        self._parts.append(
            f'<figure><img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str = ""
    ) -> None:
        """Add a table; columns of numbers are aligned to the right.

        Args:
            header: Names of the columns.
            rows: Cells, as many in each row as there are names.
            caption: Text above it, if any.

        Raises:
            ValueError: A row has more or fewer cells than the header.
        """
        body = [[str(cell) for cell in row] for row in rows]
        wrong = [row for row in body if len(row) != len(header)]
        if wrong:
            raise ValueError(f"row must have {len(header)} cells, got {len(wrong[0])}: {wrong[0]}")
        classes = [
            ' class="number"' if body and all(map(_NUMBER.fullmatch, column)) else ""
            for column in (zip(*body, strict=True) if body else [()] * len(header))
        ]

        def line(tag: str, cells: Sequence[str]) -> str:
            pairs = zip(classes, cells, strict=True)
            return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in pairs)

        lines = "\n".join(f"<tr>{line('td', row)}</tr>" for row in body)
        self._parts.append(
            "<figure>"
            + (f"<figcaption>{escape(caption)}</figcaption>" if caption else "")
            + f'<div class="scroll"><table><thead><tr>{line("th", header)}</tr></thead>\n'
            f"<tbody>\n{lines}\n</tbody></table></div></figure>"
        )

    def html(self) -> str:
        """Return the whole page."""
        return "\n".join(
            (
                "<!DOCTYPE html>",
                '<html lang="en">',
                '<head><meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{_STYLE}</style></head>",
                f"<body><h1>{escape(self.title)}</h1>",
                *self._parts,
                "</body></html>\n",
            )
        )

    def write(self, path: str | Path) -> None:
        """Write the page, atomically.

        Raises:
            OSError: The file cannot be written there.
        """
        write_atomically(path, self.html().encode())


def loso_section(report: Report, result: "LosoResult") -> None:
    """Add the outcome of a leave-one-subject-out evaluation, with all that is needed to judge it.

    Args:
        report: Where to add it.
        result: The evaluation.
    """
    seeds = len(result.seeds)
    folds: dict[str, list[dict[str, Any]]] = {}  # by subject, one fold a seed
    for fold in result.folds:
        folds.setdefault(fold["subject"], []).append(fold)
    # Generated sets say so by their name.
    report.section(f"Leave-one-subject-out: {result.dataset}, {describe(result.config)}")
    if is_leaky(result.config.protocol):
        report.text(LEAK)
    if result.semi_synthetic:
        report.text(
            "Semi-synthetic clips are generated by warping still faces. Such figures show that a "
            "system learns what was put into them; they say nothing about real micro-expressions."
        )
    report.text(
        f"{len(result.clips)} clips of {len(folds)} subjects in {len(result.classes)} classes. "
        "Each clip was predicted by a network that had never seen its subject"
        + (f", once for each of {seeds} seeds." if seeds > 1 else ".")
    )
    names = {
        "pooled_accuracy": "accuracy, all clips pooled",
        "fold_accuracy": "accuracy, mean over subjects",
        "uf1": "UF1 (unweighted F1)",
        "uar": "UAR (unweighted average recall)",
    }
    spread = {key: result.metrics[f"{key}_std"] if seeds > 1 else None for key in names}
    level = f"{100 * metrics.LEVEL:.0f} %"
    report.table(
        ["measure", "result", f"{level} interval", "majority baseline"],
        [
            [
                *(name, _percent(result.metrics[key], spread[key])),
                "{:.1f} to {:.1f} %".format(*(100 * end for end in result.intervals[key])),
                _percent(result.baseline[key]),
            ]
            for key, name in names.items()
        ],
        "Summary; the majority baseline always answers the commonest class. "
        f"The {level} interval tells how far a result depends on who took part: percentile "
        f"bootstrap over subjects, {metrics.RESAMPLES:,} resamples."
        + (" Results are means and standard deviations over the seeds." if seeds > 1 else ""),
    )
    report.table(
        ["class", "precision", "recall", "F1", "support"],
        [
            [
                name,
                *(_share(row[key]) for key in ("precision", "recall", "f1")),
                str(row["support"]),
            ]
            for name, row in result.per_class.items()
        ],
        "By class; support counts the predictions for clips of the class"
        + (", over all seeds." if seeds > 1 else "."),
    )
    report.figure(
        plots.confusion_matrix(result.confusion, result.classes, "Confusion matrix"),
        "Clips by true and predicted class" + (", summed over the seeds." if seeds > 1 else "."),
        f"Confusion matrix of {len(result.classes)} classes",
    )
    report.table(
        ["subject", "clips", "accuracy"],
        [
            [name, len(group[0]["true"]), _percent(float(np.mean([f["accuracy"] for f in group])))]
            for name, group in sorted(folds.items())
        ],
        "Accuracy by subject.",
    )
    record = result.to_json()
    settings: dict[str, object] = dict(record["config"])
    settings["protocol"] = protocol_label(result.config.protocol)
    settings |= {f"network: {name}": value for name, value in result.model.items()}
    settings |= {
        "clips": len(result.clips),
        "clip list (SHA-256)": result.clip_list_sha256,
        "seconds": round(result.seconds, 1),
    }
    report.table(["setting", "value"], [[k, _plain(v)] for k, v in settings.items()], "Settings.")


def bench_section(
    report: Report, rows: Sequence[timing.Row], saved: Mapping[str, float] | None = None
) -> None:
    """Add the timings: for each benchmark fused against eager, where timed, then every figure.

    Args:
        report: Where to add them.
        rows: From `originet.bench`.
        saved: Bytes that autograd keeps for the backward of psi, in input sizes, by provider.
    """
    report.section("Kernel speed")
    devices = sorted({row.device_name for row in rows})
    threads = sorted({row.threads for row in rows} - {0})
    where = ", ".join(devices) + (f", {'/'.join(map(str, threads))} threads" if threads else "")
    report.text(
        f"Measured on {where}. Providers took turns, round by round, so that other work on the "
        "machine fell on all alike. The last column compares with a clone of as many bytes, timed "
        "in the same rounds: 1 is the most that memory allows where the data exceed the caches."
    )
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        chosen = [row for row in rows if row.benchmark == benchmark]
        if any(row.provider == "eager" for row in chosen):  # too slow to be timed for some
            report.figure(
                plots.kernel_speedup(chosen),
                f"{benchmark}: medians, eager over fused.",
                f"Bars: how many times faster than eager PyTorch the fused {benchmark} is",
            )
        report.table(
            ["mode", "shape", "dtype", "provider", "median", "20 %", "80 %", "GB/s", "of clone"],
            [
                [
                    *(row.mode, row.shape, row.dtype, row.provider),
                    *map(plots.duration, (row.median_us, row.q20_us, row.q80_us)),
                    *(f"{row.gbps:.1f}", f"{row.copy_ratio:.2f}"),
                ]
                for row in chosen
            ],
            f"{benchmark}: time a call.",
        )
    if saved:
        report.table(
            ["provider", "input sizes kept"],
            [[provider, f"{times:.2f}"] for provider, times in saved.items()],
            "Memory that psi keeps for its backward pass.",
        )


def environment_section(report: Report, device: torch.device) -> None:
    """Add what the report was made with: versions, device, date, what the extension holds.

    Args:
        report: Where to add it.
        device: The device that was used.
    """
    report.section("Made with")
    facts = timing.environment(device)
    facts |= {
        "python": platform.python_version(),
        "system": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "matplotlib": matplotlib.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(" ", "minutes"),
    }
    facts |= {f"extension: {k}": _plain(value) for k, value in originet_ext.build_info().items()}
    report.table(["what", "value"], [[name, value or "none"] for name, value in facts.items()])


def _percent(share: float, spread: float | None = None) -> str:
    return f"{100 * share:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "") + " %"


def _share(share: float | None) -> str:
    return "-" if share is None else _percent(share)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
