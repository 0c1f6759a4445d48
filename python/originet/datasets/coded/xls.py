"""Reads the cells of an untrusted .xls file, within `originet.datasets.bounds`.

xlrd parses the records of a file and trusts them all: links, names and merged cells can make it use
any amount of memory, and circular chains of sectors any amount of time. This module therefore
extracts the stream of records itself and passes xlrd only the records of cells.
"""

import io
from collections.abc import Iterator, Sequence
from struct import unpack_from

import xlrd

from originet.datasets import bounds
from originet.datasets.coded.cells import Sheet, Sheets, date_text, number_text
from originet.system.errors import InputError

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# Record codes: [MS-XLS], 2.3.
_BOF, _EOF, _CONTINUE, _PASSWORD = 0x809, 0x0A, 0x3C, 0x2F
_SHEET, _STRINGS, _FORMAT, _STYLE = 0x85, 0xFC, 0x41E, 0xE0
_READ = frozenset(
    (
        *(_BOF, _EOF, _CONTINUE, _SHEET, _STRINGS, _FORMAT, _STYLE),
        *(0x22, 0x42),  # date epoch, code page
        *(0x203, 0x27E, 0xBD, 0x205),  # number, RK number, several RK numbers, boolean or error
        *(0x204, 0xD6, 0xFD),  # text, formatted text, index of a shared text
        *(0x06, 0x206, 0x406, 0x207),  # formula, and its text result ...
        *(0x221, 0x21, 0x4BC, 0x236, 0x36, 0x37),  # ... which may follow an array or shared formula
    )
)
_UNREAD = b"\xff\xff"  # not the code of any record


def read_xls(data: bytes) -> list[Sheet]:
    """Reads all sheets of cells.

    Raises:
        InputError: if the file exceeds a limit; the message does not name the file.
        Exception: of any type, if the file is damaged.
    """
    # xlrd would log complaints about harmless oddities to stdout.
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
    """Extracts the stream of records from the container, a small file system: [MS-CFB]."""
    size, small = (1 << shift for shift in unpack_from("<HH", data, 30))
    if size not in (512, 4096) or small != 64:
        raise ValueError(f"sectors of {size} and {small} bytes")
    directory, _, cutoff, small_table, _, more = unpack_from("<iiiiii", data, 48)

    def sector(number: int) -> bytes:
        return data[(number + 1) * size : (number + 2) * size]

    def numbers(content: bytes) -> tuple[int, ...]:
        return unpack_from(f"<{len(content) // 4}i", content)

    # The table with each sector's successor is itself stored in sectors, and so is the list of
    # those sectors.
    parts = list(unpack_from("<109i", data, 76))
    for _ in range(len(data) // size):
        if more < 0:
            break
        *found, more = numbers(sector(more))
        parts += found
    parts = [part for part in parts if part >= 0]
    if len(parts) > len(data) // size:
        raise ValueError("more sectors than the file has")
    table = [after for part in parts for after in numbers(sector(part))]

    def chain(start: int) -> bytes:
        return b"".join(map(sector, _chain(table, start)))

    entries = chain(directory)
    root = unpack_from("<i", entries, 116)[0]
    start, length = _find(entries)
    if length >= cutoff:
        stream = chain(start)
    else:  # in small sectors, all of which are in the root entry's stream
        within, after = chain(root), numbers(chain(small_table))
        places = (number * small for number in _chain(after, start))
        stream = b"".join(within[place : place + small] for place in places)
    if len(stream) < length:
        raise ValueError(f"expected {length} bytes of records, got {len(stream)}")
    return stream[:length]


def _chain(table: Sequence[int], start: int) -> Iterator[int]:
    """Yields the sector numbers of a stream; each entry gives the next, the last is negative."""
    for _ in range(len(table)):
        if start < 0:
            return
        yield start
        start = table[start]
    if start >= 0:
        raise ValueError("a chain of sectors without an end")


def _find(entries: bytes) -> tuple[int, int]:
    """Finds the first sector and the length of the stream of records in the root directory."""
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
    for name in ("workbook", "book"):  # of Excel 97 and later, and of Excel 5 and 95
        if name in there:
            return there[name]
    raise ValueError("no stream of records in the container")


def _cells_alone(stream: bytes) -> bytes:
    """Blanks the codes of all records that cells do not need; the records stay in place."""
    version, kind = unpack_from("<HH", stream, 4)
    if unpack_from("<H", stream)[0] != _BOF or version not in (0x500, 0x600) or kind != 5:
        raise ValueError("not a workbook of Excel 5 or later")
    left = bytearray(stream)
    begins, places = set(), []
    depth = styles = place = 0
    while place + 4 <= len(stream):
        code, length = unpack_from("<HH", stream, place)
        content = stream[place + 4 : place + 4 + length]
        if len(content) < length:
            if depth:
                raise ValueError("it ends within a record")
            break  # trailing bytes after the last sheet
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
        raise ValueError("sheets are not where they should be")
    if len(places) > bounds.SHEETS:
        raise InputError(f"it has more than {bounds.SHEETS} sheets")
    if styles > bounds.STYLES:
        raise InputError(f"it has {styles:,} number formats; at most {bounds.STYLES:,} are allowed")
    return bytes(left)


def _check_strings(stream: bytes, place: int) -> None:
    """Checks that no shared text has a negative length of phonetic data.

    xlrd adds the length of a text's phonetic data to its position even if it is negative. It would
    then read the same text over and over, as often as the record's count of texts says. This
    function steps through the record exactly as xlrd does, so that it sees the same lengths.

    Args:
        stream: all records.
        place: start of the record of shared texts; its continuations follow.
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
        runs = phonetic = 0
        if options & 8:
            runs = unpack_from("<H", parts[part], at)[0]
            at += 2
        if options & 4:
            phonetic = unpack_from("<i", parts[part], at)[0]
            at += 4
        if phonetic < 0:
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
        at += phonetic
        if at >= len(parts[part]):
            at -= len(parts[part])
            part += 1
