"""The sections of the page about pictures: Figs. 2, 4 and 5."""

from collections.abc import Iterable

import numpy as np

from originet.reproduce import figures, pictured
from originet.reproduce.book import Book
from originet.reproduce.figures import Picture
from originet.reproduce.findings import Findings
from originet.reproduce.responses import QUARTER, edge_correlation
from originet.reproduce.sections import training

EMOTIONS = ("negative", "others", "positive")
"""The classes of Fig. 5; all classes are shown where these are not the clips'."""


def active_image_section(book: Book, found: Findings) -> None:
    """Adds Fig. 2."""
    book.report.section("Fig. 2: active images")
    subject = found.shown.subject
    book.figure(
        "figure2",
        figures.picture_sheet({row.label: row.pictures for row in found.phases}, pictured.PHASES),
        f"Fig. 2: onset, apex and offset of a clip of each class, all of subject {subject}, and "
        f"the active image by method {found.config.method}, stretched from black to white.",
        "Rows of a face in three almost equal frames, and the active image of its movement",
    )
    clips = "; ".join(f"{row.label}: {row.clip}" for row in found.phases)
    missing = found.failed.get("Fig. 2, frames")
    book.judge(
        data=f"the first clip of each class by name ({clips})."
        + (f" Frames are not shown where they are not at hand: {missing}." if missing else ""),
        agrees="the frames of a clip hardly differ to the eye, and the active image shows where "
        "they do. Eqs. (1)-(3) as written are F(n) + F(n−1) − 2 F(1): what lies between decides "
        "nothing, and a still face cancels; what is left of its looks is noise and small movement.",
        unsaid="which parts of a face are affected most. The paper's boxes are drawn by hand.",
    )


def first_layer_section(book: Book, found: Findings) -> None:
    """Adds Fig. 4."""
    book.report.section("Fig. 4: responses of the first layer")
    if not found.responses:
        return _not_made(book, found)
    places = found.shown.first_of_each()
    columns = {
        f"{network} {place}": maps
        for network, answered in found.responses.items()
        for place, maps in answered.first_layer().items()
    }
    rows = {
        _label(found, place): [
            Picture(found.images[place], "active image"),
            *(Picture(maps[found.shown.places.index(place)]) for maps in columns.values()),
        ]
        for place in places
    }
    titles = [name.replace(" ", "\n", 1) for name in columns]
    book.figure(
        "figure4",
        figures.picture_sheet(rows, ["\ninput", *titles]),
        "Fig. 4: mean over all filters of the first layer. Of OrigiNet both branches after ψ, and "
        "the block's output, their sum normalised; of the others what their second convolution "
        "reads. Each map is stretched from its own smallest value (dark) to its largest (bright).",
        "Rows of an active image and the mean first-layer responses of several networks to it",
    )
    records = [
        {
            "response": name,
            "clip": str(found.table["clip"].iloc[place]),
            "label": _label(found, place),
            "edge_correlation": edge_correlation(
                found.images[place], maps[found.shown.places.index(place)]
            ),
        }
        for name, maps in columns.items()
        for place in places
    ]
    means = {
        name: np.mean([r["edge_correlation"] for r in records if r["response"] == name])
        for name in columns
    }
    book.table(
        "figure4",
        records,
        ("response", "correlation with edges"),
        [(name, f"{mean:.2f}") for name, mean in means.items()],
        "How much the maps follow the edges of the active image: the correlation between the "
        "strength of its edges (Sobel) and how far the map is from its median, mean over the clips "
        "above.",
    )
    strongest = max(means, key=means.__getitem__)
    book.judge(
        data=_networks(found),
        agrees="the paper says that OrigiNet's first layer takes out small but telling edges. "
        f"By this correlation the map that follows edges most is {strongest}.",
        unsaid="that its edges are the telling ones. A mean over filters of any sign is no measure "
        "of that, and the paper's boxes are drawn by hand.",
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
        line = [Picture(found.images[place], "active image")]
        for network, answered in found.responses.items():
            probabilities = answered.probabilities[index]
            predicted = classes[int(probabilities.argmax())]
            line.append(
                Picture(answered.maps[QUARTER][index], f"{predicted}, {probabilities.max():.0%}")
            )
            records.append(
                {
                    "network": network,
                    "subject": shown.subject,
                    "clip": found.table["clip"].iloc[place],
                    "label": label,
                    "predicted": predicted,
                    **dict(zip(classes, probabilities.tolist(), strict=True)),
                }
            )
        if label in wanted:
            rows[f"{label}\n{found.table['clip'].iloc[place]}"] = line
    book.figure(
        "figure5",
        figures.picture_sheet(rows, ["input", *found.responses]),
        "Fig. 5: mean over all channels of the last response whose side is a quarter of the "
        "image's, and what each network predicted. Each map is stretched by itself.",
        "Rows of an active image and a coarse response map of each network to it",
    )
    right = [record["label"] == record["predicted"] for record in records]
    book.table(
        "figure5",
        records,
        ("network", "clip", "class", "predicted", "its probability"),
        [
            (
                r["network"],
                r["clip"],
                r["label"],
                r["predicted"],
                f"{100 * r[r['predicted']]:.0f} %",
            )
            for r in records
        ],
        f"What the networks predicted for the clips of subject {shown.subject}, of whom they saw "
        f"nothing: {sum(right)} of {len(right)} are right.",
    )
    book.judge(
        data=_networks(found),
        agrees="the paper judges these maps by looking at them, so no figure can agree.",
        unsaid="that OrigiNet keeps more of what matters: the paper names neither the layer nor a "
        "measure, and chose its pictures. Here the layer is a declared choice, and the clips are "
        "the first two of each class by name.",
    )


def _networks(found: Findings) -> str:
    """How the networks of the pictures were trained."""
    told = ", ".join(
        f"{name} (epoch {answered.record['selected_epoch']} of {found.config.epochs})"
        for name, answered in found.responses.items()
    )
    missing = [f" {name} failed: {reason}." for name, reason in _failures(found)]
    return (
        f"{told}, each trained on {len(found.shown.training)} clips with subject "
        f"{found.shown.subject} left out, seed {found.config.seeds[0]}.{''.join(missing)} "
        f"{training(found)}"
    )


def _failures(found: Findings) -> Iterable[tuple[str, str]]:
    start = "Figs. 4 and 5, "
    return [(n.removeprefix(start), r) for n, r in found.failed.items() if n.startswith(start)]


def _not_made(book: Book, found: Findings) -> None:
    for name, reason in _failures(found):
        book.report.text(f"Not made, {name}: {reason}")


def _label(found: Findings, place: int) -> str:
    return found.shown.labels[found.shown.places.index(place)]
