# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules drill, restore and database_restore in process: options, documentation, failures."""

from __future__ import annotations

import importlib
import json
from typing import Any, Callable

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pgkeep.postgres.plugins.module_utils import _module
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_record import Drill, DrillError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.modules import database_restore, drill, restore

Ran = Callable[..., dict[str, Any]]

# A name that no machine has an instance of.
NAME = "not-there"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run a module's main() with these options and return what it printed."""
    monkeypatch.setattr(_module, "run", lambda argv, **_rest: Result(1, "", "never asked"))

    def run(module: Any, **options: Any) -> dict[str, Any]:
        with patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.mark.parametrize("module", [drill, restore])
def test_the_name_is_needed(ran: Ran, module: Any) -> None:
    assert ran(module)["msg"] == "missing required arguments: name"


@pytest.mark.parametrize("module", [drill, restore])
def test_an_instance_that_is_not_there(ran: Ran, module: Any) -> None:
    result = ran(module, name=NAME, **({"confirm": NAME} if module is restore else {}))
    assert result["failed"] is True
    assert result["error"]["what"] == "The instance not-there is not known on this host"
    assert "deploy.yml" in result["error"]["next_step"]


def test_a_restore_without_confirm_says_what_to_add(ran: Ran) -> None:
    result = ran(restore, name=NAME)
    assert result["msg"].startswith("The restore of not-there is not confirmed. Why: confirm is not given. Next: ")
    assert "confirm=not-there" in result["error"]["next_step"]


def test_label_and_time_are_two_targets(ran: Ran) -> None:
    result = ran(restore, name=NAME, confirm=NAME, label="20261121-225358F", time="2026-11-21T22:54:00Z")
    assert result["msg"] == "parameters are mutually exclusive: label|time"


@pytest.mark.parametrize("option", [{"memory": "much"}, {"cpus": "-1"}])
def test_limits_that_cannot_be_read(ran: Ran, option: dict[str, str]) -> None:
    result = ran(drill, name=NAME, **option)
    assert "%s" % next(iter(option.values())) in result["error"]["what"]


def test_a_failed_drill_keeps_its_object(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> dict[str, Any]:
        failed = Drill(NAME, "20261121-225358F", passed=False)
        failed.check("rows", lambda: (False, "too few"))
        raise DrillError(failed, "rows: too few", "compare them")

    monkeypatch.setattr(drill, "on_host", lambda *_arguments: None)
    monkeypatch.setattr(drill, "drill", fail)
    result = ran(drill, name=NAME)
    assert result["failed"] is True
    assert result["msg"].endswith("failed. Why: rows: too few. Next: compare them.")
    assert result["drill"]["checks"][0]["detail"] == "too few"
    assert result["drill"]["error"] == result["error"]


@pytest.mark.parametrize("module", [drill, restore, database_restore])
def test_documentation_and_options_are_the_same(module: Any) -> None:
    documentation = yaml.safe_load(module.DOCUMENTATION)
    documented = dict(documentation["options"])
    for fragment in documentation["extends_documentation_fragment"]:
        name = "ansible_collections.pgkeep.postgres.plugins.doc_fragments." + fragment.rsplit(".", 1)[1]
        more = yaml.safe_load(importlib.import_module(name).ModuleDocFragment.DOCUMENTATION)
        documented.update(more.get("options", {}))
    assert documented.keys() == module.SPEC.keys()
    for name, option in documented.items():
        assert option["type"] == module.SPEC[name]["type"], name
        assert option.get("default") == module.SPEC[name].get("default"), name


@pytest.mark.parametrize("module", [drill, restore, database_restore])
def test_the_documented_result_is_what_comes(module: Any) -> None:
    key = module.__name__.rsplit(".", 1)[1]
    documented = yaml.safe_load(module.RETURN)[key]["contains"]
    if key == "drill":
        assert documented.keys() == Drill(NAME, "x").to_result().keys()
    keys = {"description", "type", "returned", "sample"}
    assert [name for name, value in documented.items() if "contains" not in value and not keys <= value.keys()] == []


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "missing required arguments: database"),
        (
            {"database": "shop", "xid": "7", "lsn": "0/7"},
            "parameters are mutually exclusive: time|restore_point|lsn|xid",
        ),
        ({"database": "shop"}, "The database shop was not restored. Why: no moment is named"),
        ({"database": "shop", "time": "2026-11-21T22:54:00"}, "it has no timezone"),
        ({"database": "shop", "immediate": True, "exchange": True}, "confirm does not name it"),
        ({"database": "shop", "immediate": True, "exchange": True, "table": "t"}, "cannot take the place of the whole"),
        ({"database": "shop", "immediate": True}, "The instance not-there is not known on this host"),
    ],
)
def test_a_database_is_not_restored(ran: Ran, options: dict[str, Any], words: str) -> None:
    assert words in ran(database_restore, name=NAME, **options)["msg"]
