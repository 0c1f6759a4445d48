"""The sections of the page about pictures: Figs. 2, 4 and 5."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from originet.evaluation.readings import FRAMES, READINGS
from originet.paper.reproduce import shown_clips
from originet.paper.reproduce.book import Book
from originet.paper.reproduce.figures import Picture
from originet.paper.reproduce.findings import Findings
from originet.paper.reproduce.responses import QUARTER, Responses, correlation, edge_correlation
from originet.paper.reproduce.table_sections import training
from originet.system.words import counted

EMOTIONS = ("negative", "others", "positive")
"""The classes of Fig. 5. If the clips lack one of them, all their classes are shown."""


def active_image_section(book: Book, found: Findings) -> None:
    """Adds Fig. 2."""
    book.report.section("Fig. 2: active images")
    subject = found.shown.subject
    book.pictures(
        "figure2",
        {row.label: row.pictures for row in found.phases},
        shown_clips.PHASES,
        f"Fig. 2: onset, apex and offset of a clip of each class, all of subject {subject}, and "
        f"the active image by method {found.config.method}, stretched from black to white. "
        f"{READINGS[found.config.method]} {FRAMES}",
        "Rows of a face in three almost equal frames, and the active image of its movement",
    )
    book.table(
        "figure2",
        [
            {"subject": subject, "label": row.label, "clip": row.clip, "difference": row.difference}
            for row in found.phases
        ],
        ("class", "clip", "apex from onset"),
        [
            (row.label, row.clip, "-" if row.difference is None else f"{row.difference:.2f}")
            for row in found.phases
        ],
        "Mean absolute difference between apex and onset frame, in grey levels (0 to 255).",
    )
    missing = found.failed.get("Fig. 2, frames")
    differences = [row.difference for row in found.phases if row.difference is not None]
    largest = (
        f"apex and onset differ by at most {max(differences):.1f} grey levels of 255 on average; "
        if differences
        else ""
    )
    book.judge(
        data="the first clip of each class by name."
        + (f" Missing frames are not shown: {missing}." if missing else ""),
        agrees=f"{largest}the active image shows where. Eqs. (1)-(3) can be read in two ways. If "
        "every frame is compared with the onset (method cumulative), they give 2 (F(2) + … + "
        "F(n−1)) + F(n) − (2n − 3) F(1), and all frames count. If each frame is compared with the "
        "one before it (telescoped), they give F(n) + F(n−1) − 2 F(1), and the frames in between "
        "cancel. Either way, a face at rest cancels; only noise and small movements remain.",
        unsaid="which parts of a face change most. The paper's boxes are drawn by hand.",
    )


def first_layer_section(book: Book, found: Findings) -> None:
    """Adds Fig. 4."""
    book.report.section("Fig. 4: responses of the first layer")
    if not found.responses:
        return _not_made(book, found)
    shown = found.shown
    # By the clip's index: its position among the clips that the networks were shown.
    places = {place: shown.places.index(place) for place in shown.first_of_each()}
    columns = [
        (network, place) for network in found.responses for place in found.responses[network].first
    ]
    rows = {
        shown.labels[index]: [
            Picture(found.images[place]),
            *(Picture(found.responses[network].maps[name][index]) for network, name in columns),
        ]
        for place, index in places.items()
    }
    book.pictures(
        "figure4",
        rows,
        ["\nactive image", *("\n".join(each) for each in columns)],
        "Fig. 4: mean over all filters of the first layer. For OrigiNet: both branches after ψ, "
        "and the block's output, which is their normalised sum. For the others: the input of the "
        "second convolution. Each map is stretched from its smallest value (dark) to its largest "
        "(bright).",
        "Rows of an active image and the mean first-layer responses of several networks to it",
    )
    records: list[dict[str, Any]] = []
    for network, name in columns:
        answered = found.responses[network]
        for state, maps in (("trained", answered.maps), ("untrained", answered.untrained)):
            each = [edge_correlation(found.images[p], maps[name][i]) for p, i in places.items()]
            records.append(
                {"network": network, "response": name, "state": state, "correlation": np.mean(each)}
            )
    pairs = list(zip(records[::2], records[1::2], strict=True))
    book.table(
        "figure4",
        records,
        ("network", "response", "correlation with edges", "before training"),
        [
            (
                after["network"],
                after["response"],
                *(f"{r['correlation']:.2f}" for r in (after, before)),
            )
            for after, before in pairs
        ],
        "How closely the maps follow the edges of the active image: the correlation between the "
        "strength of its edges (Sobel) and the map's distance from its median, averaged over the "
        "clips above.",
    )
    strongest = max(records[::2], key=lambda record: record["correlation"])
    lowest = min(before["correlation"] for _, before in pairs)
    changes = [after["correlation"] - before["correlation"] for after, before in pairs]
    book.judge(
        data=_networks(found),
        agrees="the paper says that OrigiNet's first layer finds small but informative edges. By "
        f"this correlation, the map that follows edges most closely is {strongest['response']} of "
        f"{strongest['network']}. Training changed the correlations by {min(changes):+.2f} to "
        f"{max(changes):+.2f}; with random weights, the smallest is {lowest:.2f}.",
        unsaid="whether the edges it finds are the informative ones. A mean over filters does not "
        "measure that, and the paper's boxes are drawn by hand.",
    )


def response_section(book: Book, found: Findings) -> None:
    """Adds Fig. 5."""
    book.report.section("Fig. 5: response maps")
    if not found.responses:
        return _not_made(book, found)
    shown = found.shown
    wanted = set(EMOTIONS) if set(EMOTIONS) <= set(shown.labels) else set(shown.labels)
    classes = sorted(set(found.table["label"].astype(str)))
    rows, records = {}, []
    for index, (place, label) in enumerate(zip(shown.places, shown.labels, strict=True)):
        line = [Picture(found.images[place])]
        for network, answered in found.responses.items():
            probabilities = answered.probabilities[index]
            predicted = classes[int(probabilities.argmax())]
            note = f"{predicted}, {100 * probabilities.max():.0f} %"
            line.append(Picture(answered.maps[QUARTER][index], note))
            records.append(
                {
                    "network": network,
                    "subject": shown.subject,
                    "clip": found.table["clip"].iloc[place],
                    "label": label,
                    "predicted": predicted,
                    "probability": float(probabilities.max()),
                    **{
                        f"probability of {name}": float(value)
                        for name, value in zip(classes, probabilities, strict=True)
                    },
                }
            )
        if label in wanted:
            rows[f"{label}\n{found.table['clip'].iloc[place]}"] = line
    book.pictures(
        "figure5",
        rows,
        ["active image", *found.responses],
        "Fig. 5: mean over all channels of the last response whose side is a quarter of the "
        "image's, and the prediction of each network. Each map is stretched separately.",
        "Rows of an active image and a coarse response map of each network to it",
    )
    likeness = ", ".join(
        f"{_likeness(answered):.2f} ({network})" for network, answered in found.responses.items()
    )
    right = [record["label"] == record["predicted"] for record in records]
    clips = dict.fromkeys((record["clip"], record["label"]) for record in records)
    told = {
        (r["network"], r["clip"]): f"{r['predicted']}, {100 * r['probability']:.0f} %"
        for r in records
    }
    book.table(
        "figure5",
        records,
        ("clip", "class", *found.responses),
        [(*clip, *(told[network, clip[0]] for network in found.responses)) for clip in clips],
        f"Predictions for the clips of subject {shown.subject}, whom the networks never saw: "
        f"{sum(right)} of {len(right)} are right.",
        folded=True,
    )
    book.judge(
        data=_networks(found),
        agrees="the paper judges these maps by eye, so there is no figure to compare. The mean "
        f"correlation between a network's maps before and after training is {likeness}; the closer "
        "to 1, the less of a map is learned.",
        unsaid="whether OrigiNet keeps more of what matters. The paper names neither the layer nor "
        "a measure, and chose its pictures. Here the layer is our choice, stated above, and the "
        "clips are the first two of each class by name.",
    )


def _likeness(answered: Responses) -> float:
    """Correlates the coarse maps with those before training; mean over the clips."""
    pairs = zip(answered.maps[QUARTER], answered.untrained[QUARTER], strict=True)
    return float(np.mean([correlation(after, before) for after, before in pairs]))


def _networks(found: Findings) -> str:
    """Says how the networks of the pictures were trained."""
    told = ", ".join(
        f"{name} (epoch {answered.record['selected_epoch']} of {found.config.epochs})"
        for name, answered in found.responses.items()
    )
    missing = [f" {name} failed: {reason}." for name, reason in _failures(found)]
    return (
        f"{told}, each trained on {counted(len(found.shown.training), 'clip')} with subject "
        f"{found.shown.subject} left out, seed {found.config.seeds[0]}.{''.join(missing)} "
        f"{training(found)}"
    )


def _failures(found: Findings) -> Iterable[tuple[str, str]]:
    start = "Figs. 4 and 5, "
    return [(n.removeprefix(start), r) for n, r in found.failed.items() if n.startswith(start)]


def _not_made(book: Book, found: Findings) -> None:
    for name, reason in _failures(found):
        book.report.text(f"Not made, {name}: {reason}")
