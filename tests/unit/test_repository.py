# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of CONTRIBUTING.md that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODULES = sorted(ROOT.glob("plugins/modules/*.py"))
LIBRARY = sorted(ROOT.glob("plugins/module_utils/*.py"))

# Places that exist on one machine only, and the sources of packages, which are the business of the machine's
# configuration and never of the repository.
FOREIGN = re.compile(
    r"(?<![\w.~}/-])/(?:work|home/\w+|Users)/"
    r"|/root/(?!\.)"
    r"|--(?:extra-)?index-url|--trusted-host|find-links"
    r"|pypi\.org|pythonhosted\.org"
)


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", ":!collections"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for path in (ROOT / name for name in names.split("\0") if name) if path.is_file()]


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def longer_than(limit: int, paths: list[Path]) -> dict[str, int]:
    return {str(path.relative_to(ROOT)): lines(path) for path in paths if lines(path) > limit}


def assigned(module: Path) -> dict[str, ast.Assign]:
    """The assignments at the top of a file by name, DOCUMENTATION and its sisters among them."""
    body = ast.parse(module.read_text()).body
    return {
        node.targets[0].id: node
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def text(module: Path, name: str) -> str:
    value = assigned(module)[name].value
    assert isinstance(value, ast.Constant)
    assert isinstance(value.value, str)
    return value.value


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def test_action_group_holds_every_module() -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["postgres"] == [module.stem for module in MODULES]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_has_three_examples(module: Path) -> None:
    examples: list[Any] = yaml.safe_load(text(module, "EXAMPLES"))
    assert len(examples) >= 3


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_says_what_may_be_expected_of_it(module: Path) -> None:
    documentation = yaml.safe_load(text(module, "DOCUMENTATION"))
    assert "version_added" in documentation
    assert {"check_mode", "diff_mode", "idempotent"} <= set(documentation["attributes"])


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_is_thin(module: Path) -> None:
    end = assigned(module)["RETURN"].end_lineno
    code = [line for line in module.read_text().splitlines()[end:] if line.strip()]
    assert len(code) <= 80


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_library_is_private_and_knows_no_ansible(path: Path) -> None:
    assert path.name.startswith("_")
    assert path.name == "_module.py" or "ansible" not in imported(path)


def test_files_can_be_read_in_one_sitting() -> None:
    files = tracked()
    assert longer_than(400, [path for path in files if path.suffix == ".py"]) == {}
    assert longer_than(100, [path for path in files if path.match("roles/*/tasks/*.yml")]) == {}
    assert longer_than(40, [path for path in files if path.match("roles/*/tasks/main.yml")]) == {}
    assert longer_than(20, [path for path in files if path.match("playbooks/*.yml")]) == {}
    assert longer_than(120, [ROOT / "README.md"]) == {}


def test_nothing_belongs_to_one_machine() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if FOREIGN.search(line):
                found.append("%s:%d: %s" % (path.relative_to(ROOT), number, line.strip()))
    assert found == []


def test_no_finding_is_ignored() -> None:
    lint = yaml.safe_load((ROOT / ".ansible-lint").read_text())
    assert lint["profile"] == "production"
    assert lint["skip_list"] == []
    assert lint["warn_list"] == []
    assert [path.name for path in ROOT.glob("tests/sanity/ignore*")] == []


def test_every_playbook_says_its_inputs_its_interruption_and_its_undo() -> None:
    section = (ROOT / "docs/operations.md").read_text().partition("## Every playbook\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    playbooks = sorted(ROOT.glob("playbooks/*.yml"))
    assert [row[0].strip("`") for row in rows] == [path.stem for path in playbooks]
    for path, (_name, inputs, interruption, undo) in zip(playbooks, rows):
        asked = re.findall(r"\{\{ (\w+) \| (?:default|mandatory)\(", path.read_text())
        assert [variable for variable in asked if not re.search(r"`%s\b" % variable, inputs)] == [], path.name
        assert all(words.strip() for words in (interruption, undo)), path.name


@pytest.mark.parametrize("page", ["guarantees", "security"])
def test_every_guarantee_names_a_test_that_exists(page: str) -> None:
    tests = ROOT / "tests"
    text = (ROOT / "docs" / (page + ".md")).read_text()
    named = re.findall(r"`((?:integration|molecule|unit)/\w+|\w+\.py::\w+)`", text)
    missing = []
    for name in sorted(set(named)):
        kind, _slash, rest = name.partition("/")
        if "::" in name:
            file, _colons, function = name.partition("::")
            there = "def %s(" % function in (tests / "integration" / file).read_text()
        elif kind == "unit":
            there = (tests / "unit/plugins/module_utils" / (rest + ".py")).is_file()
        elif kind == "molecule":
            there = (ROOT / "molecule" / rest / "molecule.yml").is_file()
        else:
            there = (tests / "integration/targets" / rest / "tasks/main.yml").is_file()
        if not there:
            missing.append(name)
    assert named
    assert missing == []
