"""Which package of `originet` may import which: the table, and no circle; and where tests are."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import originet

ROOT = Path(originet.__file__).parent

# From the bottom to the top; packages of one layer do not import each other.
BELOW: dict[str, set[str]] = {"system": set()}
BELOW["clips"] = {"system", "originet_ext"}
BELOW["drawing"] = {"system"}
BELOW["training"] = {"system", "originet_ext"}
BELOW["datasets"] = {"system", "clips", "originet_ext"}
BELOW["evaluation"] = {"system", "drawing", "training", "datasets", "originet_ext"}
BELOW["paper"] = {*BELOW["evaluation"], "clips", "evaluation"}
BELOW["bench"] = {*BELOW["paper"]}
BELOW["deploy"] = {*BELOW["paper"]}
BELOW["spotting"] = {*BELOW["deploy"], "deploy"}
BELOW["cli"] = {*BELOW["paper"], "paper", "bench", "deploy", "spotting"}

# Heavy or optional, and what few modules may therefore import.
ONLY_IN = {
    "matplotlib": ("/figures.py", "clips/pictures.py"),  # the latter for a font's file
    "typer": ("cli/",),
    "rich": ("cli/",),
    "ray": ("evaluation/ray_executor.py",),
}

MODULES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Names what a module imports, wherever in it: in functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} imports by a relative name"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def test_every_package_has_its_place():
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(BELOW)
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_is_below_it(package):
    wrong = set()
    for path in (ROOT / package).rglob("*.py"):
        for name in imports(path):
            first, _, rest = name.partition(".")
            target = rest.partition(".")[0] if first == "originet" else first
            if first in ("originet", "originet_ext") and target not in BELOW[package] | {package}:
                wrong.add((str(path.relative_to(ROOT)), name))
            if first == "originet_ext" and any(part.startswith("_") for part in name.split(".")):
                wrong.add((str(path.relative_to(ROOT)), name))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("library", ONLY_IN)
def test_few_modules_import_what_is_heavy_or_optional(library):
    for path in MODULES:
        name = path.relative_to(ROOT).as_posix()
        if any(found.partition(".")[0] == library for found in imports(path)):
            assert any(name.startswith(place) or name.endswith(place) for place in ONLY_IN[library])


def test_no_circle():
    """Not even behind TYPE_CHECKING or inside functions."""
    names = {
        ".".join(("originet", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in MODULES
        if path.parent != ROOT
    }
    graph = {}
    for module, path in names.items():
        found = {name if name in names else name.rpartition(".")[0] for name in imports(path)}
        graph[module] = (found & set(names)) - {module}
    assert sum(map(len, graph.values())) > len(names)  # the walk sees them at all
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("package", BELOW)
def test_every_module_has_a_test_file_of_its_name(package):
    modules = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    tests = {path.name for path in (Path(__file__).parent / package).glob("test_*.py")}
    assert {f"test_{name}" for name in modules} <= tests
