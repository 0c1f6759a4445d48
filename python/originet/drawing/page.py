"""A page of HTML with everything inside it, to be opened anywhere, without a network.

Charts and pictures are embedded, the only style sheet of all reports is inline, and there is no
script but what `Page.markup` adds. The page opens with its main result, if it has one, and with
links to its sections. It fits a phone (what is wide scrolls in a box of its own, with a shadow
where there is more), a dark screen and paper.
"""

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from originet.drawing import figures
from originet.drawing.figures import Figure
from originet.system.files import write_atomically
from originet.system.words import printable

Cell = str | int | float

THUMBNAIL = 128  # longer side of a gallery's pictures, in pixels: two fit beside each other

# Cells of more characters may be broken anywhere, as hashes must be on a phone.
_LONG = 40
# Tables of more rows may be cut between two sheets of paper.
_SHORT = 15

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #5f6368; --page: #fff; --line: #d5d8dc;
  --link: #0b57a4; --shade: rgb(0 0 0 / 28%); }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --soft: #a4a8ad; --page: #17181a;
  --line: #3b3e42; --link: #8ab8f0; --shade: rgb(255 255 255 / 32%); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 0.6rem; padding-bottom: 0.2rem;
  border-bottom: 1px solid var(--line); }
p { margin: 0.6rem 0; max-width: 46rem; }
.headline { margin: 1.2rem 0; }
.headline .value { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 0.6rem; margin: 0;
  font-size: 1.35rem; line-height: 1.2; color: var(--soft); }
.headline strong { font-size: 3.4rem; line-height: 1; color: var(--ink);
  white-space: nowrap; }
nav { margin: 1.2rem 0; font-size: 0.95rem; }
nav ul { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap;
  gap: 0.3rem 1.2rem; }
figure { margin: 1.2rem 0; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.chart svg { display: block; width: 100%; min-width: 26rem; height: auto; fill: var(--ink); }
.chart svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { color: var(--soft); font-size: 0.9rem; margin: 0.3rem 0; max-width: 46rem; }
.gallery { display: grid; gap: 1rem; margin: 1.2rem 0;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.gallery figure { margin: 0; }
.gallery figcaption { line-height: 1.35; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; background:
  linear-gradient(to right, var(--page) 40%, transparent) left / 2.5rem 100% no-repeat local,
  linear-gradient(to left, var(--page) 40%, transparent) right / 2.5rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / 0.9rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / 0.9rem 100% no-repeat scroll; }
table { border-collapse: separate; border-spacing: 0; font-size: 0.9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--soft); vertical-align: bottom; }
tbody th { font-weight: normal; }
tr > :first-child { position: sticky; left: 0; min-width: 6rem; max-width: 45vw;
  background: var(--page); border-right: 1px solid var(--line); padding-left: 0; }
.number { text-align: right; }
tbody .number { white-space: nowrap; }
.long { overflow-wrap: anywhere; min-width: 8rem; }
summary { cursor: pointer; color: var(--link); font-size: 0.9rem; max-width: 46rem; }
@page { size: A4; margin: 15mm; }
@media print { :root { --ink: #000; --soft: #444; --page: #fff; --line: #bbb; --link: #000; }
  html { font-size: 10pt; } body { max-width: none; padding: 0; }
  .scroll { overflow: visible; background: none; } tr > :first-child { position: static; }
  nav { display: none; } .chart svg { min-width: 0; max-height: 240mm; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .whole, tr, figcaption { break-inside: avoid; }
  h2, figcaption:not(:last-child), p:has(+ .gallery) { break-after: avoid; }
  .gallery { display: block; } .gallery figure { display: inline-block; width: 38mm;
  margin: 0 4mm 4mm 0; vertical-align: top; } }
"""

_NUMBER = re.compile(
    r"(≠ )?[-+−]?\d[\d.,]*(e[-+−]?\d+)?( ?(±|to) ?[\d.]+)?( ?(%|x|µs|ms|s|M))?( \([\d.]+ %\))?|-"
)


class Thumbnail(NamedTuple):
    """A small picture of a gallery.

    Attributes:
        pixels: [H, W] or [H, W, 3] (red, green, blue) uint8; drawn with at most `THUMBNAIL` pixels
            on the longer side.
        lines: What stands below it.
        alt: What it shows, for those who do not see it.
    """

    pixels: NDArray[np.uint8]
    lines: Sequence[str]
    alt: str


class Page:
    """A page that grows from top to bottom; all text is escaped.

    Ids come from headings, so that a link to a section stays valid when the report is made again.

    Example:
        >>> report = Page("Kernels")
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
        self._headline = ""
        self._sections: dict[str, str] = {}  # titles by id
        self._parts: list[str] = []
        self._boxes = 0

    def headline(self, value: str, interval: str, *lines: str) -> None:
        """Set the main result, which stands above everything else in the largest type.

        Args:
            value: The number, with its unit.
            interval: How sure it is, to stand beside it.
            lines: What it is, and what to compare it with.
        """
        told = "".join(f"<p>{escape(line)}</p>" for line in lines)
        self._headline = (
            f'<div class="headline"><p class="value"><strong>{escape(value)}</strong> '
            f"{escape(interval)}</p>{told}</div>"
        )

    def section(self, title: str) -> None:
        """Begin a section, and link to it from the top of the page."""
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        name, number = slug, 1
        while name in self._sections:
            number += 1
            name = f"{slug}-{number}"
        self._sections[name] = title
        self._parts.append(f'<h2 id="{name}">{escape(title)}</h2>')

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs."""
        self._parts += [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs]

    def figure(self, figure: Figure, caption: str, alt: str) -> None:
        """Add a figure, as wide as the page and in its colours.

        Args:
            figure: The figure.
            caption: Text below it.
            alt: What it shows, for those who do not see it.
        """
        name = self._name()
        # Ids are unique in a page only with the figure's name before them.
        drawn = re.sub(r' id="|(?<= href=")#|(?<=url\()#', rf"\g<0>{name}_", figures.svg(figure))
        drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
        self._parts.append(
            '<figure class="whole chart">'
            + _scrolling(drawn, f' aria-labelledby="{name}"')
            + f'<figcaption id="{name}">{escape(caption)}</figcaption></figure>'
        )

    def gallery(self, thumbnails: Iterable[Thumbnail]) -> None:
        """Add small pictures, as many beside each other as there is room for."""
        self._parts.append('<div class="gallery">')
        for pixels, lines, alt in thumbnails:
            picture = PillowImage.fromarray(pixels)
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            self._parts.append(
                '<figure class="whole">'
                + _img(_png(picture), *picture.size, alt)
                + f"<figcaption>{'<br>'.join(map(escape, lines))}</figcaption></figure>"
            )
        self._parts.append("</div>")

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        caption: str = "",
        *,
        folded: bool = False,
    ) -> None:
        """Add a table; columns of numbers are aligned to the right, the first cell heads its row.

        Args:
            header: Names of the columns.
            rows: Cells, as many in each row as there are names.
            caption: Text above it, if any.
            folded: Whether only the caption shows until it is clicked: for the numbers of a figure.

        Raises:
            ValueError: A row has more or fewer cells than the header.
        """
        body = [[str(cell) for cell in row] for row in rows]
        wrong = [row for row in body if len(row) != len(header)]
        if wrong:
            raise ValueError(
                f"row must have {len(header)} cells, got {len(wrong[0])}: {', '.join(wrong[0])}"
            )
        columns = list(zip(*body, strict=True)) if body else [()] * len(header)
        kinds = [_kind(column) for column in columns]

        def cell(tag: str, kind: str, text: str) -> str:
            return f"<{tag}{kind}>{escape(text)}</{tag.split()[0]}>"

        head = "".join(map(cell, ['th scope="col"'] * len(header), kinds, header))
        tags = ['th scope="row"', *["td"] * (len(header) - 1)]
        lines = "\n".join(f"<tr>{''.join(map(cell, tags, kinds, row))}</tr>" for row in body)
        # Not <caption>, which would be as narrow, or as wide, as the table itself.
        name = self._name()
        told = f' aria-labelledby="{name}"' if caption else ""
        whole = ' class="whole"' if len(body) <= _SHORT else ""
        tag = "summary" if folded else "figcaption"
        shown = f'<{tag} id="{name}">{escape(caption)}</{tag}>' if caption else ""
        box = _scrolling(
            f"<table{told}><thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>",
            told or ' aria-label="table"',
        )
        self._parts.append(
            f"<details>{shown}<figure{whole}>{box}</figure></details>"
            if folded
            else f"<figure{whole}>{shown}{box}</figure>"
        )

    def markup(self, text: str) -> None:
        """Add HTML of the caller's own, who has to escape what is in it; see `escape`."""
        self._parts.append(text)

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
                f"<body><main><h1>{escape(self.title)}</h1>{self._headline}",
                self._contents(),
                *self._parts,
                "</main></body></html>\n",
            )
        )

    def write(self, path: str | Path) -> None:
        """Write the page, atomically.

        Raises:
            OSError: The file cannot be written there.
        """
        write_atomically(path, self.html().encode())

    def _name(self) -> str:
        """A new id; sections have none with an underscore."""
        self._boxes += 1
        return f"box_{self._boxes}"

    def _contents(self) -> str:
        """Links to the sections, where there are several."""
        links = [
            f'<li><a href="#{name}">{escape(title)}</a></li>'
            for name, title in self._sections.items()
        ]
        listed = f"<ul>{''.join(links)}</ul>"
        return f'<nav aria-label="Contents">{listed}</nav>' if len(links) > 1 else ""


def _scrolling(content: str, label: str) -> str:
    """A box for what may be wider than a phone; as it scrolls, the keyboard must reach it."""
    return f'<div class="scroll" tabindex="0" role="region"{label}>{content}</div>'


def escape(text: str) -> str:
    """Writes a text so that it is text wherever it stands, inside an attribute's quotes as well.

    What HTML may not hold or a browser would obey, as NUL and marks of direction, is shown.
    """
    return html.escape(printable(text))


def _png(picture: PillowImage.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _kind(column: Sequence[str]) -> str:
    """The class attribute of a column's cells."""
    if column and all(map(_NUMBER.fullmatch, column)):
        return ' class="number"'
    return ' class="long"' if any(len(text) > _LONG for text in column) else ""


def _img(data: bytes, width: int, height: int, alt: str) -> str:
    """An embedded PNG, with the size that the page keeps free for it."""
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{escape(alt)}" width="{width}" height="{height}" src="{source}">'
