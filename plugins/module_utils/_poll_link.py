# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One kept connection that nothing can hang on: asynchronous, with a deadline for everything. Private.

psycopg2 waits for ever for a server that was stopped by a signal or whose machine is frozen, over a unix socket too:
connect_timeout ends with the login, statement_timeout is the server's own. So every wait here is a poll() of ours.
"""

from __future__ import annotations

import select
import time
from typing import Any

from ._retry import TRY_SECONDS
from ._sql import driver

CONNECT_SECONDS = float(TRY_SECONDS)
QUERY_SECONDS = 2.0

# What a server is that does not let us in.
STOPPED, DEAD, STARTING, STOPPING, HUNG = "stopped", "dead", "starting", "shutting down", "hung"
FULL, REFUSED, UNTRUSTED, UNREACHABLE = "too many connections", "login refused", "certificate refused", "unreachable"

# Words of libpq, the kernel or the server -> the state; the first that fits. psycopg2 has no SQLSTATE for a connection
# that was not made.
_WORDS = (
    ("certificate", UNTRUSTED),
    ("ssl error", UNTRUSTED),
    ("password authentication failed", REFUSED),
    ("no pg_hba.conf entry", REFUSED),
    ("no password supplied", REFUSED),
    ("is not permitted to log in", REFUSED),
    ("does not exist", REFUSED),
    ("starting up", STARTING),
    ("in recovery mode", STARTING),
    ("not yet accepting connections", STARTING),
    ("not accepting connections", STARTING),
    ("shutting down", STOPPING),
    ("administrator command", STOPPING),
    ("too many clients", FULL),
    ("connection slots are reserved", FULL),
    ("too many connections", FULL),
    ("no such file or directory", STOPPED),
    ("connection refused", DEAD),
    # Of a unix socket whose queue is full: nobody has taken a connection out of it for long.
    ("resource temporarily unavailable", HUNG),
    ("timeout", HUNG),
    ("timed out", HUNG),
)


class Silent(Exception):
    """No answer before the deadline."""


def state_of(error: BaseException) -> str:
    """Which of the states above an error of Link means."""
    if isinstance(error, Silent):
        return HUNG
    words = str(error).lower()
    return next((state for known, state in _WORDS if known in words), UNREACHABLE)


class Link:
    """At most one open connection. What ends it or leaves it in the middle of an answer closes it, so that the next
    open() begins anew; a statement that the server refuses or gives up leaves it as it is."""

    def __init__(self) -> None:
        self._opened: Any = None
        # Counts the connections, so that whoever remembers the number knows whether it is still the same one.
        self.number = 0

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    def open(self, end: float, **parameters: Any) -> float:
        """Connect anew and return the milliseconds it took. end: moment of the monotonic clock.

        parameters are libpq's, without a name that had to be looked up. Raises Silent and psycopg2's errors.
        """
        self.close()
        began = time.monotonic()
        end = min(end, began + CONNECT_SECONDS)
        try:
            self._opened = driver().connect(async_=True, **parameters)
            self._wait(end, "no answer to a login within %.1f s" % (end - began))
        except BaseException:
            self.close()
            raise
        self.number += 1
        return (time.monotonic() - began) * 1000

    def ask(self, statement: str, end: float) -> tuple[list[tuple[Any, ...]], float]:
        """The rows of one statement, and the milliseconds it took. Raises Silent and psycopg2's errors.

        After an error is_open tells whether only the statement failed.
        """
        _names, found, took = self._asked(statement, end)
        return found, took

    def table(self, statement: str, end: float) -> list[dict[str, Any]]:
        """The rows of one statement by the names of their columns. Raises as ask()."""
        names, found, _took = self._asked(statement, end)
        return [dict(zip(names, row)) for row in found]

    def _asked(self, statement: str, end: float) -> tuple[list[str], list[tuple[Any, ...]], float]:
        began = time.monotonic()
        end = min(end, began + QUERY_SECONDS)
        try:
            cursor = self._opened.cursor()
            cursor.execute(statement)
            self._wait(end, "no answer to a query within %.1f s" % (end - began))
            took = (time.monotonic() - began) * 1000
            names = [column[0] for column in cursor.description or ()]
            found = list(cursor.fetchall()) if names else []
            cursor.close()
        except BaseException as error:
            if not (isinstance(error, driver().Error) and self._goes_on(error)):
                self.close()
            raise
        return names, found, took

    def _goes_on(self, error: Any) -> bool:
        """Whether the server said of itself that only the statement failed, and not the session."""
        said = error.diag.severity_nonlocalized if error.pgcode else None
        return said == "ERROR" and not self._opened.closed

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _wait(self, end: float, words: str) -> None:
        from psycopg2.extensions import POLL_OK, POLL_WRITE

        while True:
            state = self._opened.poll()
            if state == POLL_OK:
                return
            # Not select(), which knows 1024 files; a new one, as each step of a login may have another descriptor.
            waiting = select.poll()
            waiting.register(self._opened.fileno(), select.POLLOUT if state == POLL_WRITE else select.POLLIN)
            if not waiting.poll(max(end - time.monotonic(), 0.0) * 1000):
                raise Silent(words)


def words_of(error: BaseException) -> str:
    """The error as one line, without the addresses that libpq puts before the server's own words."""
    line = " ".join(str(error).split())
    return line.rpartition("FATAL: ")[2].strip() or line
