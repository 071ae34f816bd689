# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules dump, dump_info and dump_restore in process, with a keeper that answers as the real one does."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pgkeep.postgres.plugins.module_utils import _module
from ansible_collections.pgkeep.postgres.plugins.module_utils._actor import ANSIBLE, actor
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.modules import dump, dump_info, dump_restore

EXEC = ["docker", "exec", "--user", "999:999", "orders-keeper", "pgkeep", "--actor", actor(ANSIBLE)]
TAKEN = {"dump": {"run": "2026-11-21_020005"}, "changed": True, "plan": {"databases": ["shop"]}, "removed": []}
RESTORED = {"dump_restore": {"database": "shop"}, "changed": True, "plan": {"into": "shop"}}
BUSY = {"what": "The dump of orders cannot start", "why": "held", "next_step": "repeat", "busy": True}

Ran = Callable[..., dict[str, Any]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run a module's main() against a keeper with this answer; asked is what the keeper was asked."""

    def run(module: Any, answer: Any, **options: Any) -> dict[str, Any]:
        asked: list[tuple[list[str], Optional[float]]] = []

        def keeper(argv: list[str], data: Any = None, env: Any = None, timeout: Optional[float] = None) -> Result:
            asked.append((argv, timeout))
            if isinstance(answer, PgkeepError):
                raise answer
            return Result(75 if "error" in answer else 0, json.dumps(answer))

        monkeypatch.setattr(_module, "run", keeper)
        with patch_module_args({"name": "orders", **options}), pytest.raises(SystemExit):
            module.main()
        return {**json.loads(capsys.readouterr().out), "asked": asked}

    return run


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["dump"]),
        ({"databases": ["shop", "--check"]}, ["dump", "--database=shop", "--database=--check"]),
        ({"_ansible_check_mode": True}, ["dump", "--check"]),
    ],
)
def test_a_dump(ran: Ran, options: dict[str, Any], words: list[str]) -> None:
    result = ran(dump, TAKEN, **options)
    assert result["asked"] == [(EXEC + words, 86400)]
    assert {key: result[key] for key in TAKEN} == TAKEN


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["--schema=public"]),
        ({"table": "-t", "schema": "sales", "into": "a b"}, ["--schema=sales", "--table=-t", "--into=a b"]),
        ({"exchange": True, "confirm": "shop"}, ["--schema=public", "--confirm=shop", "--exchange"]),
        ({"_ansible_check_mode": True}, ["--schema=public", "--check"]),
    ],
)
def test_a_restore(ran: Ran, options: dict[str, Any], words: list[str]) -> None:
    result = ran(dump_restore, RESTORED, database="shop", **options)
    assert result["asked"] == [([*EXEC, "dump-restore", "--database=shop", *words], 86400)]
    assert {key: result[key] for key in RESTORED} == RESTORED


@pytest.mark.parametrize("verify, words", [(False, ["dumps"]), (True, ["dumps", "--verify"])])
@pytest.mark.parametrize("check", [False, True])
def test_info_changes_nothing(ran: Ran, verify: bool, words: list[str], check: bool) -> None:
    result = ran(dump_info, {"dumps": {"runs": []}}, verify=verify, _ansible_check_mode=check)
    assert result["asked"] == [(EXEC + words, 86400)]
    assert (result["changed"], result["dumps"]) == (False, {"runs": []})


@pytest.mark.parametrize("module, options", [(dump, {}), (dump_info, {}), (dump_restore, {"database": "shop"})])
def test_the_keepers_own_error(ran: Ran, module: Any, options: dict[str, Any]) -> None:
    result = ran(module, {"error": BUSY}, **options)
    assert result["failed"] is True
    assert result["error"] == BUSY


def test_a_dump_that_takes_longer_goes_on(ran: Ran) -> None:
    late = PgkeepError("The command docker did not end", "it was still running after 0 s")
    result = ran(dump, late, timeout_seconds=0)
    assert result["error"]["what"] == "The command dump of orders is not finished"
    assert "it goes on in the keeper" in result["error"]["why"]


def test_both_modules_document_the_same_run() -> None:
    one = yaml.safe_load(dump.RETURN)["dump"]["contains"]
    other = yaml.safe_load(dump_info.RETURN)["dumps"]["contains"]["runs"]["contains"]
    assert one == other
