# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning a backup, and its flow with a pgBackRest that answers as the real one was recorded."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup as backup
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_server as server
from ansible_collections.pgkeep.postgres.plugins.module_utils import _evidence_files as evidence
from ansible_collections.pgkeep.postgres.plugins.module_utils import _sql
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import Backup, judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded_pgbackrest import STANZA, snapshot, text

FULL, INCR, DIFF = judge(STANZA, snapshot("ok"), {})
BAD = replace(FULL, label="20261122-000000F", clean=False, reasons=["page checksum errors in base/5/16384"])
BAD_INCR = replace(INCR, label=INCR.label[:-1] + "Z", clean=False)
TABLE = Table("shop", "public", "orders", 5, 5, 0, 16384)


@pytest.mark.parametrize(
    "wanted, backups, taken, why",
    [
        ("full", [], "full", None),
        ("incr", [], "full", "there is no full backup to build on"),
        ("diff", [], "full", "there is no full backup to build on"),
        ("diff", [FULL], "diff", None),
        ("incr", [FULL, INCR], "incr", None),
        ("incr", [FULL, BAD_INCR], "diff", "the newest backup %s is not clean" % BAD_INCR.label),
        ("diff", [FULL, BAD_INCR], "diff", None),
        ("incr", [FULL, BAD], "full", "the newest full backup 20261122-000000F is not clean"),
        ("diff", [FULL, BAD], "full", "the newest full backup 20261122-000000F is not clean"),
    ],
)
def test_nothing_builds_on_a_bad_backup(wanted: str, backups: list[Backup], taken: str, why: Optional[str]) -> None:
    assert backup.choose_type(wanted, backups) == (taken, why)


# The stop times are 22:54:19, :20 and :21.
NOW = 1795301661.0 + 100


@pytest.mark.parametrize(
    "wanted, max_age, found",
    [("incr", 101, DIFF), ("diff", 101, DIFF), ("incr", 100, None), ("full", 103, FULL), ("full", 102, None)],
)
def test_young_enough(wanted: str, max_age: float, found: Optional[Backup]) -> None:
    assert backup.fresh(wanted, [FULL, INCR, DIFF], max_age, NOW) == found
    assert backup.fresh(wanted, [], max_age, NOW) is None


def test_what_is_still_to_come_is_not_young() -> None:
    """The clock was set back, by more than two machines may differ."""
    assert backup.fresh("incr", [FULL, INCR, DIFF], 10, NOW - 100 - 300) == DIFF
    assert backup.fresh("incr", [FULL, INCR, DIFF], 10, NOW - 100 - 301) is None


def test_estimate() -> None:
    margin = 16 * 1024 * 1024
    big = replace(FULL, repository_bytes=1000)
    assert backup.needed_bytes("full", [], 10_000) == margin + 5_000
    assert backup.needed_bytes("full", [big, replace(big, repository_bytes=500)], 10_000) == margin + 1_200
    assert backup.needed_bytes("incr", [big], 10_000) == margin
    # Only the last three of the type.
    assert backup.needed_bytes("full", [big] + [replace(big, repository_bytes=10)] * 3, 0) == margin + 12


class Pgbackrest:
    """Answers each command from the recording that answers says; the last one is repeated."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {key: list(value) for key, value in answers.items()}
        self.calls: list[list[str]] = []

    def __call__(self, argv: list[str], timeout: Optional[float] = None) -> Result:
        self.calls.append(argv)
        # repo-get has the path behind it, the others come last or before their options.
        command = next(word for word in argv if word.replace("-", "_") in self.answers)
        answers = self.answers[command.replace("-", "_")]
        answer: Result = answers[0] if len(answers) == 1 else answers.pop(0)
        return answer

    @property
    def commands(self) -> list[str]:
        return [next(word for word in argv if word.replace("-", "_") in self.answers) for argv in self.calls]


def ok(name: str) -> Result:
    return Result(0, text(name))


def first_two(name: str) -> Result:
    """The recorded info as it was before the third backup."""
    stanzas = json.loads(text(name))
    stanzas[0]["backup"] = stanzas[0]["backup"][:2]
    return Result(0, json.dumps(stanzas))


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Pgbackrest], Keeper]:
    """A keeper whose server is healthy and has one table."""
    monkeypatch.setattr(server, "archiver", lambda keeper: server.Archiver(0, None))
    monkeypatch.setattr(server, "databases_bytes", lambda keeper: 1000)
    monkeypatch.setattr(backup, "read_tables", lambda *words, **options: Reading((TABLE,), {}))
    # The database of the tests is not asked for anything, so its driver's errors are none either.
    monkeypatch.setattr(_sql, "driver", lambda: type("Driver", (), {"Error": RuntimeError}))
    (tmp_path / "spool").mkdir()
    return lambda run: Keeper(
        STANZA, run, str(tmp_path), str(tmp_path), str(tmp_path / "spool"), str(tmp_path / "state"), str(tmp_path)
    )


Keep = Callable[[Pgbackrest], Keeper]


def test_a_backup(keep: Keep) -> None:
    run = Pgbackrest(
        info=[first_two("info-ok.json"), ok("info-ok.json")],
        repo_ls=[ok("repo-ls-ok.json")],
        backup=[ok("log-backup-diff.txt")],
        expire=[ok("log-expire-dry-run-nothing.txt")],
    )
    keeper = keep(run)
    result = backup.take(keeper, "diff")
    assert result["backup"] == replace(DIFF, rows=5).to_result()
    assert (result["changed"], result["expired"], result["plan"]["type"]) == (True, [], "diff")
    assert sorted(run.commands) == ["backup", "expire", "info", "info", "repo-ls", "repo-ls"]
    taken = next(argv for argv in run.calls if argv[-1] == "backup")
    assert {"--type=diff", "--no-expire-auto", "--repo=1"} <= set(taken)
    # Nothing would be removed, so the dry run was enough.
    assert "--dry-run" in run.calls[-1]
    assert evidence.tables(keeper, DIFF.label) == [TABLE]


def test_check_only_reads(keep: Keep) -> None:
    run = Pgbackrest(info=[ok("info-ok.json")], repo_ls=[ok("repo-ls-ok.json")])
    result = backup.take(keep(run), "incr", check=True)
    assert (result["backup"], result["changed"], result["plan"]["type"]) == (None, True, "incr")
    assert sorted(run.commands) == ["info", "repo-ls"]


def test_a_young_backup_is_enough(keep: Keep) -> None:
    run = Pgbackrest(info=[ok("info-ok.json")], repo_ls=[ok("repo-ls-ok.json")])
    result = backup.take(keep(run), "incr", max_age_seconds=time.time() - NOW + 1000)
    assert (result["backup"]["label"], result["changed"], result["plan"]) == (DIFF.label, False, None)
    assert sorted(run.commands) == ["info", "repo-ls"]


def test_page_errors_fail_and_expire_nothing(keep: Keep) -> None:
    run = Pgbackrest(
        info=[ok("info-ok.json"), ok("info-set-page-errors.json"), ok("info-page-errors.json")],
        repo_ls=[ok("repo-ls-ok.json"), ok("repo-ls-page-errors.json")],
        backup=[ok("log-backup-page-errors.txt")],
    )
    # info is asked for the list, then for the damaged files of each of the two bad ones.
    run.answers["info"] = [ok("info-ok.json"), ok("info-page-errors.json"), ok("info-set-page-errors.json")]
    with pytest.raises(PgkeepError) as caught:
        backup.take(keep(run), "full")
    assert caught.value.what == "The backup 20261121-225434F was taken but is not clean"
    assert caught.value.why == "page checksum errors in base/5/16384"
    assert "the last clean backup is %s" % DIFF.label in caught.value.next_step
    assert "expire" not in run.commands


def test_a_failed_backup_leaves_nothing_behind_and_expires_nothing(keep: Keep) -> None:
    run = Pgbackrest(
        info=[ok("info-ok.json")],
        repo_ls=[ok("repo-ls-ok.json")],
        backup=[Result(139, text("log-backup-crash.txt"))],
        expire=[ok("log-expire-leftovers.txt")],
    )
    with pytest.raises(PgkeepError, match="pgBackRest crashed"):
        backup.take(keep(run), "full")
    (tidy,) = [argv for argv in run.calls if argv[-1] == "expire"]
    assert {"--repo1-retention-full-type=count", "--repo1-retention-full=9999999"} <= set(tidy)


def test_a_clean_backup_is_named_when_expiry_fails(keep: Keep) -> None:
    run = Pgbackrest(
        info=[first_two("info-ok.json"), ok("info-ok.json")],
        repo_ls=[ok("repo-ls-ok.json")],
        backup=[ok("log-backup-diff.txt")],
        expire=[Result(104, text("log-expire-wrong-passphrase.bin"))],
    )
    with pytest.raises(PgkeepError, match="The backup %s is clean, but old backups were not expired" % DIFF.label):
        backup.take(keep(run), "diff")


def test_success_without_a_backup_is_a_failure(keep: Keep) -> None:
    run = Pgbackrest(
        info=[ok("info-ok.json")],
        repo_ls=[ok("repo-ls-ok.json")],
        # It names a label that was there before.
        backup=[ok("log-backup-diff.txt")],
        expire=[ok("log-expire-dry-run-nothing.txt")],
    )
    with pytest.raises(PgkeepError, match="The backup of orders failed"):
        backup.take(keep(run), "diff")


@pytest.mark.parametrize(
    "info, listing, why",
    [
        ("info-wrong-passphrase.bin", "repo-ls-ok.json", "cannot be decrypted"),
        ("info-damaged.bin", "repo-ls-ok.json", "is damaged"),
        ("info-missing-data.json", "repo-ls-ok.json", "not the information file"),
        ("info-missing-stanza.json", "repo-ls-ok.json", "not the information file"),
    ],
)
def test_a_repository_that_cannot_be_used_is_not_touched(keep: Keep, info: str, listing: str, why: str) -> None:
    run = Pgbackrest(info=[ok(info)], repo_ls=[ok(listing)])
    with pytest.raises(PgkeepError, match=why):
        backup.take(keep(run), "full")
    assert set(run.commands) == {"info", "repo-ls"}


def test_a_backup_that_somebody_runs_by_hand_is_busy(keep: Keep) -> None:
    run = Pgbackrest(info=[ok("info-running.json")], repo_ls=[ok("repo-ls-ok.json")])
    with pytest.raises(PgkeepError) as caught:
        backup.take(keep(run), "full")
    assert caught.value.busy


def test_an_empty_repository_is_prepared(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "wake_archiver", lambda keeper: None)
    run = Pgbackrest(
        info=[ok("info-missing-stanza.json"), ok("info-ok.json")],
        repo_ls=[ok("repo-ls-missing-path.json"), ok("repo-ls-ok.json")],
        stanza_create=[ok("log-stanza-create.txt")],
        backup=[ok("log-backup-first-incr.txt")],
        expire=[ok("log-expire-dry-run-nothing.txt")],
    )
    result = backup.take(keep(run), "incr")
    assert result["plan"]["stanza_create"] is True
    assert result["plan"]["why"] == "there is no full backup to build on"
    assert result["backup"]["label"] == FULL.label


def test_an_archiver_that_fails_is_woken_and_then_believed(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    failing = server.Archiver(3, 1795301661.0)

    def wake(keeper: Keeper) -> server.Archiver:
        woken.append(keeper.instance)
        return failing

    monkeypatch.setattr(server, "archiver", lambda keeper: failing)
    monkeypatch.setattr(server, "wake_archiver", wake)
    run = Pgbackrest(info=[ok("info-ok.json")], repo_ls=[ok("repo-ls-ok.json")])
    with pytest.raises(PgkeepError, match="WAL does not reach the repository.*since 2026-11-21T22:54:21Z"):
        backup.take(keep(run), "full", check=True)
    assert woken == []
    with pytest.raises(PgkeepError, match="was not started"):
        backup.take(keep(run), "full")
    assert woken == [STANZA]


def test_too_little_space(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: type("Disk", (), {"f_bavail": 1, "f_frsize": 4096}))
    run = Pgbackrest(
        info=[ok("info-ok.json")], repo_ls=[ok("repo-ls-ok.json")], expire=[ok("log-expire-dry-run-nothing.txt")]
    )
    with pytest.raises(PgkeepError, match="too full: about 20167292 bytes are needed, 4096 are free"):
        backup.take(keep(run), "full")
    # Only leftovers are removed for it, never a backup.
    assert "--repo1-retention-full-type=count" in run.calls[-1]


def test_what_a_killed_backup_left_makes_room(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([1, 10**6])
    monkeypatch.setattr(backup.repository, "free_bytes", lambda keeper: next(free) * 4096)
    run = Pgbackrest(
        info=[ok("info-ok.json")], repo_ls=[ok("repo-ls-ok.json")], expire=[ok("log-expire-dry-run-nothing.txt")]
    )
    keeper = keep(run)
    plan = backup.make_plan(keeper, "full", backup.repository.snapshot(keeper), [], check=False)
    assert plan.free_bytes == 4096 * 10**6


def test_a_lock_that_stays_held_is_busy(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_PATIENCE", (0.01, 0.01))
    run = Pgbackrest()
    keeper = keep(run)
    with hold(keeper.lock_file, "backup of orders"), pytest.raises(PgkeepError) as caught:
        backup.take(keeper, "full")
    assert caught.value.busy
    assert "backup of orders" in caught.value.why
    assert run.calls == []
