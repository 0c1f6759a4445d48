"""What a release is made of says the same everywhere, and runs scripts that exist."""

import datetime
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PROJECT["project"]["version"]
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# What conda-forge calls distributions of PyPI.
CONDA = {"torch": "pytorch", "opencv-python": "py-opencv", "matplotlib": "matplotlib-base"}


def conda(requirements: list[str]) -> set[str]:
    """Requirements of pip in conda's words."""
    parsed = map(Requirement, requirements)
    return {f"{CONDA.get(each.name, each.name)} {each.specifier}".strip() for each in parsed}


def test_the_version_stands_in_one_place():
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert RECIPE["context"]["version"] == VERSION
    config = (ROOT / "docs" / "conf.py").read_text()
    assert VERSION not in config


def test_the_changelog_begins_with_what_is_unreleased_and_has_a_section_for_the_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\S+)", heading) for heading in headings[1:]]
    assert all(releases) and releases[0][1] == VERSION
    dates = [datetime.date.fromisoformat(release[2]) for release in releases]
    assert dates == sorted(dates, reverse=True)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_recipe_asks_for_what_pyproject_asks_for():
    project = PROJECT["project"]
    assert RECIPE["package"]["name"] == project["name"]
    assert RECIPE["about"]["license"] == project["license"]
    assert RECIPE["about"]["summary"] == project["description"]
    assert RECIPE["about"]["license_file"] == project["license-files"]
    python = f"python {project['requires-python']}"
    assert set(RECIPE["requirements"]["run"]) == conda(project["dependencies"]) | {python}
    torch = next(each for each in conda(project["dependencies"]) if each.startswith("pytorch"))
    build = conda(PROJECT["build-system"]["requires"])
    assert set(RECIPE["requirements"]["host"]) == build | {"python", "pip", torch}
    scripts = [f"{name} = {target}" for name, target in project["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == scripts


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_scripts_and_extras_that_exist(path):
    workflow = yaml.safe_load(path.read_text())
    extras = PROJECT["project"]["optional-dependencies"]
    commands = []
    for job in workflow["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file(), job["uses"]
        commands += [step["run"] for step in job.get("steps", ()) if "run" in step]
    for command in commands:
        for script in re.findall(r"(?:bash|python3?) (\S*/\S+)", command):
            assert (ROOT / script).is_file(), script
        for extra in re.findall(r"'\.\[(\w+)\]'", command):
            assert extra in extras


def test_publishing_needs_no_token():
    (path,) = (path for path in WORKFLOWS if "gh-action-pypi-publish" in path.read_text())
    publish = yaml.safe_load(path.read_text())["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"} and set(publish["needs"]) == {
        "version",
        "wheel",
    }
    assert "secrets." not in path.read_text()
