# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told beside the server: certificates, the last backup, and how far the one is that runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_evidence as evidence
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import BACKUP_OF, Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import rfc3339

from .recorded import FIXTURES

DAY = 86400.0
REFUSED = {"days_left": None, "not_after": None, "error": "certificate has expired"}


class Bench:
    """served is what the server's port serves, None for nobody; ran are the commands of pgBackRest."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit, "UID", os.getuid())
        monkeypatch.setattr(audit, "GID", os.getgid())
        monkeypatch.setattr(evidence, "certificate", self.certificate)
        monkeypatch.setattr(evidence, "_SERVED", str(folder / "server.crt"))
        (folder / "server.crt").write_text("")
        (folder / "hosts").write_text("172.18.0.5\tapp\n")
        self.now = 1795549743.0
        self.served: Any = ends_in(300, self.now)
        self.handshakes, self.ran, self.answer = 0, [], Result(1, "", "")
        place = str(folder)
        self.keeper = Keeper(
            "app", self.run, "", repository=place, spool=place, state=place, sockets=place, config=place, dumps=place
        )
        self.evidence = evidence.Evidence(lambda: self.now)

    def certificate(self, target: Any, now: float) -> Any:
        self.handshakes += 1
        if self.served is None:
            raise ConnectionRefusedError("refused")
        return self.served

    def run(self, argv: list[str], **_more: Any) -> Result:
        self.ran.append(argv[-2])
        return self.answer

    def look(self, seconds: float = 0.0) -> Any:
        self.now += seconds
        self.evidence.look(self.keeper)
        return self.evidence.latest


def ends_in(days: float, now: float) -> dict[str, Any]:
    return {"days_left": days, "not_after": rfc3339(now + days * DAY), "error": None}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize("served", [REFUSED, ends_in(5, 0.0), ends_in(300, 0.0)])
def test_a_certificate_is_told_as_it_was_within_the_last_minute(bench: Bench, served: dict[str, Any]) -> None:
    bench.served = served
    assert bench.look()["certificate"] == served
    bench.served = ends_in(397, 0.0)
    assert bench.look(59)["certificate"] == served
    assert bench.look(2)["certificate"] == bench.served
    assert bench.handshakes == 2


def test_one_that_was_written_anew_is_looked_at_at_once(bench: Bench) -> None:
    bench.look()
    os.utime(bench.keeper.config + "/server.crt", (1, 1))
    bench.served = REFUSED
    assert bench.look(5)["certificate"] == REFUSED


def test_what_nobody_serves_is_not_told_as_if_it_were(bench: Bench) -> None:
    bench.look()
    bench.served = None
    found = bench.look(61)
    assert (found["certificate"], found["errors"]["certificate"]) == (None, "refused")


def test_the_last_backup_is_known_whatever_else_is_done(bench: Bench) -> None:
    with pytest.raises(PgkeepError), audit.recorded(bench.keeper.state, "backup", "schedule"):
        raise PgkeepError("It failed", "why", "next")
    with audit.recorded(bench.keeper.state, "alert-test", "ansible:me"):
        pass
    for _time in range(60):
        audit.note(bench.keeper.state, "psql", "host:anna")
    found = bench.look()
    assert [(each["action"], each["result"]) for each in found["backup_runs"]] == [("backup", "failed")]
    assert len(found["operations"]) == 50
    assert found["alerts"]["proven_at"] is not None


def test_how_far_the_backup_is(bench: Bench) -> None:
    bench.look()
    # The repository was looked at, and after that nobody asks.
    bench.ran.clear()
    assert bench.look()["running"] is None
    bench.answer = Result(0, (FIXTURES / "pgbackrest/info-running.json").read_text(), "")
    for what, percent in ((BACKUP_OF % "app", 10.4), ("expiry of app", None)):
        with hold(bench.keeper.lock_file, what, who="me"):
            found = bench.look()["running"]
        assert (found["operation"], found["percent"]) == (what, percent)
    assert bench.ran == ["info"]
    bench.answer = Result(0, (FIXTURES / "pgbackrest/info-ok.json").read_text(), "")
    with hold(bench.keeper.lock_file, BACKUP_OF % "app", who="me"):
        assert bench.look()["running"]["percent"] is None
        bench.answer = Result(1, "", "")
        assert bench.look()["running"]["percent"] is None
