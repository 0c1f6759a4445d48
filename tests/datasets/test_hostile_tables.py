"""Tables from strangers: none hangs, fills the memory, reads elsewhere or ends in a traceback."""

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from struct import pack

import pytest
from benches import bench_row
from folders import rows, write_clip
from workbooks import write_workbook
from xlwt.CompoundDoc import XlsDoc

from originet.datasets import bounds, survey
from originet.datasets.clip_list import read_clip_list
from originet.datasets.coded.workbook import read_workbook
from originet.datasets.folder import read_manifest
from originet.system import timings
from originet.system.csv_cells import guarded
from originet.system.errors import InputError

pytestmark = pytest.mark.usefixtures("at_once")

HEADER = ["Subject", "Filename", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "AU", "Emotion"]

# Reads workbooks with 300 MB more than what is there after the imports.
READER = """
import resource, sys
from pathlib import Path
from originet.datasets.coded.workbook import read_workbook
from originet.system.errors import InputError
there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (there + 300 * 2**20,) * 2)
for path in map(Path, sys.argv[1:]):
    try:
        print(sum(map(len, (sheet.rows for sheet in read_workbook(path)))), "rows")
    except InputError as error:
        print(str(error).replace(str(path), path.name))
"""


def read_within_limits(*paths):
    """Reads workbooks in a process of little memory; returns what it says of each."""
    command = [sys.executable, "-c", READER, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def write_xlsx(path, sheet=b"<sheetData/>", **others):
    """Writes an .xlsx file of one sheet, s, from the XML of its parts."""
    parts = {
        "workbook": b'<sheets><sheet name="s" r:id="a"/></sheets>',
        "worksheets/sheet1": sheet,
        **others,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(f"xl/{name}.xml", b'<x xmlns:r="r">' + content + b"</x>")
        kinds = {"a": "worksheets/sheet1", "b": "sharedStrings", "c": "styles"}
        relations = "".join(
            f'<Relationship Id="{key}" Type="t/{part.split("s/")[0]}" Target="{part}.xml"/>'
            for key, part in kinds.items()
            if part in parts
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<x>{relations}</x>")
    return path


def cell(name, text):
    inline = b"<is><t>" + text + b"</t></is>"
    return b'<c r="' + name.encode() + b'" t="inlineStr">' + inline + b"</c>"


def cells(content):
    return b"<sheetData><row>" + content + b"</row></sheetData>"


@pytest.mark.slow
def test_an_xlsx_takes_as_little_as_its_cells_do(tmp_path):
    paths, messages = [], []

    def add(message, *arguments, **parts):
        paths.append(write_xlsx(tmp_path / f"{len(paths)}.xlsx", *arguments, **parts))
        messages.append(message)

    corner = cell("A1", b"a") + cell("XFD1048576", b"b")
    add("sheet s has 1,048,576 rows; at most 100,000", cells(corner))
    add(
        "sheet s has 1,000,000,000 rows",
        b'<sheetData><row r="1000000000"><c><v>1</v></c></row></sheetData>',
    )
    add("sheet s has 16,384 columns; at most 1,000", cells(cell("XFD1", b"b")))
    add("1 rows", cells(cell("A1", b"a") + b'<c r="XFD1048576" s="1"/>'))  # but formatted
    add("it has a text of more than 32,767 characters", cells(cell("A1", b"a" * 20_000_000)))
    add("it decompresses to more than 33,554,432 bytes", b" " * 120_000_000)
    laughs = b"".join(b"<c r='A%d' t='s'><v>0</v></c>" % n for n in range(1, 1000))
    strings = b"<si><t>" + b"a" * 32_000 + b" </t></si>"
    add("sheet s has 16,800,000 characters", cells(laughs), sharedStrings=strings)
    wide = b"".join(cell(f"ALK{n}", b"a") for n in range(1, 600))
    add("sheet s has 598,401 cells", cells(wide))
    formats = b'<numFmt numFmtId="1" formatCode="' + b"[" * 1_000_000 + b'"/>'
    add("0 rows", styles=formats)
    add("sheet", workbook=b'<sheet name="s" r:id="a"/>' * 256)
    messages[-1] = "it has more than 255 sheets"
    told = read_within_limits(*paths)
    for said, message in zip(told, messages, strict=True):
        assert message in said


@pytest.mark.parametrize(
    "declared",
    [
        b'<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">',
        b'<!ENTITY b SYSTEM "file:///etc/passwd">',
    ],
)
def test_no_xml_declares_anything(tmp_path, declared):
    path = write_xlsx(tmp_path / "a.xlsx")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = b"<!DOCTYPE x [" + declared + b"]><x>" + cells(cell("A1", b"&b;")) + b"</x>"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, text if "sheet1" in name else content)
    with pytest.raises(InputError, match=r"damaged .*a\.xlsx \(its XML has a document type\)"):
        read_workbook(path)


def test_the_elements_and_parts_of_an_xlsx_are_counted(tmp_path, monkeypatch):
    path = write_xlsx(tmp_path / "a.xlsx", cells(b"<c/>" * 100))
    monkeypatch.setattr(bounds, "ELEMENTS", 100)
    with pytest.raises(
        InputError, match="more than 100 XML elements, counting up to xl/worksheets/sheet"
    ):
        read_workbook(path)
    monkeypatch.setattr(bounds, "PARTS", 2)
    with pytest.raises(InputError, match=r"a\.xlsx: it has 3 parts; at most 2 are allowed"):
        read_workbook(path)


def test_a_size_that_the_archive_is_wrong_about_is_damage(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", cells(cell("A1", b"a" * 5000)))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"sheet1.xml"))
    data[place + 24 : place + 28] = pack("<I", 100)  # bytes that the part unfolds to
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"^damaged or truncated workbook: .*a\.xlsx"):
        read_workbook(path)


def record(code, content=b""):
    return pack("<HH", code, len(content)) + content


def write_xls(path, globals_=b"", sheet=b"", sheets=1, edit=lambda data: data):
    """Writes an .xls file from records, and some sheets that all begin at one place."""
    begin, end = pack("<HHHHII", 0x600, 0x10, 0, 1997, 0, 6), record(0x0A)
    first = record(0x809, pack("<HHHHII", 0x600, 5, 0, 1997, 0, 6)) + globals_
    place = len(first) + sheets * (4 + 9) + len(end)
    named = pack("<iBBBBc", place, 0, 0, 1, 0, b"s")
    stream = first + record(0x85, named) * sheets + end + record(0x809, begin) + sheet + end
    file = io.BytesIO()
    XlsDoc().save(file, stream)
    path.write_bytes(edit(bytearray(file.getvalue())))
    return path


LABEL = record(0x204, pack("<HHHHB", 0, 0, 0, 1, 0) + b"a")


@pytest.mark.slow
def test_an_xls_takes_as_little_as_its_cells_do(tmp_path):
    everywhere = pack("<HHHH", 0, 0xFFFF, 0, 0xFFFF)
    link = everywhere + bytes.fromhex("d0c9ea79f9bace118c8200aa004ba90b") + pack("<II", 2, 0)
    # Each name is twice the one before: a formula of two names that are joined.
    formulas = [b"\x17\x01\0a"]
    for number in range(1, 40):
        formulas.append(2 * (b"\x23" + pack("<HH", number, 0)) + b"\x08")
    names = b"".join(
        record(0x18, pack("<HBBHHH", 0, 0, 1, len(formula), 0, 0) + bytes(4) + b"\0n" + formula)
        for formula in formulas
    )
    # One text, which begins again as it ends.
    again = pack("<IIHBi", 0, 2**31 - 1, 4000, 4, -4007) + b"a" * 4000
    far = record(0x203, pack("<HHHd", 0xFFFF, 255, 0, 1.0))
    cases = [
        ("1 rows", {"sheet": LABEL + record(0x1B8, link)}),
        ("1 rows", {"globals_": names, "sheet": LABEL}),
        ("65536 rows", {"sheet": far}),
        ("a text of negative length", {"globals_": record(0xFC, again), "sheet": LABEL}),
        ("sheets are not where", {"sheet": LABEL, "sheets": 2}),
        ("it has 65,537 number formats", {"globals_": record(0xE0, bytes(20)) * 65537}),
    ]
    paths = [write_xls(tmp_path / f"{n}.xls", **case) for n, (_, case) in enumerate(cases)]
    for said, (message, _) in zip(read_within_limits(*paths), cases, strict=True):
        assert message in said


def test_an_xls_whose_sectors_or_entries_go_round_is_damaged(tmp_path):
    def entry(data):
        return data.index("Workbook".encode("utf-16-le"))

    def folder(data):
        data[entry(data) + 68 : entry(data) + 76] = pack("<ii", 1, 1)
        return data

    def sectors(data):
        table = 512 * (int.from_bytes(data[76:80], "little") + 1)
        start = int.from_bytes(data[entry(data) + 116 : entry(data) + 120], "little")
        data[table + 4 * start : table + 4 * start + 4] = pack("<i", start)
        return data

    def small(data):
        data[56:60] = pack("<i", 2**31 - 1)  # a stream of less is in small sectors
        return data

    assert len(read_workbook(write_xls(tmp_path / "a.xls", sheet=LABEL))[0].rows) == 1
    # An entry that comes after itself is met once.
    assert len(read_workbook(write_xls(tmp_path / "a.xls", sheet=LABEL, edit=folder))) == 1
    for edit in (sectors, small):
        with pytest.raises(InputError, match=r"^damaged or truncated workbook: .*b\.xls"):
            read_workbook(write_xls(tmp_path / "b.xls", sheet=LABEL, edit=edit))


def test_pipes_and_devices_are_not_waited_for(tmp_path, root):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((pipe, "pipe"), (Path("/dev/zero"), "device")):
        for call in (
            lambda path=path: read_workbook(path),
            lambda path=path: read_clip_list(path),
            lambda path=path: survey("folder", root, annotations=path),
            lambda path=path: timings.read_csv(path),
        ):
            with pytest.raises(InputError, match=f"{path} is a {kind}, not a file"):
                call()
    for name in ("dataset.json", "a.csv"):
        os.mkfifo(root / name)
    with pytest.raises(InputError, match=r"dataset\.json is a pipe, not a file"):
        read_manifest(root)
    with pytest.raises(InputError, match=r"a\.csv is a pipe, not a file"):
        survey("folder", root / "a.csv")
    os.mkfifo(root / "b.xlsx")
    with pytest.raises(InputError, match=r"b\.xlsx is a pipe, not a file"):
        survey("casme", root)


MANY = "1" * 5000


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"a,1,x,{MANY},,,", "onset must be a frame number or a time .*, got '11"),
        (f"a,1,x,{MANY}s,,,", r"onset must be a frame number or a time such as .*, got '11.*'"),
        ("a,1,x,,1000000000000000,,", "apex must be a frame number"),
        (f"a,1,x,,,,{MANY}", "fps must be above 0 and at most 1,000,000, got '11"),
        ("a,1,x,1s,,,1e305", "fps must be above 0 and at most 1,000,000, got '1e305'"),
        ("a,1,x,,,,nan", "fps must be above 0 and at most 1,000,000, got 'nan'"),
        ("a,1,x,,,,Infinity", "fps must be above 0 and at most 1,000,000"),
        ("a,1\0,x,,,,", "NUL"),
        (f"a,1,{'x' * 32768},,,,", "a cell has more than 32,767 characters"),
        (f"a,1,{'x' * 200000},,,,", "field larger than field limit"),
        ("a,1,x" + ",1" * 5000, "expected 7 fields, as in the header, got 5003"),
        ("../../other,1,x,,,,", r"'\.\./\.\./other' is not in .*/root"),
        ("a/../../../other,1,x,,,,", "is not in .*/root"),
        ("/etc,1,x,,,,", "'/etc' is not in "),
        ("/dev/zero,1,x,,,,", "'/dev/zero' is not in "),
    ],
)
def test_a_hostile_row_is_listed_and_the_others_are_used(root, tmp_path, row, reason):
    write_clip(tmp_path / "other")
    (root / "happy" / "a").symlink_to(root / "happy" / "s1" / "a")
    path = root / "happy" / "clips.csv"
    path.write_text(rows("s1/a,1,x,,,,", row, "s2/a,2,x,,,,"))
    found = survey("folder", path)
    assert list(found.table["subject"]) == ["1", "2"]
    (omission,) = found.unusable
    assert omission.where == f"{path}, line 3"
    with pytest.raises(InputError, match=reason):
        raise InputError(omission.reason)
    assert "\n" not in omission.reason and len(omission.reason) < 500


def test_the_root_tells_where_a_list_may_take_clips_from(root, tmp_path):
    write_clip(tmp_path / "other")
    path = root / "clips.csv"
    path.write_text(rows("../other,1,x,,,,", f"{tmp_path}/other,2,x,,,,", "happy/s1/a,3,x,,,,"))
    assert list(survey("folder", path).table["subject"]) == ["3"]
    found = survey("folder", tmp_path, annotations=path)
    assert list(found.table["subject"]) == ["1", "2", "3"] and not found.unusable


def test_guarded_cells_of_our_lists_are_the_names_again(root, tmp_path):
    names = ["=1+1", "-1", "@a", "'=x", "+"]
    path, listed = root / "clips.csv", tmp_path / "list.csv"
    path.write_text(rows(*(f"happy/s1/a,{guarded(name)},x,,,," for name in names)))
    found = survey("folder", path)
    assert sorted(found.table["subject"]) == sorted(names)
    listed.write_text("subject,clip\n" + "".join(f"{guarded(name)},a\n" for name in names))
    assert len(survey("folder", path, clips=listed).table) == len(names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fps": 0}, r"dataset\.json does not hold what it should: .*\$.fps"),
        ({"fps": "x"}, r"\$.fps"),
        ({"fps": 1e300}, r"\$.fps"),
        ({"name": "casme2"}, r"\$.name"),  # no other set's name
        ({"name": 3}, r"\$.name"),
        ({"fps": float("nan")}, "is not a finite number|not valid JSON"),
    ],
)
def test_what_a_manifest_says_is_checked(root, content, message):
    whole = {"name": "semi-synthetic", "generator": "originet.synth", "fps": 200}
    (root / "dataset.json").write_text(json.dumps(whole | content))
    with pytest.raises(InputError, match=message):
        survey("folder", root)


def mutated(data, generator):
    """Returns a copy of some bytes with a few mistakes in it."""
    data = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        place = generator.randrange(len(data))
        kind = generator.randrange(5)
        if kind == 0:
            data[place] ^= 1 << generator.randrange(8)
        elif kind == 1:
            data[place : place + 4] = pack("<i", generator.choice((-1, 0, 1, 2**31 - 1, -(2**31))))
        elif kind == 2:
            del data[place : place + generator.randint(1, 40)]
        elif kind == 3:
            data[place:place] = data[place : place + generator.randint(1, 40)]
        else:
            data[place : place + 1] = generator.choice((b'"', b",", b"\n", b"\0", b"<", b"&", b"9"))
        data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.parametrize("kind", ["xls", "xlsx", "xml", "csv", "list", "bench"])
def test_mistakes_in_a_file_end_in_a_table_or_one_line(root, kind):
    generator = random.Random(0)
    suffix = {"xls": "xls", "xlsx": "xlsx", "xml": "xlsx"}.get(kind, "csv")
    path = root / f"a.{suffix}"
    if suffix == "csv":
        read = {
            "csv": lambda: survey("folder", path),
            "list": lambda: read_clip_list(path),
            "bench": lambda: timings.read_csv(path),
        }[kind]
        timings.write_csv(path, [bench_row()])
        texts = {"csv": rows("happy/s1/a,1,x,1,2,3,25", 'happy/s2/a,2,"y",,,,')}
        texts["list"] = "subject,clip,dataset\ns1,a,folder\ns2,a,folder\n"
        path.write_text(texts.get(kind) or path.read_text())
    else:
        read = lambda: read_workbook(path)  # noqa: E731
        clips = [[1, f"EP0{n}", 1, 2.5, None, 9, "4+L10", "happiness"] for n in range(3)]
        write_workbook(path, {"s": [HEADER, *clips], "t": [["text"]]})
    data = path.read_bytes()
    whole = read()
    refused = 0
    for _ in range(150):
        if kind == "xml":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            name = generator.choice([name for name in parts if "theme" not in name])
            parts[name] = mutated(parts[name], generator)
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in parts.items():
                    archive.writestr(name, content)
        else:
            path.write_bytes(mutated(data, generator))
        try:
            assert isinstance(read(), type(whole))
        except InputError as error:
            refused += 1
            message = str(error)
            assert "\n" not in message and len(message) < 3000
            assert str(path) in message or str(root) in message
    assert refused > 10
