# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules health and preflight in process, with an engine that does not answer: options, check mode, failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pgkeep.postgres.plugins.module_utils import _module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.modules import health, preflight

Ran = Callable[..., dict[str, Any]]

# A name that no machine has an instance of.
NAME = "not-there"


def unreachable(argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
    return Result(1, "", "Cannot connect to the Docker daemon at unix:///nonexistent. Is the docker daemon running?")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run a module's main() with these options and return what it printed."""
    monkeypatch.setattr(_module, "run", unreachable)

    def run(module: Any, **options: Any) -> dict[str, Any]:
        with patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.mark.parametrize("module", [health, preflight])
def test_the_name_is_needed(ran: Ran, module: Any) -> None:
    assert ran(module)["msg"] == "missing required arguments: name"


@pytest.mark.parametrize("module", [health, preflight])
def test_a_name_that_cannot_be(ran: Ran, module: Any) -> None:
    result = ran(module, name="Not A Name")
    assert result["failed"] is True
    assert result["error"]["what"] == "The instance name 'Not A Name' cannot be used"


def test_health_reports_and_does_not_fail_by_itself(ran: Ran) -> None:
    result = ran(health, name=NAME)
    assert (result["changed"], result.get("failed")) == (False, None)
    assert (result["health"]["status"], result["health"]["ready"]) == ("critical", False)


def test_health_fails_when_asked_and_keeps_its_object(ran: Ran) -> None:
    result = ran(health, name=NAME, fail_on="critical")
    assert result["failed"] is True
    assert result["msg"].startswith(
        "The instance not-there is critical. Why: container: The Docker engine does not answer"
    )
    assert result["error"]["next_step"] == "start the engine: systemctl start docker"
    assert result["health"]["status"] == "critical"


def test_health_in_check_mode_does_the_same(ran: Ran) -> None:
    results = [ran(health, name=NAME, _ansible_check_mode=mode)["health"] for mode in (False, True)]
    assert results[0]["reasons"] == results[1]["reasons"]


def test_preflight_fails_with_one_message_and_keeps_its_object(ran: Ran) -> None:
    result = ran(preflight, name=NAME, phase="before", memory="1GB", port=5432, major=17)
    assert result["failed"] is True
    assert (
        "D01 (The engine answers and is new enough) cannot be read: The Docker engine does not answer" in result["msg"]
    )
    assert result["preflight"]["verdict"] == "NOT_READY"
    assert {check["id"] for check in result["preflight"]["checks"]} >= {"H01", "D01", "P05", "K01"}


@pytest.mark.parametrize("check_mode", [False, True])
def test_preflight_writes_its_report_except_in_check_mode(ran: Ran, tmp_path: Path, check_mode: bool) -> None:
    folder = tmp_path / "report"
    result = ran(
        preflight, name=NAME, phase="before", enforce=False, report_dir=str(folder), _ansible_check_mode=check_mode
    )
    assert (result["changed"], result.get("failed")) == (False, None)
    assert folder.exists() is not check_mode
    if not check_mode:
        assert json.loads((folder / "preflight.json").read_text()) == result["preflight"]


def test_preflight_refuses_what_it_cannot_judge(ran: Ran) -> None:
    assert ran(preflight, name=NAME, major=9)["error"]["what"] == "PostgreSQL 9 is not supported"
    assert ran(preflight, name=NAME, memory="lots")["error"]["what"] == "The memory limit 'lots' cannot be read"
    assert (
        ran(preflight, name=NAME, waivers={"B99": {"reason": "x"}})["error"]["what"] == "There is no check B99 to waive"
    )
