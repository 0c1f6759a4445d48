"""What the pages of docs/ say is so: code runs; commands, files and names exist."""

import csv
import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from trees_casme2 import Coded, numbered_rows, write_casme2, write_objective_classes

import originet
import originet_ext
from originet import cli, synth
from originet.datasets import survey
from originet.datasets.check import to_text, validate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.glob("*.md")),
    *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING", "SECURITY")),
]
BLOCKS = [
    (path, language, code)
    for path in PAGES
    for language, code in re.findall(
        r"^```(\w+)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL
    )
]
PYTHON = [
    pytest.param(
        path,
        code,
        id=f"{path.stem}-{index}",
        marks=[pytest.mark.needs_landmarks] if "LandmarkTracker" in code else [],
    )
    for index, (path, language, code) in enumerate(BLOCKS)
    if language == "python" and path.parent == DOCS
]
COMMANDS = [
    (path, line.partition("  #")[0])
    for path, language, code in BLOCKS
    if language == "sh"
    for line in code.splitlines()
    if line.startswith("originet ")
]
# Options which the test adds, so that a command ends in seconds: the last of two counts.
QUICK = {
    "synth": "--subjects 3 --clips-per-class 1",
    "prepare": "--image-size 16",
    "loso": "--epochs 1 --rotation 0 --no-equalize",
    "train": "--seeds 1",
    "ablation": "--epochs 1 --rotation 0 --no-equalize",
    "compare": "--epochs 1 --rotation 0 --no-equalize --network MobileNetV2 --network LBP-TOP",
    "reproduce": "--image-size 32 --network OrigiNet",
}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "code"), PYTHON)
def test_python_blocks_run(path, code, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, path.name, "exec"), {})


def test_pages_with_code_have_some_to_run():
    pages = {parameters.values[0].stem for parameters in PYTHON}
    assert pages == {"activation", "active-images", "evaluation", "videos"}


@pytest.mark.slow
def test_commands_run_one_after_the_other(tmp_path, monkeypatch):
    commands = [line for path, line in COMMANDS if path.name == "commands.md"]
    assert len(commands) == 19
    monkeypatch.chdir(tmp_path)
    shutil.copy(synth.carphone_path(), "clip.mp4")
    for command in commands:
        words = shlex.split(command)
        words += shlex.split(QUICK.get(words[1], ""))
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code, command
    files = ("active.png", "methods.png", "phases.png", "motion.gif")
    made = ("results/report.html", "ablation/ablation.csv", "comparison/compare.csv")
    for name in (*files, *made, "reproduction/report.html"):
        assert Path(name).exists()
    assert len(list(Path("active-images").rglob("*.png"))) == 12


def test_commands_and_options_exist(run):
    """Of all pages, also where a command needs data that nobody may pass on."""
    helps: dict[str, str] = {}
    for path, line in COMMANDS:
        name, *words = shlex.split(line)[1:]
        if name not in helps:
            code, helps[name], _ = run(name, "-h")
            assert code == 0, f"{path.name}: {line}"
        for option in (word for word in words if re.fullmatch(r"--?[a-z-]+", word)):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", helps[name]), f"{path.name}: {line}"


def test_every_command_has_a_row(run):
    listed = re.findall(r"^  (\w+) ", run("-h")[1].partition("Commands:")[2], re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(listed) and len(rows) > 10


def test_linked_and_named_files_exist():
    folders = "bench|tests|docs|csrc|examples|originet_ext|build_tools|python/originet"
    for path in PAGES:
        text = path.read_text()
        for link in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
        for name in re.findall(rf"(?<![\w/.])(?:{folders})/[\w./-]*\w", text):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_links_to_headings_lead_somewhere():
    for path in PAGES:
        for link, anchor in re.findall(r"\]\(([\w.-]*\.md)?#([\w-]+)\)", path.read_text()):
            target = path.parent / link if link else path
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}
            assert anchor in slugs, f"{path.name}: {link}#{anchor}"


def sources() -> Iterator[Path]:
    """The files of all modules, which are not imported: some replace what others registered."""
    for package in (originet, originet_ext):
        yield Path(package.__file__)
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            origin = Path(str(importlib.util.find_spec(info.name).origin))
            if origin.suffix == ".py":
                yield origin


def resolve(name: str) -> object:
    """Finds what a dotted name names: a module, or something in one, such as a class's field."""
    words = name.split(".")
    for length in range(len(words), 0, -1):
        module = ".".join(words[:length])
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # the name before its last dot is no package
            continue
        if spec is None:
            continue
        found = importlib.import_module(module) if length < len(words) else spec
        for word in words[length:]:
            if dataclasses.is_dataclass(found) and word in found.__dataclass_fields__:
                found = found.__dataclass_fields__[word]
            else:
                found = getattr(found, word)
        return found
    raise ModuleNotFoundError(name)


def test_names_in_pages_and_sources_can_be_imported():
    texts = {path.name: path.read_text() for path in PAGES}
    texts |= {str(path.relative_to(ROOT)): path.read_text() for path in sources()}
    wrong, count = [], 0
    for where, text in texts.items():
        names = set(re.findall(r"`(originet(?:_ext)?(?:\.\w+)+)[`(]", text))
        names |= set(re.findall(r"^\.\. auto\w+:: ([\w.]+)", text, re.MULTILINE))
        for name in names:
            count += 1
            try:
                resolve(name)
            except (ImportError, AttributeError):
                wrong.append(f"{where}: {name}")
    assert not wrong
    assert count > 60


def test_resolve_finds_what_there_is_and_nothing_else():
    assert resolve("originet_ext.FusedRReLU.forward") is originet_ext.FusedRReLU.forward
    assert resolve("originet.Config.epochs")
    for name in ("originet.nothing", "originet_ext.FusedRReLU.nothing"):
        with pytest.raises((ImportError, AttributeError)):
            resolve(name)


def test_every_public_name_is_in_the_reference():
    page = (DOCS / "api.md").read_text()
    for package in (originet, originet_ext):
        for name in package.__all__:
            assert re.search(rf":: {package.__name__}(\.\w+)*\.{name}$", page, re.MULTILINE), name


def test_pictures_are_what_the_program_draws():
    drawn = runpy.run_path(str(DOCS / "draw_pictures.py"))["pictures"]()
    # The folder beside them is of bench/study_reproduction.py, which needs hours.
    pictures = {path.name for path in (DOCS / "pictures").iterdir()} - {"reproduction"}
    assert {f"{name}.png" for name in drawn} == pictures
    for name, picture in drawn.items():
        committed = cv2.imread(str(DOCS / "pictures" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        assert committed.shape == picture.shape
        # Other versions of OpenCV may round the warps of the generator in another way.
        assert np.abs(committed.astype(int) - picture).mean() < 3, name


def test_the_page_shows_the_report_of_a_tree_of_the_tests(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path("data/casme2")
    rows = [row for row in numbered_rows(64) if row.subject in (1, 2, 7, 9, 17)]
    rows.append(Coded(2, "EP11_01", 7, 9, "12?", 4, "others", range(7, 13)))
    write_casme2(root, rows=rows, without={(7, "EP32_03")})
    write_objective_classes(root)
    (root / "Cropped/Cropped/sub01/EP02_01f/reg_img50.jpg").unlink()
    (root / "Cropped/Cropped/sub02/EP08_1/reg_img9.jpg").write_bytes(b"")
    report = to_text(validate(survey("casme2", root)))
    # A workbook holds the time at which it was written.
    report = re.sub(r"(?<=SHA-256 )[0-9a-f]{64}(?=\))", "...", report)
    shown = (DOCS / "data.md").read_text()
    shown = shown.split("<!-- check:begin -->")[1].split("<!-- check:end -->")[0]
    assert shown == f"\n\n```text\n{report}\n```\n\n", f"docs/data.md should show:\n{report}"


def test_the_table_of_wheels_is_what_was_tried():
    matrix = runpy.run_path(str(ROOT / ".ci" / "wheel_matrix"))
    assert matrix["BEGIN"] + matrix["table"]() + matrix["END"] in matrix["PAGE"].read_text()
    with open(matrix["ROWS"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["Python"].split(".")[1] for row in rows} == {"10", "11", "12", "13", "14"}
    assert all(re.fullmatch(r"\d{3,} passed", row["tests"]) for row in rows)
