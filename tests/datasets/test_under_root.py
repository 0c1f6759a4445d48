"""All published sets under one root: which are found, and that none takes another's for its own."""

import json
import shutil

import pytest
from trees_cas_me2 import write_cas_me2
from trees_casme import write_casme
from trees_casme2 import write_casme2
from trees_casme3 import CLIPS as CASME3
from trees_casme3 import write_casme3
from trees_dfme import CLIPS as DFME
from trees_dfme import write_dfme
from trees_fourdme import CLIPS as FOURDME
from trees_fourdme import write_fourdme
from trees_mmew import CLIPS as MMEW
from trees_mmew import write_mmew
from trees_samm import write_samm
from trees_smic import CLIPS as SMIC
from trees_smic import write_smic

from originet.datasets.under_root import PUBLISHED, all_to_json, look_under, to_text
from originet.system.errors import InputError

COUNTS = {"casme": 8, "casme2": 7, "cas_me2": 6, "samm": 6, "smic": len(SMIC)}
COUNTS |= {"casme3": len(CASME3), "mmew": len(MMEW), "dfme": len(DFME), "fourdme": len(FOURDME)}


def write_all(root):
    """All workbooks side by side, under names that tell nothing."""
    write_casme(root, workbook="a.xls")
    write_casme2(root, workbook="b.xlsx")
    write_cas_me2(root, workbook="c.xlsx", trees=("cropped", "rawpic"))
    write_samm(root, workbook="d.xlsx", subject=int)
    write_smic(root, workbook="e.xlsx", layouts=("cropped", "long"))
    write_casme3(root, workbook="f.xlsx")
    write_mmew(root, workbook="g.xlsx")
    write_dfme(root, workbook="h.xlsx")
    write_fourdme(root, workbook="i.xlsx")


@pytest.mark.slow
def test_every_set_finds_its_own(tmp_path):
    write_all(tmp_path)
    result = look_under(tmp_path)
    assert not result.unusable and not result.absent and result.sound
    assert {found.dataset: len(found.table) for found in result.found} == COUNTS
    assert "".join(found.annotations.stem for found in result.found) == "abcdefghi"
    assert len({found.frames for found in result.found}) == len(PUBLISHED)
    text = to_text(result).split("\n")
    assert len(text) == 4 * len(PUBLISHED)
    assert text[16:20] == [
        "smic: 6 usable clips of 3 subjects (2 corrections)",
        f"  annotations: {tmp_path / 'e.xlsx'}",
        f"  frames: {tmp_path / 'SMIC_all_cropped/HS'} (cropped)",
        f"  details: originet check smic {tmp_path}",
    ]


def test_what_is_incomplete_or_absent_is_named(tmp_path):
    write_smic(tmp_path, workbook=None)
    write_mmew(tmp_path)
    write_dfme(tmp_path)
    shutil.rmtree(tmp_path / "DFME_train")
    frames = tmp_path / "Micro_Expression" / "happiness" / "S01-01-001"
    (frames / "20.jpg").unlink()
    (frames.parents[1] / "disgust/S01-02-001/8.jpg").unlink()
    result = look_under(tmp_path)
    assert [found.dataset for found in result.found] == ["smic", "mmew"] and not result.sound
    text = to_text(result)
    assert "  annotations: the names of folders\n" in text
    assert "mmew: 3 usable clips of 3 subjects (1 unusable, 1 incomplete, 1 corr" in text
    assert f"dfme: no usable clip: no frames in {tmp_path}: looked for DFME_train/sub" in text
    assert text.endswith("not found: casme, casme2, cas_me2, samm, casme3, fourdme")
    record = json.loads(json.dumps(all_to_json(result)))
    assert [each["dataset"] for each in record["found"]] == ["smic", "mmew"]
    assert record["absent"] == list(result.absent) and list(record["unusable"]) == ["dfme"]


def test_an_empty_root_has_no_set(tmp_path):
    result = look_under(tmp_path)
    assert result.absent == list(PUBLISHED) and not result.sound
    assert to_text(result).startswith(f"no data set under {tmp_path}\nnot found: casme, ")
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        look_under(tmp_path / "nowhere")
