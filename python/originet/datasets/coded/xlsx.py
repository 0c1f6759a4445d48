"""Reads the cells of an untrusted .xlsx file, within `originet.datasets.bounds`.

The file is an archive of XML parts. They are parsed as a stream of elements, of which only the
cells are kept. A reader that builds the XML tree, or allocates every row up to the last, may need
gigabytes for a file of a kilobyte.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Callable
from xml.parsers import expat

from originet.datasets import bounds
from originet.datasets.coded.cells import Sheet, Sheets, date_text, number_text
from originet.system.errors import InputError

WORKBOOK = "xl/workbook.xml"

_RELATIONS = "xl/_rels/workbook.xml.rels"

# Number formats that show a date or a time: the built-in ones, by number. A custom format is
# searched for date letters after texts, escapes and conditions such as [Red] are removed.
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NO_FORMAT = re.compile(r'"[^"]*"|\\.|_.|\[(?!hh?\]|mm?\]|ss?\])[^\]]*\]', re.IGNORECASE)
_FORMAT = 255  # characters, the limit of spreadsheet programs

# An escaped control character, or an escaped underscore: _x000D_, _x005F_.
_ESCAPE = re.compile("_x(?![dD][89a-fA-F])([0-9a-fA-F]{4})_")

_PLACE = re.compile(r"([A-Z]{1,9})([0-9]{1,18})", re.IGNORECASE)

_Attributes = dict[str, str]


class Archive:
    """The parts of an .xlsx file; the limits apply to all of them together."""

    def __init__(self, data: bytes) -> None:
        """Opens an archive.

        Raises:
            InputError: if it has too many parts.
            zipfile.BadZipFile: if the data are not an archive.
        """
        # Each part takes a kilobyte of memory, but only some 50 bytes in the file.
        if (count := data.count(b"PK\x01\x02")) > bounds.PARTS:
            raise InputError(f"it has {count:,} parts; at most {bounds.PARTS:,} are allowed")
        self._zip = zipfile.ZipFile(io.BytesIO(data))
        # Some programs deviate from the standard in case and slashes.
        self._parts = {
            part.filename.replace("\\", "/").lower(): part for part in self._zip.filelist
        }
        self._bytes = bounds.UNFOLDED
        self._elements = bounds.ELEMENTS

    def __contains__(self, name: str) -> bool:
        """Returns whether there is such a part."""
        return name.lower() in self._parts

    def parse(
        self,
        name: str,
        start: Callable[[str, _Attributes], None],
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        """Parses an XML part and passes on its elements and texts; tags have no namespaces.

        Raises:
            InputError: if the parts read so far exceed a limit.
            Exception: if there is no such part, it is damaged, or it has a document type. No
                spreadsheet program writes one; its entities could expand without limit or refer to
                other files.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True

        def start_element(tag: str, attributes: _Attributes) -> None:
            self._elements -= 1
            if self._elements < 0:
                raise InputError(
                    f"it has more than {bounds.ELEMENTS:,} XML elements, counting up to {name}"
                )
            start(tag.rpartition(" ")[2], attributes)

        def doctype(*_: object) -> None:
            raise ValueError("its XML has a document type")

        parser.StartElementHandler = start_element
        parser.StartDoctypeDeclHandler = doctype
        if end is not None:
            parser.EndElementHandler = lambda tag: end(tag.rpartition(" ")[2])
        if text is not None:
            parser.CharacterDataHandler = text
        parser.Parse(self._read(name), True)

    def _read(self, name: str) -> bytes:
        part = self._parts[name.lower()]
        # Other methods may use any amount of memory.
        if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"unknown compression of {name}")
        with self._zip.open(part) as file:
            data = file.read(self._bytes + 1)
        if len(data) > self._bytes:
            raise InputError(
                f"it decompresses to more than {bounds.UNFOLDED:,} bytes, counting up to {name}"
            )
        self._bytes -= len(data)
        return data


def read_xlsx(archive: Archive) -> list[Sheet]:
    """Reads all sheets of cells.

    Raises:
        InputError: if the file exceeds a limit; the message does not name the file.
        Exception: of any type, if the file is damaged.
    """
    targets: dict[str, tuple[str, str]] = {}
    names: list[tuple[str, str]] = []
    datemode = 0

    def relation(tag: str, attributes: _Attributes) -> None:
        if tag == "Relationship":
            kind = attributes["Type"].rpartition("/")[2]
            target = posixpath.normpath(posixpath.join("/xl", attributes["Target"]))
            targets[attributes["Id"]] = kind, target.lstrip("/")

    def sheet(tag: str, attributes: _Attributes) -> None:
        nonlocal datemode
        if tag == "sheet":
            bounds.check_name(attributes["name"])
            identity = [value for key, value in attributes.items() if key.endswith(" id")]
            names.append((attributes["name"], identity[0]))
            if len(names) > bounds.SHEETS:
                raise InputError(f"it has more than {bounds.SHEETS} sheets")
        elif tag == "workbookPr":
            datemode = int(attributes.get("date1904") in ("1", "true"))

    archive.parse(_RELATIONS, relation)
    archive.parse(WORKBOOK, sheet)
    by_kind = dict(targets.values())
    strings = _read_strings(archive, by_kind["sharedStrings"]) if "sharedStrings" in by_kind else []
    dates = _read_dates(archive, by_kind["styles"]) if "styles" in by_kind else set()
    sheets = Sheets()
    for name, identity in names:
        kind, target = targets[identity]
        if kind == "worksheet":  # not a chart sheet
            sheets.begin(name)
            _Cells(sheets, strings, dates, datemode).read(archive, target)
            sheets.end()
    return sheets.whole


class _Texts:
    """Collects the texts of elements `t`, with all their runs but without phonetic guides."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._length = 0
        self._takes = False
        self._phonetic = False

    def begin(self) -> None:
        self.pieces.clear()
        self._length = 0

    def start(self, tag: str) -> None:
        if tag == "rPh":
            self._phonetic = True
        self._takes = (tag == "t" and not self._phonetic) or tag == "v"

    def end(self, tag: str) -> None:
        if tag == "rPh":
            self._phonetic = False
        self._takes = False

    def add(self, text: str) -> None:
        if self._takes:
            self.pieces.append(text)
            self._length += len(text)
            if self._length > bounds.CELL:
                raise InputError(f"it has a text of more than {bounds.CELL:,} characters")


def _read_strings(archive: Archive, part: str) -> list[str]:
    """Reads the shared texts, to which cells refer by index."""
    strings: list[str] = []
    texts = _Texts()

    def start(tag: str, _: _Attributes) -> None:
        if tag == "si":
            texts.begin()
        texts.start(tag)

    def end(tag: str) -> None:
        texts.end(tag)
        if tag == "si":
            strings.append(_unescaped("".join(texts.pieces)))

    archive.parse(part, start, end, texts.add)
    return strings


def _read_dates(archive: Archive, part: str) -> set[int]:
    """Returns the styles that show a number as a date."""
    dates: set[int] = set()
    formats: dict[int, bool] = dict.fromkeys(_DATES, True)
    within = ""
    count = 0

    def start(tag: str, attributes: _Attributes) -> None:
        nonlocal within, count
        if tag in ("cellXfs", "cellStyleXfs"):
            within = tag
        elif tag == "numFmt":
            # The first of the formats for positive, negative and other numbers.
            code = attributes["formatCode"][:_FORMAT].split(";")[0]
            shows = re.search("[dmhys]", _NO_FORMAT.sub("", code), re.IGNORECASE)
            formats[int(attributes["numFmtId"])] = shows is not None
        elif tag == "xf" and within == "cellXfs":
            if formats.get(int(attributes.get("numFmtId", 0))):
                dates.add(count)
            count += 1

    archive.parse(part, start)
    return dates


class _Cells:
    """Reads the part of one sheet."""

    def __init__(self, sheets: Sheets, strings: list[str], dates: set[int], datemode: int) -> None:
        self._sheets = sheets
        self._strings = strings
        self._dates = dates
        self._datemode = datemode
        self._texts = _Texts()
        self._within = False
        self._row = self._column = 0  # counted from 1, like the names of cells
        self._kind = self._style = ""

    def read(self, archive: Archive, part: str) -> None:
        archive.parse(part, self._start, self._end, self._texts.add)

    def _start(self, tag: str, attributes: _Attributes) -> None:
        if tag == "sheetData":
            self._within = True
        if not self._within:
            return
        if tag == "row":
            # Some programs write the row as 2.0.
            self._row = int(float(attributes["r"][:20])) if "r" in attributes else self._row + 1
            self._column = 0
        elif tag == "c":
            self._column += 1
            if "r" in attributes:
                self._row, self._column = _place(attributes["r"])
            self._kind = attributes.get("t", "n")
            self._style = attributes.get("s", "0")
            self._texts.begin()
        self._texts.start(tag)

    def _end(self, tag: str) -> None:
        self._texts.end(tag)
        if tag == "sheetData":
            self._within = False
        elif tag == "c" and self._within and self._texts.pieces:
            text = "".join(self._texts.pieces)
            self._sheets.put(self._row - 1, self._column - 1, self._shown(text))

    def _shown(self, text: str) -> str:
        """Returns a cell's text as a spreadsheet program shows it."""
        if self._kind == "n":
            value = float(text)
            if int(self._style) in self._dates:
                return date_text(value, self._datemode)
            return number_text(value)
        if self._kind == "s":
            return self._strings[_index(text)]
        if self._kind == "b":
            return str(bool(int(text)))
        return _unescaped(text)  # of a formula, an error or a text in the cell itself


def _place(name: str) -> tuple[int, int]:
    """Parses the name of a cell, such as B12, into row and column, from 1."""
    found = _PLACE.fullmatch(name)
    if found is None:
        raise ValueError(f"{bounds.quoted(name)} is not a cell")
    column = 0
    for letter in found[1].upper():
        column = 26 * column + ord(letter) - ord("A") + 1
    return int(found[2]), column


def _index(text: str) -> int:
    index = int(text)
    if index < 0:
        raise ValueError(f"there is no text number {index}")
    return index


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
