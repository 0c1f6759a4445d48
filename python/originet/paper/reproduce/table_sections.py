"""The sections of the page about tables; `picture_sections` has those about pictures."""

from typing import Any

from originet.datasets.titles import dataset_title
from originet.evaluation.report import cautions, made_with, made_with_section, settings_section
from originet.paper import ablation_report, comparison_report, study_report
from originet.paper.ablation import Ablation
from originet.paper.reproduce import activations, counts, figures
from originet.paper.reproduce.book import Book
from originet.paper.reproduce.findings import Findings
from originet.system.words import counted, percents

QUICK = (
    "A quick look: one epoch without augmentation. It shows that everything runs. Its accuracies "
    "mean nothing."
)
_EXACT = 1e-12  # formulas that differ by less are the same, up to rounding in float64


def opening_section(book: Book, found: Findings) -> None:
    """Adds the headline, and the source of each table and figure."""
    quick = [QUICK] if found.quick else []
    if found.comparison is not None:
        study = comparison_report.evaluation(found.comparison)
        study_report.study_headline(book.report, study, *quick)
    elif found.ablation is not None:
        study = ablation_report.evaluation(found.ablation)
        study_report.study_headline(book.report, study, *quick)
    else:
        told = cautions(found.config, semi_synthetic=found.semi_synthetic)
        book.report.text("No accuracy could be measured.", *quick, *told)
    clips = f"{counted(len(found.table), 'clip')} ({dataset_title(found.dataset)})"

    def state(part: str) -> str:
        names = [name for name in found.failed if name == part or name.startswith(f"{part}, ")]
        return f"incomplete: {found.failed[names[0]]}" if names else "made"

    book.report.table(
        ("of the paper", "made from", "state"),
        [
            (f"{part}: {what}", source, state(part))
            for part, what, source in (
                ("Table I and Fig. 3", "activation functions", "no data"),
                ("Table II", "clips", clips),
                ("Fig. 2", "active images", clips),
                ("Tables III and IV", "accuracies", clips),
                ("Table V", "complexity", "no data"),
                ("Table VI", "ablations", clips),
                ("Figs. 4 and 5", "responses", clips),
            )
        ],
        "Verma, Vipparthi, Singh: Non-Linearities Improve OrigiNet based on Active Imaging for "
        "Micro Expression Recognition, IJCNN 2020, arXiv:2005.07991.",
    )


def activation_section(book: Book, found: Findings) -> None:
    """Adds Table I and Fig. 3."""
    book.report.section("Table I and Fig. 3: activation functions")
    span = f"[−{activations.SPAN:g}, {activations.SPAN:g}]"
    checked = list(zip(activations.ACTIVATIONS, found.checks, strict=True))
    book.table(
        "table1",
        [check._asdict() for check in found.checks],
        ("activation", "equation, as printed", "range, as printed", "smallest", "largest"),
        [
            (row.name, row.equation, row.range, _short(check.minimum), _short(check.maximum))
            for row, check in checked
        ],
        f"Table I, forward pass; smallest and largest value on {span}.",
    )
    book.report.table(
        (
            *("activation", "derivative, as printed", "range, as printed", "smallest", "largest"),
            *("error, x < 0", "error, x > 0"),
        ),
        [
            (
                *(row.name, row.derivation, row.derivation_range),
                *map(_short, (check.derivative_minimum, check.derivative_maximum)),
                *map(_error, (check.error_below, check.error_above)),
            )
            for row, check in checked
        ],
        f"Table I, backward pass; smallest and largest value on {span}. Errors: largest difference "
        "of the printed derivative from autograd's in float64.",
    )
    book.figure(
        "figure3",
        figures.activation_curves(),
        "Fig. 3: the functions and their derivatives. The vertical segment at 0 is the kink of ψ.",
        "Two panels of curves: six activation functions and their derivatives",
    )
    book.figure(
        "erratum",
        figures.erratum_curves(),
        "The derivative of ψ, and the one that Table I prints for x < 0.",
        "The printed derivative of psi lies above the true one left of zero",
    )
    book.table(
        "erratum",
        found.erratum,
        ("of ψ, α = 0.1", "as printed", "computed"),
        [
            (
                row["quantity"],
                "" if row["printed"] is None else _short(row["printed"]),
                _short(row["computed"]),
            )
            for row in found.erratum
        ],
        "The erratum. The correct formula for x < 0: ψ′(x) = eˣ(αeˣ + αx + 1 + α) / (1 + eˣ)².",
    )
    sigmoid, psi = found.checks[0], found.checks[-1]
    right = [c.activation for c in found.checks if max(c.error_below, c.error_above) < _EXACT]
    wrong = [c.activation for c in found.checks if c.activation not in right]
    book.judge(
        data="none. The functions are those that networks use; ψ is this package's kernel. α is "
        f"{activations.ALPHA} for ψ, and also for leaky ReLU, where the paper gives no value; it "
        f"is {activations.ELU_ALPHA:g} for ELU. Central differences agree with autograd within "
        f"{max(c.difference_error for c in found.checks):.0e}.",
        agrees=f"the printed derivatives of {', '.join(right)} are correct"
        + (f"; that of {', '.join(wrong)} is wrong for x < 0" if wrong else "")
        + f". ψ goes down to {_short(psi.minimum)}, so its range is not [0, x + 1]; that of its "
        f"derivative, {_short(psi.derivative_minimum)} to {_short(psi.derivative_maximum)}, is not "
        f"[αx, x]; the derivative of sigmoid reaches {_short(sigmoid.derivative_maximum)}, not 1.",
        unsaid="whether the authors trained with the printed derivative. Frameworks differentiate "
        "the function themselves, so probably not.",
    )


def count_section(book: Book, found: Findings) -> None:
    """Adds Table II."""
    book.report.section("Table II: clips")
    records = counts.emotion_counts(found.table)
    emotions = [*sorted({r["emotion"] for r in records} - {"total"}), "total"]
    here = [name for name in counts.SOURCES if any(found.table["dataset"] == name)]
    by_place = {(record["dataset"], record["emotion"]): record for record in records}
    header, columns = ["emotion"], []
    for dataset, source in counts.SOURCES.items():
        header += [source.title] if dataset not in here else [source.title, "here"]
        columns += [(dataset, "paper")] + ([(dataset, "clips")] if dataset in here else [])

    def cell(dataset: str, emotion: str, field: str) -> str:
        value = by_place.get((dataset, emotion), {}).get(field)
        return "-" if value is None or (value == 0 and field == "paper") else str(value)

    book.table(
        "table2",
        records,
        header,
        [(e, *(cell(dataset, e, field) for dataset, field in columns)) for e in emotions],
        "Table II, as the paper counts"
        + (" and as counted here." if here else "; none of its data sets is available."),
    )
    classes = counts.class_counts(found.table)
    book.table(
        "clips",
        classes,
        ("data set", "class", "clips", "subjects"),
        [tuple(record.values()) for record in classes],
        "The clips behind everything below.",
    )
    verdicts = [f"{counts.SOURCES[n].title} {_counted(records, n)}" for n in here]
    book.judge(
        data="the clip tables as they were read; `originet check` lists corrections and unusable "
        "clips.",
        agrees="; ".join(verdicts or ["none of its data sets is available to count"]) + ".",
        unsaid="which clips the paper left out; it lists none. Its text and Table II differ by one "
        "clip for anger and for disgust in CAS(ME)².",
    )


def _counted(records: list[dict[str, Any]], dataset: str) -> str:
    """Says how the counts of an available set compare with the paper's."""
    rows = [row for row in records if row["dataset"] == dataset]
    if rows[-1]["clips"] is None:  # the total
        return "has other classes here than Table II"
    if all(row["clips"] == row["paper"] for row in rows):
        return "has as many clips of each emotion as the paper"
    if rows[-1]["clips"] == rows[-1]["paper"]:
        return "has as many clips as the paper, but not of each emotion"
    return f"has {counted(rows[-1]['clips'], 'clip')}, the paper {rows[-1]['paper']}"


def complexity_section(book: Book, found: Findings) -> None:
    """Adds Table V."""
    book.report.section("Table V: complexity")
    if not found.complexity:
        book.report.text(f"Not made: {found.failed['Table V']}")
        return
    book.table(
        "table5",
        found.complexity,
        (
            *("network", "layers", "depth", "parameters", "MiB at 4", "MiB at 8"),
            *("paper: layers", "millions", "MB"),
        ),
        [
            (
                *(row["network"], str(row["layers"]), str(row["depth"]), f"{row['parameters']:,}"),
                *(f"{row[f'mib_at_{size}_bytes']:.1f}" for size in (4, 8)),
                _marked(row["paper_layers"], row["layers_agree"]),
                _marked(row["paper_parameters_millions"], row["parameters_agree"]),
                _marked(row["paper_memory_mb"], row["memory_agrees"]),
            )
            for row in found.complexity
        ],
        "Table V. Layers: convolutions and fully connected layers; depth: those on the longest "
        "path through the network. MiB at 4 and at 8 bytes a parameter. OrigiNet has "
        f"{found.complexity[-1]['classes']} classes here, the others ImageNet's 1,000. ≠: "
        "ours, rounded or truncated, differs from the paper's figure.",
    )
    exact = [row["network"] for row in found.complexity if row["parameters_agree"]]
    bytes_of = {
        size: [row["network"] for row in found.complexity if row["memory_agrees"] == size]
        for size in (4, 8)
    }
    neither = [row["network"] for row in found.complexity if row["memory_agrees"] is None]
    book.judge(
        data="none. The networks come from torchvision and timm, except OrigiNet.",
        agrees=f"the parameters of {len(exact)} of {len(found.complexity)} networks agree. The "
        f"memory is 4 bytes a parameter for {', '.join(bytes_of[4]) or 'none'}, 8 bytes for "
        f"{', '.join(bytes_of[8]) or 'none'}, and neither for {', '.join(neither) or 'none'}. The "
        "column mixes measures; with one measure, OrigiNet's advantage would be twice as large.",
        unsaid="what the paper counts as a layer in OrigiNet and in MobileNet.",
    )


def ablation_section(book: Book, found: Findings) -> None:
    """Adds Table VI."""
    title, study = "Table VI: ablations", found.ablation
    if study is None:
        book.report.section(title)
        book.report.text(f"Not made: {found.failed['Table VI']}")
        return
    ablation_report.ablation_section(book.report, study, title)
    # Times are left out: the same command gives the same table.
    book.csv("table6", [{k: v for k, v in r.items() if k != "seconds"} for r in study.records()])
    book.judge(
        data=training(found),
        agrees=_order(study),
        unsaid="how the paper's rows were trained. It gives no optimiser, learning rate, batch "
        "size or number of epochs."
        + (f" What differs here: {'; '.join(study.departures)}." if study.departures else ""),
    )


def source_section(book: Book, found: Findings) -> None:
    """Adds which data sets are missing, and where to apply for them."""
    book.report.section("Licensed data")
    records = counts.set_summary(found.table)
    book.table(
        "data_sets",
        records,
        ("data set", "here", "paper: clips", "paper: subjects", "needed for", "apply at"),
        [
            (
                counts.SOURCES[row["dataset"]].title,
                f"{counted(row['clips'], 'clip')}, {counted(row['subjects'], 'subject')}"
                if row["clips"]
                else "not here",
                *(str(row["paper_clips"]), str(row["paper_subjects"])),
                counts.SOURCES[row["dataset"]].needed_for,
                counts.SOURCES[row["dataset"]].address,
            )
            for row in records
        ],
        "None of these may be redistributed. docs/data.md says where to unpack them; `originet "
        "prepare` then makes the stores that `originet reproduce` reads.",
    )


def settings(book: Book, found: Findings) -> None:
    """Adds the settings, the hash of the clips, the versions and the machine."""
    facts = {
        "quick look": found.quick,
        "data set": found.dataset,
        "clips": len(found.table),
        "clip list (SHA-256)": found.clips.clip_list_sha256,
    }
    settings_section(book.report, found.config, facts)
    made_with_section(book.report, made_with(found.device))


def training(found: Findings) -> str:
    """Says which clips and settings everything was trained with."""
    config = found.config
    return (
        f"{counted(len(found.table), 'clip')} ({dataset_title(found.dataset)}), "
        f"{config.describe()}, {counted(config.epochs, 'epoch')}, "
        f"{counted(len(config.seeds), 'seed')}, images of {config.image_size} "
        f"pixels by method {config.method}."
    )


def _order(study: Ablation) -> str:
    """Says whether every exchange costs accuracy, as it does in the paper."""
    whole = study.results.get("OrigiNet")
    others = {name: each for name, each in study.results.items() if name != "OrigiNet"}
    if whole is None or not others:
        return "nothing can be compared: OrigiNet's own row or all other rows are missing."
    best, (low, high) = whole.metrics["pooled_accuracy"], whole.intervals["pooled_accuracy"]
    scores = {name: each.metrics["pooled_accuracy"] for name, each in others.items()}
    below = [name for name, score in scores.items() if score < best]
    outside = [name for name, score in scores.items() if not low <= score <= high]
    return (
        "in the paper, every exchange costs accuracy. Here it does in "
        f"{len(below)} of {counted(len(others), 'row')} ({', '.join(below) or 'none'}). Outside "
        f"the 95 % interval of OrigiNet's accuracy, {percents((low, high))}: "
        f"{', '.join(outside) or 'none'}. The other differences may come from who took part."
    )


def _marked(figure: float, agrees: object) -> str:
    """Formats a figure of the paper, marked if ours differs."""
    return f"{figure:g}" if agrees else f"≠ {figure:g}"


def _short(value: float) -> str:
    """Formats a number with four digits, and rounding errors as 0."""
    if abs(value) < _EXACT:
        return "0"
    text = f"{value:.3g}" if abs(value) < 1e-3 else f"{value:.4f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def _error(value: float) -> str:
    return "none" if value < _EXACT else f"{value:.2f}"
