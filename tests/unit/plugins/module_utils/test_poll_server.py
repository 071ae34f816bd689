# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's statistics: one connection as long as it works, and what is known stays known."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_link as link
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_server as poll_server
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_sql as sql
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

from .recorded import load

FREQUENT, RARE = load("poll/frequent.json"), {**load("poll/rare.json"), "statements": "public"}
SIZES = {name: RARE[name] for name in ("databases", "wal_bytes")}
FACTS = {name: value for name, value in RARE.items() if name not in SIZES}


class Refused(Exception):
    """As psycopg2 raises what the server says."""

    def __init__(self, code: str | None = "57014", severity: str = "ERROR") -> None:
        super().__init__("canceling statement due to statement timeout")
        self.pgcode, self.diag = code, SimpleNamespace(severity_nonlocalized=severity)


class Connection:
    """As psycopg2's. answers: what is in a statement -> its row, or an error; the newest first."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.closed, self.asked, self.description = answers, 0, [], [("textsend",)]

    def cursor(self) -> Connection:
        return self

    def execute(self, statement: str) -> None:
        self.asked.append(statement)

    def fetchall(self) -> list[tuple[Any, ...]]:
        answer = next(answer for word, answer in self.answers.items() if word in self.asked[-1])
        if isinstance(answer, BaseException):
            raise answer
        return [(memoryview(answer),)]

    def close(self) -> None:
        pass

    def poll(self) -> int:
        return 0


class Bench:
    """A server whose answers a test changes; opened counts the connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, Any] = {
            "pg_stat_activity": said(FREQUENT),
            "'timeline'": said(FACTS),
            "total_exec_time": said({"top": [{"query": "select 1", "calls": 1}]}),
            "'databases'": said(SIZES),
        }
        self.opened: list[Connection] = []
        self.now = 1000.0
        psycopg2 = SimpleNamespace(Error=Refused, connect=self.connect)
        monkeypatch.setattr(link, "driver", lambda: psycopg2)
        monkeypatch.setattr(poll_server._sql, "driver", lambda: psycopg2)
        monkeypatch.setattr(link.Link, "_wait", lambda self, end, words: None)
        for module in (link, poll_server):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.server = poll_server.Server()

    def connect(self, **_parameters: Any) -> Connection:
        self.opened.append(Connection(self.answers))
        return self.opened[-1]

    def ask(self) -> poll_server.Answer:
        self.now += 5
        return self.server.ask(Keeper("app", run, "", sockets="/nowhere"), self.now + 4.25)

    def asked(self, word: str) -> int:
        return sum(word in statement for connection in self.opened for statement in connection.asked)


def said(answer: Any) -> bytes:
    return json.dumps(answer).encode()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_everything_is_read_over_one_connection_and_what_is_rare_each_minute(bench: Bench) -> None:
    found = bench.ask()
    assert (found.state, found.frequent, found.rare, found.session) == (None, FREQUENT, RARE, 1)
    assert found.statements == ({"query": "select 1", "calls": 1},)
    for _poll in range(12):
        assert bench.ask().session == 1
    assert (bench.asked("pg_stat_activity"), bench.asked("'timeline'"), bench.asked("'databases'")) == (13, 2, 2)
    # Of the second poll on it is known which files of the control group there are.
    assert bench.asked("pg_read_file") == 12


@pytest.mark.parametrize("word", ["'timeline'", "total_exec_time", "'databases'"])
def test_what_cannot_be_read_is_tried_once_a_minute_on_the_same_connection(bench: Bench, word: str) -> None:
    bench.answers[word] = Refused()
    for _poll in range(13):
        found = bench.ask()
        assert (found.state, found.frequent, found.session) == (None, FREQUENT, 1)
    assert (len(bench.opened), bench.asked(word)) == (1, 2)
    known = word == "'timeline'"
    # The rest is known all the same.
    assert (found.rare is None) is known
    assert (found.statements == ()) is (known or word == "total_exec_time")
    assert known or ("wal_bytes" in found.rare) is (word != "'databases'")


def test_what_was_read_once_stays_until_the_server_begins_anew(bench: Bench) -> None:
    bench.ask()
    for word in ("'timeline'", "total_exec_time", "'databases'"):
        bench.answers[word] = Refused()
    bench.now += 60
    for connection_lost in (False, True):
        bench.opened[-1].closed = 2 * connection_lost
        found = bench.ask()
        assert (found.rare, len(found.statements)) == (RARE, 1)
    bench.answers["pg_stat_activity"] = said({**FREQUENT, "started_at": FREQUENT["started_at"] + 1})
    found = bench.ask()
    assert (found.rare, found.statements) == (None, ())


@pytest.mark.parametrize(
    "error, closed, sessions",
    [
        (Refused(), 0, 1),
        # These are asked again on a new one, which is lost as well.
        (Refused("57P01", "FATAL"), 0, 3),
        (Refused(None), 2, 3),
        (link.Silent("no answer"), 0, 2),
        (UnicodeDecodeError("utf-8", b"secret", 0, 1, "invalid"), 0, 2),
    ],
)
def test_a_connection_ends_with_what_ends_it(bench: Bench, error: Exception, closed: int, sessions: int) -> None:
    bench.ask()
    bench.answers["pg_stat_activity"], bench.opened[0].closed = error, closed
    bench.ask()
    bench.answers["pg_stat_activity"] = said(FREQUENT)
    found = bench.ask()
    assert (found.session, found.rare) == (sessions, RARE)


@pytest.mark.parametrize(
    "error, state", [(Refused(), None), (link.Silent("no answer"), link.HUNG), (Refused("57P03", "FATAL"), link.HUNG)]
)
def test_a_server_that_tells_nothing_of_itself_is_there(bench: Bench, error: Exception, state: str | None) -> None:
    bench.answers["pg_stat_activity"] = error
    found = bench.ask()
    assert (found.state, found.frequent) == (state, None)


def test_an_answer_that_is_none_is_told_without_a_word_of_it(bench: Bench) -> None:
    for broken in (b'{"secret', UnicodeDecodeError("utf-8", b"secret", 0, 1, "invalid")):
        bench.answers["pg_stat_activity"] = broken
        found = bench.ask()
        assert (found.state, found.frequent) == (None, None)
        assert found.words
        assert "secret" not in found.words


def test_bytes_of_another_encoding_are_replaced(bench: Bench) -> None:
    bench.answers["pg_stat_activity"] = said({**FREQUENT, "longest": [{"query": "caf#"}]}).replace(b"#", b"\xe9")
    assert bench.ask().frequent["longest"] == [{"query": "caf\ufffd"}]
    for statement in (sql.frequent(None), sql.rare(), sql.sizes(), sql.statements("public")):
        # As text psycopg2 would decode it, strictly.
        assert statement.startswith("\nSELECT textsend(")


def test_what_takes_long_leaves_time_for_the_login(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = link.Link.ask

    def slow(self: link.Link, statement: str, end: float) -> Any:
        bench.now += 0.0 if "pg_stat_activity" in statement else 1.5
        return ask(self, statement, end)

    monkeypatch.setattr(link.Link, "ask", slow)
    bench.ask()
    assert (bench.asked("'timeline'"), bench.asked("total_exec_time"), bench.asked("'databases'")) == (1, 1, 0)
    bench.ask()
    assert bench.asked("'databases'") == 1
