# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server's answers mean: rates, sessions, and what of a statement others may see."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_sql as sql

from .recorded import changed, load


@pytest.fixture
def answer() -> Any:
    return load("poll/frequent.json")


def test_files_of_the_version_that_the_machine_has() -> None:
    assert "pg_read_file" not in sql.frequent(None)
    assert "/sys/fs/cgroup/memory.events" in sql.frequent(True)
    assert "/sys/fs/cgroup/memory/memory.oom_control" in sql.frequent(False)
    assert "{" not in sql.frequent(True)


def test_no_application_gets_a_connection_of_those_that_are_reserved(answer: Any) -> None:
    said = " ".join(sql.frequent(None).split())
    usable = said.partition("'usable', ")[2].partition(", 'sessions'")[0]
    # The second is of PostgreSQL 16 and newer.
    assert "- current_setting('superuser_reserved_connections')::int" in usable
    assert "- coalesce(current_setting('reserved_connections', true)::int, 0)" in usable
    assert answer["usable"] == answer["maximum"] - 3 - 2


def test_a_standby_that_was_cut_off_is_not_up_to_date() -> None:
    bytes_, _middle, seconds = sql.frequent(None).partition("'replica_lag_bytes'")[2].partition("'replica_lag_seconds'")
    streams = "EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"
    assert "WHEN pg_is_in_recovery() AND %s\n" % streams in bytes_
    assert "WHEN %s AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0\n" % streams in seconds


def test_rates_between_two_answers(answer: Any) -> None:
    later = changed(answer, "now", answer["now"] + 10)
    grown = {"commits": 90, "rollbacks": 10, "hits": 300, "reads": 100, "rows_written": 50, "temp_bytes": 20}
    grown["deadlocks"] = 1
    later["counters"] = {name: value + grown[name] for name, value in answer["counters"].items()}
    later["wal_position"] = answer["wal_position"] + 1000
    assert sql.rates(answer, later) == {
        "transactions_per_second": 10.0,
        "rollback_ratio": 0.1,
        "cache_hit_ratio": 0.75,
        "rows_written_per_second": 5.0,
        "wal_bytes_per_second": 100.0,
        "temp_bytes_per_second": 2.0,
        "deadlocks": 1,
    }


def test_nothing_happened_is_no_ratio(answer: Any) -> None:
    found = sql.rates(answer, changed(answer, "now", answer["now"] + 5))
    assert (found["transactions_per_second"], found["rollback_ratio"], found["cache_hit_ratio"]) == (0.0, None, None)


def test_no_rates_without_two_answers_of_one_server(answer: Any) -> None:
    later = changed(answer, "now", answer["now"] + 5)
    reset = changed(later, "counters.commits", 0)
    for before, found in ((None, answer), (answer, reset), (later, answer), (answer, answer)):
        assert set(sql.rates(before, found).values()) == {None}


def test_a_blocked_session_names_who_blocks_it(answer: Any) -> None:
    found = sql.sessions(answer)
    assert (found["blocked"], found["maximum"]) == (1, 13)
    blocked = next(each for each in found["longest"] if each["blocked_by"])
    blocker = next(each for each in found["longest"] if each["pid"] == blocked["blocked_by"][0])
    assert (blocked["query"], blocked["wait"]) == ("update k1 set i=3", "Lock/transactionid")
    assert blocker["seconds"] > blocked["seconds"] > 0


@pytest.mark.parametrize(
    "query, shown",
    [
        (None, ""),
        ("select\n  1\t+ 1", "select 1 + 1"),
        ("ALTER ROLE app PASSWORD 'geheim'", sql.HIDDEN),
        ("create user x encrypted password 'y'", sql.HIDDEN),
        ("update pg_authid set rolpassword = 'SCRAM-SHA-256$4096:a'", sql.HIDDEN),
        ("select forgot_passwords from t", "select forgot_passwords from t"),
        ("select * from dblink('postgresql://u:geheim@h/db', 'select 1')", sql.HIDDEN),
        ("create subscription s connection 'postgres://:g@h'", sql.HIDDEN),
        ("alter server s options (set sslpassword 'x')", sql.HIDDEN),
        # The rest of it was cut off.
        ("select * from dblink('postgresql://u:geh", sql.HIDDEN),
        ("select 'http://h:80/' || 'a@b'", "select 'http://h:80/' || 'a@b'"),
        ("select 'postgresql://u@h:5432/db'", "select 'postgresql://u@h:5432/db'"),
        ("select x::text, y from t where z = 'a:b@c'", "select x::text, y from t where z = 'a:b@c'"),
    ],
)
def test_secrets_in_statements_are_hidden(query: str | None, shown: str) -> None:
    assert sql.shown(query) == shown
