# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which errors are tried again, and how long."""

from __future__ import annotations

from typing import Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._retry import retry, retryable


class SqlError(Exception):
    """As psycopg2's: the text of libpq and the SQLSTATE, None when the server never answered."""

    def __init__(self, text: str = "", pgcode: Optional[str] = None) -> None:
        super().__init__(text)
        self.pgcode = pgcode


class Clock:
    """Time that passes only by sleeping and by tries that cost seconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("state", ["08006", "08001", "57P01", "57P02", "57P03", "53300", "40001", "40P01"])
def test_states_that_a_moment_can_cure(state: str) -> None:
    assert retryable(SqlError("", state))


@pytest.mark.parametrize("state", ["28P01", "28000", "3D000", "42P01", "42501", "53100", "53200", "57014", "23505"])
def test_states_that_stay(state: str) -> None:
    assert not retryable(SqlError("server closed the connection unexpectedly", state))


# Recorded from psycopg2 2.9 with libpq 17: it has no SQLSTATE for a connection that was not made.
@pytest.mark.parametrize(
    "text, answer",
    [
        (
            'connection to server at "127.0.0.1", port 15420 failed: Connection refused\n\tIs the server running',
            True,
        ),
        ('connection to server at "192.0.2.1", port 5432 failed: timeout expired', True),
        ('connection to server at "127.0.0.1", port 15420 failed: FATAL:  the database system is starting up', True),
        ("FATAL:  the database system is in recovery mode", True),
        ('connection to server at "127.0.0.1", port 15420 failed: FATAL:  sorry, too many clients already', True),
        ('connection to server at "127.0.0.1", port 15420 failed: server closed the connection unexpectedly', True),
        ('connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory', True),
        (
            'connection to server at "127.0.0.1" failed: FATAL:  password authentication failed for user "x"',
            False,
        ),
        ('connection to server at "127.0.0.1" failed: FATAL:  database "shop" does not exist', False),
        ('connection to server at "127.0.0.1" failed: FATAL:  no pg_hba.conf entry for host "172.17.0.1"', False),
        ('connection to server at "127.0.0.1" failed: SSL error: certificate verify failed', False),
        ('root certificate file "/etc/pgkeep/x/client/ca.crt" does not exist: No such file or directory', False),
        ("something nobody has seen", False),
    ],
)
def test_words_decide_where_there_is_no_state(text: str, answer: bool) -> None:
    assert retryable(SqlError(text)) is answer


def test_errors_of_the_network_are_tried_again() -> None:
    assert retryable(ConnectionRefusedError())
    assert retryable(TimeoutError())
    assert not retryable(ValueError("connection"))


def test_four_tries_after_one_two_and_four_seconds() -> None:
    clock, tries = Clock(), []

    def fail() -> None:
        tries.append(clock.now)
        raise SqlError("", "57P03")

    with pytest.raises(SqlError):
        retry(fail, clock=clock, sleep=clock.sleep)
    assert clock.slept == [1.0, 2.0, 4.0]
    assert len(tries) == 4


def test_the_first_success_ends_it() -> None:
    clock, answers = Clock(), [SqlError("", "57P03"), SqlError("", "57P03"), 42]

    def answer() -> int:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    assert retry(answer, clock=clock, sleep=clock.sleep) == 42
    assert clock.slept == [1.0, 2.0]


def test_a_wrong_password_is_tried_once() -> None:
    clock, tries = Clock(), []

    def fail() -> None:
        tries.append(1)
        raise SqlError("", "28P01")

    with pytest.raises(SqlError):
        retry(fail, clock=clock, sleep=clock.sleep)
    assert (len(tries), clock.slept) == (1, [])


def test_the_deadline_holds_when_every_try_hangs() -> None:
    clock, tries = Clock(), []

    def hang() -> None:
        tries.append(1)
        clock.now += 5
        raise TimeoutError

    with pytest.raises(TimeoutError):
        retry(hang, deadline_seconds=10, clock=clock, sleep=clock.sleep)
    # 5 s, wait 1 s, 5 s: the third would begin after the deadline.
    assert len(tries) == 2
    assert clock.now <= 111
