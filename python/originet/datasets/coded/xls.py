"""Reads the cells of an .xls file, whoever wrote it, within `originet.datasets.bounds`.

xlrd makes cells of the records of the file, and believes all that they say: links, names and merged
cells can cost it any memory, and chains of sectors that end in themselves any time. So it is given
the records of cells alone, from a stream that is taken out of the file here.
"""

import io
from collections.abc import Iterator, Sequence
from struct import unpack_from

import xlrd

from originet.datasets import bounds
from originet.datasets.coded.cells import Sheet, Sheets, date_text, number_text
from originet.system.errors import InputError

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# Codes of records: [MS-XLS], 2.3.
_BOF, _EOF, _CONTINUE, _PASSWORD = 0x809, 0x0A, 0x3C, 0x2F
_SHEET, _STRINGS, _FORMAT, _STYLE = 0x85, 0xFC, 0x41E, 0xE0
_READ = frozenset(
    (
        *(_BOF, _EOF, _CONTINUE, _SHEET, _STRINGS, _FORMAT, _STYLE),
        *(0x22, 0x42),  # epoch of dates, code page
        *(0x203, 0x27E, 0xBD, 0x205),  # number, one or many of few digits, truth or error
        *(0x204, 0xD6, 0xFD),  # text, with formats, by number
        *(0x06, 0x206, 0x406, 0x207),  # formula, and the text that it gives, ...
        *(0x221, 0x21, 0x4BC, 0x236, 0x36, 0x37),  # ... which come after an array or a shared one
    )
)
_UNREAD = b"\xff\xff"  # the code of no record


def read_xls(data: bytes) -> list[Sheet]:
    """Reads all sheets of cells.

    Raises:
        InputError: if something is beyond a bound; it does not name the file.
        Exception: if the file is damaged, of whatever kind.
    """
    # The log, of complaints about harmless oddities, would go to stdout.
    book = xlrd.open_workbook(
        file_contents=_cells_alone(_workbook(data)),
        logfile=io.StringIO(),
        on_demand=True,
        ragged_rows=True,
    )
    sheets = Sheets()
    for index, name in enumerate(book.sheet_names()):
        sheets.begin(name)
        for row, cells in enumerate(book.sheet_by_index(index).get_rows()):
            for column, cell in enumerate(cells):
                sheets.put(row, column, _shown(cell, book.datemode))
        sheets.end()
        book.unload_sheet(index)
    return sheets.whole


def _shown(cell: xlrd.sheet.Cell, datemode: int) -> str:
    if cell.ctype == xlrd.XL_CELL_DATE:
        return date_text(cell.value, datemode)
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        return number_text(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, "#ERROR"))
    return str(bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value)


def _workbook(data: bytes) -> bytes:
    """Takes the stream of records out of the container, a file system: [MS-CFB]."""
    size, small = (1 << shift for shift in unpack_from("<HH", data, 30))
    if size not in (512, 4096) or small != 64:
        raise ValueError(f"sectors of {size} and {small} bytes")
    directory, _, cutoff, small_table, _, more = unpack_from("<iiiiii", data, 48)

    def sector(number: int) -> bytes:
        return data[(number + 1) * size : (number + 2) * size]

    def numbers(content: bytes) -> tuple[int, ...]:
        return unpack_from(f"<{len(content) // 4}i", content)

    # The table of the sectors that come after each is in sectors itself, and so are their numbers.
    parts = list(unpack_from("<109i", data, 76))
    for _ in range(len(data) // size):
        if more < 0:
            break
        *found, more = numbers(sector(more))
        parts += found
    parts = [part for part in parts if part >= 0]
    if len(parts) > len(data) // size:
        raise ValueError("more sectors than there are")
    table = [after for part in parts for after in numbers(sector(part))]

    def chain(start: int) -> bytes:
        return b"".join(map(sector, _chain(table, start)))

    entries = chain(directory)
    root = unpack_from("<i", entries, 116)[0]
    start, length = _find(entries)
    if length >= cutoff:
        stream = chain(start)
    else:  # in small sectors, of which the directory's root holds all
        within, after = chain(root), numbers(chain(small_table))
        places = (number * small for number in _chain(after, start))
        stream = b"".join(within[place : place + small] for place in places)
    if len(stream) < length:
        raise ValueError(f"{length} bytes of records expected, got {len(stream)}")
    return stream[:length]


def _chain(table: Sequence[int], start: int) -> Iterator[int]:
    """Yields the numbers of the sectors of a stream: each tells the next, the last a negative."""
    for _ in range(len(table)):
        if start < 0:
            return
        yield start
        start = table[start]
    if start >= 0:
        raise ValueError("a chain of sectors without an end")


def _find(entries: bytes) -> tuple[int, int]:
    """Finds the first sector and the length of the stream of records, in the root's folder."""
    todo, seen = [unpack_from("<i", entries, 76)[0]], set()
    there = {}
    while todo:
        place = 128 * todo.pop()
        if place < 0 or place in seen:
            continue
        seen.add(place)
        length, kind, _, left, right = unpack_from("<HBBii", entries, place + 64)
        name = entries[place : place + max(length - 2, 0)].decode("utf-16-le").lower()
        if kind == 2:
            there[name] = unpack_from("<ii", entries, place + 116)
        todo += [left, right]
    for name in ("workbook", "book"):  # the one of Excel 97 and later, and that of Excel 5 and 95
        if name in there:
            return there[name]
    raise ValueError("no stream of records in the container")


def _cells_alone(stream: bytes) -> bytes:
    """Takes the codes off all records that cells do not need, which stay where they are."""
    version, kind = unpack_from("<HH", stream, 4)
    if unpack_from("<H", stream)[0] != _BOF or version not in (0x500, 0x600) or kind != 5:
        raise ValueError("no workbook of Excel 5 or later")
    left = bytearray(stream)
    begins, places = set(), []
    depth = styles = place = 0
    while place + 4 <= len(stream):
        code, length = unpack_from("<HH", stream, place)
        content = stream[place + 4 : place + 4 + length]
        if len(content) < length:
            if depth:
                raise ValueError("it ends within a record")
            break  # what is behind the last sheet
        if code == _BOF:
            if not depth:
                begins.add(place)
            depth += 1
        elif code == _EOF:
            depth -= 1
        elif code == _SHEET:
            places.append(unpack_from("<i", content)[0])
        elif code == _STRINGS:
            _check_strings(stream, place)
        elif code == _PASSWORD:
            raise ValueError("encrypted")
        elif code not in _READ:
            left[place : place + 2] = _UNREAD
        styles += code in (_FORMAT, _STYLE)
        place += 4 + length
    if depth > 0 or not begins.issuperset(places) or len(set(places)) < len(places):
        raise ValueError("sheets that are not where they should be")
    if len(places) > bounds.SHEETS:
        raise InputError(f"it has more than {bounds.SHEETS} sheets")
    if styles > bounds.STYLES:
        raise InputError(
            f"it has {styles:,} formats of numbers, more than the {bounds.STYLES:,} that are read"
        )
    return bytes(left)


def _check_strings(stream: bytes, place: int) -> None:
    """Checks that each text that cells refer to by number comes after the one before.

    What tells how a text is read aloud may have any length, which xlrd adds even if it is negative:
    then it reads one text as often as the record says that there are texts. The steps are xlrd's,
    for at any other place the length would not be the one that it reads.

    Args:
        stream: all records.
        place: where that of the texts begins; those that continue it come next.
    """
    parts: list[bytes] = []
    code = _STRINGS
    while code == (_CONTINUE if parts else _STRINGS):
        length = unpack_from("<H", stream, place + 2)[0]
        parts.append(stream[place + 4 : place + 4 + length])
        place += 4 + length
        code = unpack_from("<H", stream, place)[0]
    count = unpack_from("<i", parts[0], 4)[0]
    part, at = 0, 8
    for _ in range(count):
        characters, options = unpack_from("<HB", parts[part], at)
        at += 3
        runs = aloud = 0
        if options & 8:
            runs = unpack_from("<H", parts[part], at)[0]
            at += 2
        if options & 4:
            aloud = unpack_from("<i", parts[part], at)[0]
            at += 4
        if aloud < 0:
            raise ValueError("a text of negative length")
        while True:
            wide = 1 + (options & 1)
            there = min((len(parts[part]) - at) // wide, characters)
            characters -= there
            at += there * wide
            if not characters:
                break
            part += 1
            options, at = parts[part][0], 1
        for _ in range(runs):
            if at == len(parts[part]):
                part, at = part + 1, 0
            unpack_from("<HH", parts[part], at)
            at += 4
        at += aloud
        if at >= len(parts[part]):
            at -= len(parts[part])
            part += 1
