"""The page of a video: its frames, its energies over time, and its movements, to be clicked."""

import base64
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from originet.drawing.page import Page, escape
from originet.spotting.intervals import Interval
from originet.spotting.progress import Progress
from originet.spotting.regions import REGIONS
from originet.spotting.snapshots import Snapshots
from originet.system.words import counted

CAVEAT = (
    "What moved and when is measured; what it means is not. Brief movements of a face are not "
    "signs of lies, and this is no lie detector. It is no diagnosis of anything, and no basis for "
    "a decision about anybody. People speak, chew, blink, squint and turn their heads, and cameras "
    "lose sharpness and light: some of what is listed here is that, and some movements are missed."
)
MOST = 200
"""Movements that are shown; of more, the strongest."""

_BINS = 1000  # points of a curve
_WIDTH, _ROW, _LEFT = 1000, 34, 92  # of the timeline, in its own units
_TOP = 2.0  # pixels of movement at the top of a row, at least: 1

_STYLE = """<style>
.viewer img { width: 100%; max-width: 30rem; min-height: 6rem; background: var(--line); }
.viewer input { width: 100%; max-width: 30rem; }
.timeline svg { display: block; width: 100%; min-width: 40rem; }
.timeline text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.timeline .curve { fill: none; stroke: var(--link); stroke-width: 1; }
.timeline .rule { stroke: var(--line); }
.timeline .now { stroke: #d4351c; stroke-width: 2; }
.movement { cursor: pointer; fill: #d98200; fill-opacity: 0.35; stroke: #d98200; }
.movement.macro { fill: #2f8f5b; stroke: #2f8f5b; }
.movement.noted { fill: #888; stroke: #888; }
.movement:focus, .movement.chosen { fill-opacity: 0.8; outline: none; stroke-width: 2; }
.card { border-top: 1px solid var(--line); padding: 0.6rem 0; }
.card.chosen { background: rgb(217 130 0 / 14%); }
.card button { font: inherit; color: var(--link); background: none; border: 0; padding: 0;
  cursor: pointer; text-align: left; text-decoration: underline; }
.card img { margin-top: 0.4rem; width: 100%; max-width: 32rem; }
</style>"""

_SCRIPT = """<script>
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const image = document.querySelector(".viewer img");
  const told = document.getElementById("told");
  const slider = document.querySelector(".viewer input");
  const now = document.querySelectorAll(".now");
  function show(seconds) {
    let best = 0;
    data.frames.forEach((frame, i) => {
      if (Math.abs(frame[0] - seconds) < Math.abs(data.frames[best][0] - seconds)) best = i;
    });
    if (!data.frames.length) return;
    image.src = "data:image/jpeg;base64," + data.frames[best][1];
    told.textContent = data.frames[best][0].toFixed(2) + " s";
    slider.value = seconds;
    const x = data.left + (data.width - data.left) * seconds / data.seconds;
    now.forEach(line => { line.setAttribute("x1", x); line.setAttribute("x2", x); });
  }
  function choose(id) {
    document.querySelectorAll(".chosen").forEach(each => each.classList.remove("chosen"));
    document.querySelectorAll(`[data-movement="${id}"]`).forEach(
      each => each.classList.add("chosen"));
    show(data.movements[id]);
  }
  document.querySelectorAll("[data-movement]").forEach(each => {
    const target = each.tagName === "DIV" ? each.querySelector("button") : each;
    target.addEventListener("click", () => choose(each.dataset.movement));
    target.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault(); choose(each.dataset.movement);
      }
    });
  });
  slider.addEventListener("input", () => show(Number(slider.value)));
  show(0);
})();
</script>"""


def write_page(folder: Path, name: str, state: Progress, fps: float, pictures: Snapshots) -> None:
    """Writes report.html of a video whose tables are written.

    Args:
        folder: Of its results.
        name: Of the video.
        state: What was found.
        fps: Frames per second.
        pictures: Of the video and its movements.
    """
    curves, seconds = read_curves(folder / "frames.csv", state.frames / fps)
    page = Page(f"Brief movements in {Path(name).name}")
    expressions = [each for each in state.intervals if not each.note]
    micro = sum(each.kind == "micro" for each in expressions)
    page.headline(
        str(micro),
        "micro-movements, and " + counted(len(expressions) - micro, "longer movement"),
        f"{state.frames} frames, {seconds:.1f} s, {counted(state.faces, 'face')}; "
        f"{len(state.intervals) - len(expressions)} blinks and turns of the head besides.",
        *([f"The video broke off: {state.ended}"] if state.ended else []),
    )
    page.text(CAVEAT)
    shown = sorted(state.intervals, key=lambda each: -each.score)[:MOST]
    shown.sort(key=lambda each: (each.onset, each.face))
    page.section("Frames")
    page.markup(_STYLE)
    page.markup(_viewer(seconds))
    page.section("Energies")
    page.text(
        "How far each part of the face moves back and forth, in pixels of a 128-pixel face. Click "
        "a movement to see it: orange lasts half a second at most, green longer, grey is a blink "
        "or a turn of the head."
    )
    for face, curve in sorted(curves.items()):
        page.markup(_timeline(face, curve, seconds, shown))
    page.section("Movements")
    if not shown:
        page.text("None were found.")
    else:
        page.text("Below each: the face at onset, apex and offset, and the active image.")
    if len(shown) < len(state.intervals):
        page.text(f"The strongest {MOST} of {len(state.intervals)} are shown here.")
    for number, interval in enumerate(shown):
        page.markup(_card(number, interval, pictures.faces(interval)))
    frames = [
        (round(when, 3), base64.b64encode(data).decode())
        for _, when, data in pictures.frames(shown)
    ]
    data = {
        "seconds": seconds,
        "left": _LEFT,
        "width": _WIDTH,
        "frames": frames,
        "movements": [each.apex_seconds for each in shown],
    }
    packed = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    page.markup(f'<script type="application/json" id="data">{packed}</script>')
    page.markup(_SCRIPT)
    page.write(folder / "report.html")


def read_curves(table: Path, seconds: float) -> tuple[dict[int, NDArray[np.float64]], float]:
    """Reads the energies of each face from frames.csv, the largest of each of some periods.

    Args:
        table: The file.
        seconds: About how long the video is.

    Returns:
        [R, `_BINS`] by face, NaN where there is no energy; and the time of the last frame.
    """
    curves: dict[int, NDArray[np.float64]] = {}
    last = 0.0
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            last = float(row["timestamp"])
            if not row["face"] or not row[REGIONS[0]]:
                continue
            face = int(row["face"])
            if face not in curves:
                curves[face] = np.full((len(REGIONS), _BINS), np.nan)
            place = min(_BINS - 1, int(_BINS * last / max(seconds, last, 1e-9)))
            values = np.array([float(row[name]) for name in REGIONS])
            curves[face][:, place] = np.fmax(curves[face][:, place], values)
    return curves, max(last, 1e-3)


def _viewer(seconds: float) -> str:
    return (
        '<figure class="viewer"><img alt="A frame of the video">'
        f'<input type="range" min="0" max="{seconds:.3f}" step="any" value="0" '
        'aria-label="Time in seconds"><figcaption id="told"></figcaption></figure>'
    )


def _timeline(
    face: int, curve: NDArray[np.float64], seconds: float, shown: Sequence[Interval]
) -> str:
    """Draws the energies of a face, a row a region, and its movements."""
    height = _ROW * len(REGIONS) + 20
    top = max(1.0, min(_TOP, float(np.nanmax(curve, initial=0.0))))
    parts = []

    def across(when: float) -> float:
        return _LEFT + (_WIDTH - _LEFT) * when / seconds

    for row, name in enumerate(REGIONS):
        bottom = _ROW * (row + 1)
        words = escape(name.replace("_", " "))
        parts.append(f'<text x="0" y="{bottom - 10}">{words}</text>')
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH}" y1="{bottom}" y2="{bottom}"/>')
        parts += _path(curve[row], bottom, top)
    for number, interval in enumerate(shown):
        if interval.face != face:
            continue
        left, right = across(interval.onset_seconds), across(interval.offset_seconds)
        kind = "noted" if interval.note else interval.kind
        words = escape(_words(interval))
        for region in interval.regions:
            parts.append(
                f'<rect class="movement {kind}" data-movement="{number}" tabindex="0" '
                f'role="button" aria-label="{words}" x="{left:.1f}" '
                f'y="{_ROW * REGIONS.index(region) + 2}" width="{max(right - left, 3):.1f}" '
                f'height="{_ROW - 3}"><title>{words}</title></rect>'
            )
    for share in (0, 0.25, 0.5, 0.75, 1):
        anchor = "end" if share == 1 else "middle"
        parts.append(
            f'<text x="{across(share * seconds):.1f}" y="{height - 4}" text-anchor="{anchor}">'
            f"{share * seconds:.1f} s</text>"
        )
    parts.append(f'<line class="now" x1="{_LEFT}" x2="{_LEFT}" y1="0" y2="{height - 18}"/>')
    label = f"Energies of face {face} by region"
    return (
        f'<figure class="timeline"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{label}"><svg viewBox="0 0 {_WIDTH} {height}" role="group" '
        f'aria-label="{label}">{"".join(parts)}</svg></div>'
        f"<figcaption>Face {face}; a row is {top:.1f} pixels high.</figcaption></figure>"
    )


def _path(values: NDArray[np.float64], bottom: int, top: float) -> list[str]:
    """Draws a curve, with gaps where there are no values."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return []
    # In a short video there are fewer frames than bins.
    gap = 2 * int(np.median(np.diff(known))) + 1 if len(known) > 1 else 1
    pieces = np.split(known, np.flatnonzero(np.diff(known) > gap) + 1)
    step = (_WIDTH - _LEFT) / _BINS
    return [
        '<polyline class="curve" points="'
        + " ".join(
            f"{_LEFT + step * place:.1f},{bottom - (_ROW - 4) * min(values[place] / top, 1):.1f}"
            for place in piece
        )
        + '"/>'
        for piece in pieces
    ]


def _words(interval: Interval) -> str:
    what = interval.note or interval.kind
    return f"{what} at {interval.apex_seconds:.2f} s, face {interval.face}"


def _card(number: int, interval: Interval, faces: bytes | None) -> str:
    """One movement: what is known of it, and the face during it."""
    length = interval.offset_seconds - interval.onset_seconds
    regions = ", ".join(name.replace("_", " ") for name in interval.regions)
    lines = (
        f"frames {interval.onset} to {interval.offset}, {length:.2f} s; {regions}; "
        f"{interval.energy:.2f} pixels, {interval.score:.1f} times the usual spread"
    )
    answer = ""
    if interval.label:
        answer = f"<p>{escape(interval.label)} ({interval.confidence or 0:.2f})</p>"
    picture = ""
    if faces is not None:
        source = f"data:image/jpeg;base64,{base64.b64encode(faces).decode()}"
        alt = "The face at onset, apex and offset, and the active image"
        picture = f'<img alt="{alt}" width="512" height="128" src="{source}">'
    return (
        f'<div class="card" data-movement="{number}"><button type="button">'
        f"{escape(_words(interval))}</button><p>{escape(lines)}</p>{answer}{picture}</div>"
    )
