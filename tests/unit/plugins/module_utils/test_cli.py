# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one JSON object, exit codes, and the main process that only waits."""

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup as backup
from ansible_collections.pgkeep.postgres.plugins.module_utils import _cli as cli
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

ROOT = Path(__file__).parents[4]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the command backup hands to the library, of a keeper whose records go to tmp_path."""
    calls: list[Any] = []

    def take(keeper: Any, wanted: str, **options: Any) -> dict[str, Any]:
        calls.append((keeper.instance, keeper.data, wanted, options))
        return {"changed": False}

    monkeypatch.setenv("PGKEEP_INSTANCE", "orders")
    monkeypatch.setenv("PGDATA", "/data")
    monkeypatch.setattr(cli, "Keeper", functools.partial(Keeper, state=str(tmp_path)))
    monkeypatch.setattr(backup, "take", take)
    return calls


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_options_reach_the_library(called: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backup", "--type", "full", "--max-age", "60", "--check"]) == 0
    assert cli.main(["backup"]) == 0
    assert called == [
        ("orders", "/data", "full", {"max_age_seconds": 60.0, "check": True}),
        ("orders", "/data", "incr", {"max_age_seconds": None, "check": False}),
    ]
    one = {"changed": False, "repositories": [{"repository": 1, "changed": False, "error": None}]}
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [one] * 2


@pytest.mark.parametrize("busy, rc", [(False, 1), (True, 75)])
def test_errors(
    called: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], busy: bool, rc: int
) -> None:
    def fail(*words: Any, **options: Any) -> Any:
        raise PgkeepError("It did not work", "because", "do this", busy=busy)

    monkeypatch.setattr(backup, "take", fail)
    assert cli.main(["backup"]) == rc
    error = {"what": "It did not work", "why": "because", "next_step": "do this", "busy": busy}
    assert printed(capsys) == {"error": error}


def test_a_full_disk_below_the_keeper_itself(
    called: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*words: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(backup, "take", fail)
    assert cli.main(["backup"]) == 1
    assert printed(capsys)["error"]["why"] == "a file or pipe: No space left on device"


def test_outside_of_a_keeper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("PGKEEP_INSTANCE", raising=False)
    assert cli.main(["info"]) == 1
    assert printed(capsys)["error"]["why"].startswith("PGKEEP_INSTANCE")


def test_a_backup_that_is_not_due_leaves_no_record(
    called: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "append", lambda *record: pytest.fail("recorded"))
    assert cli.main(["backup", "--max-age", "60"]) == 0
    assert printed(capsys)["changed"] is False
    assert [options["check"] for _name, _data, _type, options in called] == [True]


def test_a_backup_that_is_due_is_recorded_with_who_asked(
    called: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded: list[Any] = []
    monkeypatch.setattr(audit, "append", lambda state, record: recorded.append(record))
    monkeypatch.setattr(backup, "take", lambda keeper, wanted, **options: {"changed": True, **options})
    assert cli.main(["--actor", "ansible:anna", "backup", "--max-age", "60"]) == 0
    assert printed(capsys)["check"] is False
    assert [(record["phase"], record["actor"]) for record in recorded] == [
        ("start", "ansible:anna"),
        ("end", "ansible:anna"),
    ]


def test_a_failure_while_somebody_stopped_the_server_names_him(
    called: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(keeper: Keeper, wanted: str, **options: Any) -> None:
        raise PgkeepError("The backup of orders failed", "no connection", "read the log")

    monkeypatch.setattr(cli, "_keeper", lambda: Keeper("orders", run, "/data", state=str(tmp_path)))
    monkeypatch.setattr(backup, "take", fails)
    assert cli.main(["backup"]) == 1
    assert printed(capsys)["error"]["next_step"] == "read the log"
    with audit.recorded(str(tmp_path), "restore", "ansible:anna"):
        # What a deploy asks for, whose look at what is due fails already.
        assert cli.main(["backup", "--max-age", "60"]) == 1
    error = printed(capsys)["error"]
    assert error["why"].startswith("no connection; meanwhile there was a restore by ansible:anna, since 20")
    assert error["next_step"] == "repeat when it has ended"


@pytest.mark.parametrize("annotation", ["passed", "=passed", "Key=value", "a b=c", "a=b\nc"])
def test_what_is_no_annotation(called: list[Any], capsys: pytest.CaptureFixture[str], annotation: str) -> None:
    assert cli.main(["annotate", "--set", "20261121-020004F", annotation]) == 1
    assert printed(capsys)["error"]["why"] == "it is not key=value"


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["destroy"])
    assert caught.value.code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_main_process_says_one_line_and_ends_when_told_to(number: int) -> None:
    # Without its duties, which would work in the folders of a keeper's container.
    code = (
        "import sys; from ansible_collections.pgkeep.postgres.plugins.module_utils import _cli, _job, _service;"
        "_service.DUTIES = (); _job.note_interrupted = lambda *_words: []; sys.exit(_cli.main())"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "collections"),
        "PGKEEP_INSTANCE": "orders",
        "PGDATA": "/data",
    }
    argv = [sys.executable, "-c", code, "keeper"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "pgkeep: keeper of orders is ready\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        assert process.stdout.read() == ""


def commands_of(file: str) -> tuple[str, ...]:
    added: list[str] = []

    def add(name: str, *_words: Any, **_rest: Any) -> argparse.ArgumentParser:
        added.append(name)
        return argparse.ArgumentParser()

    importlib.import_module("." + file, cli.__package__).add_commands(add)
    return tuple(added)


def test_every_file_of_commands_is_imported_for_its_own_commands() -> None:
    assert set(cli._FILES) == {path.stem for path in (ROOT / "plugins/module_utils").glob("_cli_*.py")}
    assert {file: commands_of(file) for file in cli._FILES} == dict(cli._FILES)
