# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which databases are read, and what becomes of those that cannot be. The reading itself runs on the real engine."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _counts_read as counting

psycopg2 = pytest.importorskip("psycopg2")


def test_what_cannot_be_read_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses, one whose catalogue is damaged, one without connections, one without tables."""
    broken = psycopg2.DatabaseError("invalid page in block 0 of relation base/5/1259")
    # Only the driver itself sets it otherwise.
    broken.__setstate__({"pgcode": "XX001"})
    errors = {"refuses": psycopg2.OperationalError("FATAL:  go\naway"), "broken": broken}

    @contextlib.contextmanager
    def connection(_sockets: str, database: str = "postgres") -> Iterator[Any]:
        if database in errors:
            raise errors[database]
        yield None

    def rows(_opened: Any, statement: str) -> list[tuple[str, bool]]:
        assert statement == counting._DATABASES
        return [("app", True), ("broken", True), ("refuses", True), ("shut", False)]

    monkeypatch.setattr(counting._sql, "connection", connection)
    monkeypatch.setattr(counting._sql, "rows", rows)
    monkeypatch.setattr(counting, "list_tables", lambda opened, database: [])
    found = counting.read("/nowhere", count=True)
    assert found.skipped == {"refuses": "FATAL: go away"}
    # There somebody looked, and it is bad; that is no lack of an answer.
    assert found.damaged == ("database broken (invalid page in block 0 of relation base/5/1259)",)
    assert found.closed == ("shut",)
