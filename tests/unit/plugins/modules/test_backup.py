# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules backup and backup_info in process, with a keeper that answers as the real one does."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_ask, _module
from ansible_collections.pgkeep.postgres.plugins.module_utils._actor import ANSIBLE, actor
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.modules import backup, backup_info

TAKEN = {"backup": {"label": "20261121-020004F"}, "changed": True, "plan": {"type": "full"}, "expired": []}
BUSY = {"what": "The backup of orders cannot start", "why": "held", "next_step": "repeat", "busy": True}


class Keeper:
    """docker exec into the keeper; answer is what it ends with."""

    def __init__(self, answer: Result) -> None:
        self.answer = answer
        self.calls: list[tuple[list[str], Optional[float]]] = []

    def __call__(self, argv: list[str], data: Any = None, env: Any = None, timeout: Optional[float] = None) -> Result:
        self.calls.append((argv, timeout))
        return self.answer


Ran = Callable[..., dict[str, Any]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run a module's main() with these options against the keeper and return what it printed."""

    def run(module: Any, keeper: Any, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(_module, "run", keeper)
        with patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


EXEC = ["docker", "exec", "--user", "999:999", "orders-keeper", "pgkeep", "--actor", actor(ANSIBLE)]


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["backup", "--type", "incr"]),
        ({"type": "full", "max_age_seconds": 60}, ["backup", "--type", "full", "--max-age", "60"]),
        ({"_ansible_check_mode": True}, ["backup", "--type", "incr", "--check"]),
    ],
)
def test_what_the_keeper_is_asked(ran: Ran, options: dict[str, Any], words: list[str]) -> None:
    keeper = Keeper(Result(0, json.dumps(TAKEN)))
    result = ran(backup, keeper, name="orders", **options)
    assert keeper.calls == [(EXEC + words, 86400)]
    assert {key: result[key] for key in TAKEN} == TAKEN


def test_info_changes_nothing(ran: Ran) -> None:
    keeper = Keeper(Result(0, json.dumps({"backup_info": {"status": "ok"}})))
    for mode in (False, True):
        result = ran(backup_info, keeper, name="orders", _ansible_check_mode=mode)
        assert (result["changed"], result["backup_info"]) == (False, {"status": "ok"})
    assert keeper.calls == [([*EXEC, "info"], _backup_ask.INFO_SECONDS)] * 2


@pytest.mark.parametrize("module", [backup, backup_info])
def test_the_keepers_own_error(ran: Ran, module: Any) -> None:
    result = ran(module, Keeper(Result(75, json.dumps({"error": BUSY}))), name="orders")
    assert result["failed"] is True
    assert result["error"] == BUSY
    assert result["msg"] == "The backup of orders cannot start. Why: held. Next: repeat."


@pytest.mark.parametrize("module", [backup, backup_info])
@pytest.mark.parametrize(
    "words", ["Error: No such container: orders-keeper", "Error response from daemon: Container 12ab is not running"]
)
def test_no_keeper(ran: Ran, module: Any, words: str) -> None:
    result = ran(module, Keeper(Result(1, "", words)), name="orders")
    assert result["error"]["what"] == "The keeper of orders cannot be asked"
    assert result["error"]["why"] == words
    assert "docker start orders-keeper" in result["error"]["next_step"]


@pytest.mark.parametrize("module", [backup, backup_info])
def test_an_answer_that_is_none(ran: Ran, module: Any) -> None:
    result = ran(module, Keeper(Result(137, "", "Traceback\nMemoryError")), name="orders")
    assert result["error"]["why"] == "exit code 137: MemoryError"


def test_a_backup_that_takes_longer_goes_on(ran: Ran) -> None:
    def slow(argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        raise PgkeepError("The command docker did not end", "it was still running after 0 s")

    result = ran(backup, slow, name="orders", timeout_seconds=0)
    assert result["error"]["what"] == "The backup of orders is not finished"
    assert "it goes on in the keeper" in result["error"]["why"]


def test_both_modules_document_the_same_backup() -> None:
    one = yaml.safe_load(backup.RETURN)["backup"]["contains"]
    other = yaml.safe_load(backup_info.RETURN)["backup_info"]["contains"]["backups"]["contains"]
    assert one == other
