# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest operations: as the whole trail tells them, and each line of it read once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit_newest as audit_newest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


class Bench:
    """A trail, and who reads it; parsed counts the lines that he took."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit, "UID", os.getuid())
        monkeypatch.setattr(audit, "GID", os.getgid())
        self.state, self.path, self.parsed = str(folder), folder / audit.FILE, 0
        self.newest = audit_newest.Newest()
        add = self.newest._add

        def counted(record: dict[str, Any]) -> None:
            self.parsed += 1
            add(record)

        monkeypatch.setattr(self.newest, "_add", counted)

    def look(self) -> list[tuple[str, str]]:
        return [(each["action"], each["result"]) for each in self.newest.operations(self.state)]

    def true(self) -> list[tuple[str, str]]:
        return [(each["action"], each["result"]) for each in audit.operations(audit.records(self.state))]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_what_was_read_is_not_read_again(bench: Bench) -> None:
    assert bench.look() == []
    with audit.recorded(bench.state, "backup", "schedule"):
        assert bench.look() == [("backup", "unfinished")]
    assert bench.look() == bench.look() == bench.true() == [("backup", "ok")]
    assert bench.parsed == 2
    with pytest.raises(PgkeepError), audit.recorded(bench.state, "restart", "host:anna"):
        raise PgkeepError("It failed", "why", "next")
    assert bench.look() == bench.true() == [("backup", "ok"), ("restart", "failed")]
    assert bench.parsed == 4


def test_a_backup_that_failed_outlasts_whatever_else_is_done(bench: Bench) -> None:
    with pytest.raises(PgkeepError), audit.recorded(bench.state, "backup", "schedule"):
        raise PgkeepError("It failed", "why", "next")
    for _time in range(120):
        audit.note(bench.state, "psql", "host:anna")
    found = bench.look()
    assert found == [("backup", "failed")] + [("psql", "ok")] * 50


def test_a_line_that_is_being_written_is_read_when_it_is_whole(bench: Bench) -> None:
    audit.note(bench.state, "backup", "schedule")
    whole = bench.path.read_bytes()
    for size in range(0, len(whole), 50):
        bench.path.write_bytes(whole[:size])
        bench.look()
    bench.path.write_bytes(whole)
    assert bench.look() == [("backup", "ok")]
    assert bench.parsed == 2


def test_it_goes_on_into_the_next_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_FULL_BYTES", 1500)
    for number in range(30):
        with audit.recorded(bench.state, "action %d" % number, "host:anna"):
            bench.look()
        bench.look()
    assert bench.look() == [("action %d" % number, "ok") for number in range(30)]
    # Beside starts and ends the first line of each file.
    assert 60 < bench.parsed < 90


def test_a_file_that_is_shorter_is_another_one(bench: Bench) -> None:
    for _time in range(3):
        audit.note(bench.state, "backup", "schedule")
    bench.look()
    bench.path.write_text("")
    audit.note(bench.state, "drill", "schedule")
    assert ("drill", "ok") in bench.look()


def test_what_is_no_record_is_passed_over(bench: Bench) -> None:
    audit.note(bench.state, "backup", "schedule")
    with bench.path.open("ab") as handle:
        handle.write(b'{"half\n5\n\xff\xfe\n' + json.dumps({"phase": "end", "id": "unknown"}).encode() + b"\n")
    audit.note(bench.state, "drill", "schedule")
    assert bench.look() == bench.true() == [("backup", "ok"), ("drill", "ok")]
