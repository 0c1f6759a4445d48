"""A page of HTML with everything inside it, to be opened anywhere, without a network.

Pictures are embedded, the style sheet is inline and there is no script. The page fits a phone (wide
tables scroll inside their own box), a dark screen and paper.
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
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: 0.9rem; margin: 0.3rem 0; max-width: 46rem; }
.gallery { display: grid; gap: 1rem; margin: 1.2rem 0;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.gallery figure { margin: 0; }
.gallery figcaption { line-height: 1.35; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { background: var(--head); }
tbody th { font-weight: normal; }
.number { text-align: right; }
tbody .number { white-space: nowrap; }
.long { overflow-wrap: anywhere; min-width: 8rem; }
@page { size: A4; margin: 15mm; }
@media print { :root { --ink: #000; --soft: #444; --page: #fff; --line: #bbb; --head: #eee; }
  html { font-size: 10pt; } body { max-width: none; padding: 0; } .scroll { overflow: visible; }
  img { max-height: 240mm; object-fit: contain; object-position: left; }
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
        pixels: [H, W] uint8; drawn with at most `THUMBNAIL` pixels on the longer side.
        lines: What stands below it.
        alt: What it shows, for those who do not see it.
    """

    pixels: NDArray[np.uint8]
    lines: Sequence[str]
    alt: str


class Page:
    """A page that grows from top to bottom; all text is escaped.

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
        self._parts: list[str] = []
        self._tables = 0

    def section(self, title: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{_escape(title)}</h2>")

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs."""
        self._parts += [f"<p>{_escape(paragraph)}</p>" for paragraph in paragraphs]

    def figure(self, figure: Figure, caption: str, alt: str) -> None:
        """Add a figure, embedded as PNG and shown in its own size, or as wide as the page.

        Args:
            figure: The figure.
            caption: Text below it.
            alt: What it shows, for those who do not see it.
        """
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        self._parts.append(
            '<figure class="whole">'
            + _img(figures.png(figure), width, height, alt)
            + f"<figcaption>{_escape(caption)}</figcaption></figure>"
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
                + f"<figcaption>{'<br>'.join(map(_escape, lines))}</figcaption></figure>"
            )
        self._parts.append("</div>")

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str = ""
    ) -> None:
        """Add a table; columns of numbers are aligned to the right, the first cell heads its row.

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
            raise ValueError(
                f"row must have {len(header)} cells, got {len(wrong[0])}: {', '.join(wrong[0])}"
            )
        columns = list(zip(*body, strict=True)) if body else [()] * len(header)
        kinds = [_kind(column) for column in columns]

        def cell(tag: str, kind: str, text: str) -> str:
            return f"<{tag}{kind}>{_escape(text)}</{tag.split()[0]}>"

        head = "".join(map(cell, ['th scope="col"'] * len(header), kinds, header))
        tags = ['th scope="row"', *["td"] * (len(header) - 1)]
        lines = "\n".join(f"<tr>{''.join(map(cell, tags, kinds, row))}</tr>" for row in body)
        # Not <caption>, which would be as narrow, or as wide, as the table itself.
        self._tables += 1
        name = f"table{self._tables}"
        told = f' aria-labelledby="{name}"' if caption else ""
        whole = ' class="whole"' if len(body) <= _SHORT else ""
        self._parts.append(
            f"<figure{whole}>"
            + (f'<figcaption id="{name}">{_escape(caption)}</figcaption>' if caption else "")
            # A box that scrolls must be within the keyboard's reach.
            + f'<div class="scroll" tabindex="0" role="region"{told or _UNNAMED}>'
            f"<table{told}><thead><tr>{head}</tr></thead>\n"
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
                f"<title>{_escape(self.title)}</title>",
                f"<style>{_STYLE}</style></head>",
                f"<body><main><h1>{_escape(self.title)}</h1>",
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


_UNNAMED = ' aria-label="table"'


def _escape(text: str) -> str:
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
    return f'<img alt="{_escape(alt)}" width="{width}" height="{height}" src="{source}">'
