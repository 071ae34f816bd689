# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup_info object, from recorded repositories and real folders; the server of these tests is down."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_info as backup_info
from ansible_collections.pgkeep.postgres.plugins.module_utils import _backup_server as server
from ansible_collections.pgkeep.postgres.plugins.module_utils import _drill_record as drill_record
from ansible_collections.pgkeep.postgres.plugins.module_utils import _ship_state as state
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper, archiver_error
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.modules import backup_info as module

from .recorded_pgbackrest import STANZA, text


@pytest.fixture
def keep(tmp_path: Path) -> Any:
    def make(info: str, listing: str, history: str = "") -> Keeper:
        def run(argv: list[str], timeout: Optional[float] = None) -> Result:
            recorded = {"info": info, "repo-ls": listing, "repo-get": history}
            return Result(0, text(next(recorded[word] for word in argv if word in recorded)))

        for folder in ("data/pg_wal/archive_status", "spool/archive/orders/out", "repository"):
            (tmp_path / folder).mkdir(parents=True)
        places = (str(tmp_path / name) for name in ("data", "repository", "spool", "state", "no-sockets"))
        return Keeper(STANZA, run, *places)

    return make


@pytest.fixture(autouse=True)
def server_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(keeper: Keeper, statement: str) -> Any:
        raise PgkeepError("PostgreSQL of orders does not answer")

    monkeypatch.setattr(server, "ask", down)


def test_a_sound_repository(keep: Any) -> None:
    found = backup_info.info(keep("info-ok.json", "repo-ls-ok.json"))
    assert (found["instance"], found["status"], found["encrypted"], found["running"]) == (STANZA, "ok", True, False)
    assert found["newest_clean"] == "20261121-225418F_20261121-225420D"
    assert found["newest_proven"] == "20261121-225418F"
    assert found["recovery_window"] == {
        "from": "2026-11-21T22:54:19Z",
        "to": "2026-11-21T22:54:21Z",
        "gaps": [],
    }
    assert found["wal"] == {
        "min": "000000010000000000000001",
        "max": "000000010000000000000006",
        "segment_bytes": 16777216,
        "missing": [],
        "last_archived_at": "2026-11-21T22:54:21Z",
        "ready_count": 0,
        "failing_since": None,
        "error": None,
        "cause": None,
        "next_step": None,
    }
    assert found["repository_bytes"] > sum(backup["repository_bytes"] for backup in found["backups"])
    assert found["repository_free_bytes"] > 0


def test_the_object_is_the_documented_one(keep: Any) -> None:
    documented = yaml.safe_load(module.RETURN)["backup_info"]["contains"]
    found = backup_info.everything(keep("info-ok.json", "repo-ls-ok.json"))
    assert list(found) == list(documented)
    assert list(found["repositories"][0]) == list(documented["repositories"]["contains"])
    assert list(found["wal"]) == list(documented["wal"]["contains"])
    assert list(found["drills"]) == list(documented["drills"]["contains"])
    assert list(found["recovery_window"]) == list(documented["recovery_window"]["contains"])


def test_one_that_does_not_answer_hides_no_other(keep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_record, "UID", os.getuid())
    monkeypatch.setattr(drill_record, "GID", os.getgid())
    keeper = replace(keep("info-ok.json", "repo-ls-ok.json"), tool_config=str(tmp_path))
    (tmp_path / "pgbackrest.conf").write_text("repo2-type=s3\nrepo3-type=sftp\n")
    archive = tmp_path / ("repository/archive/%s/17-1/0000000100000000" % STANZA)
    archive.mkdir(parents=True)
    for number in (5, 6):
        path = archive / ("00000001000000000000000%d-%s.zst" % (number, "a" * 40))
        path.touch()
        os.utime(path, (time.time() - 100, time.time() - 100))
    trouble = {"what": "w", "why": "the host does not answer", "next_step": "n", "busy": False}
    state.save(keeper.state, 2, state.Shipped("000000010000000000000005", 1795301700.0, 1795301710.0, trouble))
    proof = drill_record.Drill(STANZA, "F", "keeper", 2, True, "2026-11-21T22:54:00Z")
    drill_record.save(keeper.state, proof)
    answers = keeper.run

    def run(argv: list[str], timeout: Optional[float] = None) -> Result:
        if "--repo=2" in argv:
            assert timeout is not None
            raise PgkeepError("The command pgbackrest did not end", "it was still running")
        return answers(argv, timeout)

    first, second, third = backup_info.everything(replace(keeper, run=run))["repositories"]
    assert (first["number"], first["status"], first["newest_clean"]) == (1, "ok", "20261121-225418F_20261121-225420D")
    assert (third["number"], third["type"], third["status"], third["error"]) == (3, "sftp", "ok", None)
    assert (second["status"], second["newest_clean"], second["error"]) == ("error", None, "the host does not answer")
    assert (second["newest_proven"], second["proven_at"]) == (None, "2026-11-21T22:54:00Z")
    assert (first["newest_proven"], first["proven_at"]) == ("20261121-225418F", None)
    assert "did not end" in second["status_text"]
    assert (second["wal_lag_segments"], second["failing_since"]) == (1, "2026-11-21T22:55:10Z")
    assert 99 <= second["wal_lag_seconds"] <= 110
    assert third["wal_lag_segments"] is None


def test_after_a_restore_to_an_earlier_moment(keep: Any) -> None:
    found = backup_info.info(keep("info-timelines.json", "repo-ls-timelines.json", "history-timelines.txt"))
    assert [backup["clean"] for backup in found["backups"]] == [True, True]
    assert found["newest_clean"] == "20261121-225458F"
    assert found["wal"]["max"] == "000000020000000000000019"


@pytest.mark.parametrize(
    "info, status, words",
    [
        ("info-no-backup.json", "empty", "no valid backups"),
        ("info-missing-stanza.json", "missing", "missing stanza path"),
        ("info-missing-data.json", "error", "but not the information file"),
        ("info-wrong-passphrase.bin", "error", "cannot be decrypted with the configured passphrase. Next: put"),
        ("info-damaged.bin", "error", "describes the repository is damaged, and so is its copy"),
    ],
)
def test_other_states(keep: Any, info: str, status: str, words: str) -> None:
    found = backup_info.info(keep(info, "repo-ls-missing-path.json"))
    assert found["status"] == status
    assert words in found["status_text"]
    assert (found["backups"], found["newest_clean"], found["recovery_window"]) == ([], None, None)


def test_wal_that_waits_and_why(keep: Any) -> None:
    keeper = keep("info-ok.json", "repo-ls-ok.json")
    for name in ("000000010000000000000007.ready", "000000010000000000000008.ready", "000000010000000000000006.done"):
        path = Path(keeper.data, "pg_wal/archive_status", name)
        path.touch()
        os.utime(path, (1795301700, 1795301700 + len(name)))
    assert len(server.ready(keeper)) == 2
    assert archiver_error(keeper) == ""
    spooled = Path(keeper.spool, "archive/orders/out")
    (spooled / "000000010000000000000006.ok").touch()
    (spooled / "000000010000000000000007.error").write_text(text("spool-disk-full.txt"))
    found = backup_info.info(keeper)["wal"]
    assert found["ready_count"] == 2
    assert found["error"].endswith("[28] No space left on device")


def test_since_when_archiving_fails(keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = keep("info-ok.json", "repo-ls-ok.json")
    path = Path(keeper.data, "pg_wal/archive_status/000000010000000000000007.ready")
    path.touch()
    os.utime(path, (1795301700, 1795301700))
    monkeypatch.setattr(server, "ask", lambda keeper, statement: [(True, 1795301799.5)])
    spooled = Path(keeper.spool, "archive/orders/out/000000010000000000000007.error")
    spooled.write_text(text("spool-disk-full.txt"))
    found = backup_info.info(keeper)["wal"]
    assert found["failing_since"] == "2026-11-21T22:55:00Z"
    assert found["cause"].startswith("the disk of the repository is full: the archiver says: repo1: [FileWriteError]")
    assert "No WAL is lost" in found["next_step"]
    monkeypatch.setattr(server, "ask", lambda keeper, statement: [(False, 1795301799.5)])
    assert backup_info.info(keeper)["wal"]["failing_since"] is None


def test_the_schedule_is_told(keep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of an instance that was deployed before there was one, and none of settings that cannot be read."""
    keeper = replace(keep("info-ok.json", "repo-ls-ok.json"), config=str(tmp_path))
    monkeypatch.setattr(backup_info.repository, "all_keepers", lambda keeper: [keeper])
    monkeypatch.setattr(backup_info.repository, "types", lambda keeper: {1: "posix"})
    assert backup_info.everything(keeper)["schedule"] == {"runner": "keeper", "jobs": []}
    settings = tmp_path / "keeper.json"
    settings.write_text('{"schedule": {"runner": "systemd", "jobs": {"full": "0 2 * * 0"}}}')
    found = backup_info.everything(keeper)["schedule"]
    assert found["runner"] == "systemd"
    (job,) = found["jobs"]
    assert (job["name"], job["cron"], job["next_at"][10:], job["last"]) == ("full", "0 2 * * 0", "T02:00:00Z", None)
    settings.write_text("{")
    assert backup_info.everything(keeper)["schedule"] is None
