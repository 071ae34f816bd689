# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of a role is its documentation, so it must say what defaults/main.yml says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils._majors import END_OF_LIFE

ROLES = sorted(path for path in Path(__file__).parents[3].glob("roles/*") if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


def entry_point(role: Path) -> dict[str, Any]:
    return load(role / "meta/argument_specs.yml")["argument_specs"]["main"]


def options(role: Path) -> dict[str, Any]:
    return entry_point(role).get("options", {})


def defaults(role: Path) -> dict[str, Any]:
    path = role / "defaults/main.yml"
    return load(path) if path.exists() else {}


def documented(options: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Every option by its dotted name, those of options inside options too."""
    found = {}
    for name, option in options.items():
        found[where + name] = option
        found.update(documented(option.get("options", {}), "%s%s." % (where, name)))
    return found


def test_there_are_roles() -> None:
    assert ROLES


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_equal_the_specification(role: Path) -> None:
    assert defaults(role) == {name: spec["default"] for name, spec in options(role).items() if "default" in spec}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_says_what_may_be_expected_of_it(role: Path) -> None:
    assert {"short_description", "description", "version_added", "attributes"} <= set(entry_point(role))
    assert {"check_mode", "diff_mode", "idempotent"} <= set(entry_point(role)["attributes"])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_required_option_has_a_default(role: Path) -> None:
    assert [name for name, spec in options(role).items() if spec.get("required") and "default" in spec] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_named_after_the_role_and_described(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(role.name + "_")] == []
    assert [name for name, spec in documented(options(role)).items() if not spec.get("description")] == []


def conditions(tasks: list[dict[str, Any]]) -> list[str]:
    """The words of every when of a task file, those inside blocks too."""
    found: list[str] = []
    for task in tasks:
        wish = task.get("when", [])
        found += [str(words) for words in (wish if isinstance(wish, list) else [wish])]
        for part in ("block", "rescue", "always"):
            found += conditions(task.get(part, []))
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_condition_takes_the_text_that_the_command_line_gives_for_a_boolean(role: Path) -> None:
    """ansible-playbook -e name=false hands over a text, which Ansible refuses as a condition."""
    words = [words for path in sorted(role.glob("tasks/*.yml")) for words in conditions(load(path) or [])]
    for name in (name for name, spec in options(role).items() if spec["type"] == "bool"):
        assert [found for found in words if re.search(r"\b%s\b(?! *\| *bool\b)" % name, found)] == []


def test_the_majors_of_the_role_are_those_the_library_knows() -> None:
    majors = options(Path(__file__).parents[3] / "roles/postgres_server")["postgres_server_major"]["choices"]
    assert majors == sorted(END_OF_LIFE)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_internal_variables_are_marked_as_such(role: Path) -> None:
    path = role / "vars/main.yml"
    names = load(path) if path.exists() else {}
    assert [name for name in names if not name.startswith("__%s_" % role.name)] == []
