# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login as an application makes it: no superuser, over the network, TLS verified. Private to the collection."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Any, Optional

from ._backup_repository import Keeper
from ._breaker import Breaker
from ._errors import PgkeepError
from ._files import read
from ._keeper_config import secret
from ._layout import CONFIG_MOUNT, MONITOR, PORT
from ._poll_link import UNREACHABLE, Link, Silent, state_of, words_of
from ._sql import driver

PASSWORD = "monitor.password"
# A kept connection tells nothing of logins: a postmaster that hangs lets its sessions live.
FRESH_SECONDS = 15.0

# A server that needs longer for a statement is not healthy, and nothing of ours is left behind in it.
_STATEMENT_MS = 2000


@dataclass(frozen=True)
class Login:
    """What the last try found. state is None where the login works, else one of _poll_link with its words.

    tried is false where the breaker left the server alone; state and words are then those of the last try.
    """

    state: Optional[str]
    words: str = ""
    response_ms: Optional[float] = None
    connect_ms: Optional[float] = None
    tried: bool = True


def address_of(keeper: Keeper) -> str:
    """Where the server listens; it writes that at each of its starts, so that nobody has to ask a name service."""
    text = read(keeper.sockets + "/hosts") or ""
    words = next((line.split() for line in text.splitlines() if len(line.split()) > 1), None)
    if words is None:
        raise PgkeepError(
            "The address of %s is not known" % keeper.instance,
            "%s/hosts names none" % keeper.sockets,
            "give the server a network of its own and start it again",
        )
    return words[0]


class Prober:
    """Keeps one login for SELECT 1 and makes a fresh one every FRESH_SECONDS, or when that one fails."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self._link = Link()
        self._fresh_at: Optional[float] = None
        self._last = Login(UNREACHABLE, "not tried yet")

    def probe(self, keeper: Keeper, now: float, end: float, around: Any) -> Login:
        """Try it, unless the breaker is open. end: moment of the monotonic clock. around: see Breaker.allows()."""
        around = (around, _password_written(keeper))
        if not self.breaker.allows(now, around):
            return Login(self._last.state, self._last.words, tried=False)
        response_ms = self._kept(end)
        connect_ms: Optional[float] = None if response_ms is None else self._last.connect_ms
        due = self._fresh_at is None or not 0 <= time.monotonic() - self._fresh_at < FRESH_SECONDS
        if response_ms is None or due:
            failures: tuple[type[BaseException], ...] = (PgkeepError, *_failures())
            try:
                connect_ms = self._fresh(keeper, end)
                response_ms = self._link.ask("SELECT 1", end)[1]
            except failures as error:
                return self._failed(now, around, error)
        self.breaker = self.breaker.succeeded()
        self._last = Login(None, "", _rounded(response_ms), _rounded(connect_ms))
        return self._last

    def not_there(self, now: float, around: Any, keeper: Keeper, state: str, words: str) -> Login:
        """The server said over its socket that it is not there; asking it over the network would only take longer."""
        self._link.close()
        if self.breaker.allows(now, (around, _password_written(keeper))):
            self.breaker = self.breaker.failed(now, (around, _password_written(keeper)))
        self._last = Login(state, words, tried=False)
        return self._last

    def _kept(self, end: float) -> Optional[float]:
        """Milliseconds of SELECT 1 on the kept login, None without one that works."""
        if not self._link.is_open:
            return None
        try:
            return self._link.ask("SELECT 1", end)[1]
        except _failures():
            return None

    def _fresh(self, keeper: Keeper, end: float) -> float:
        took = self._link.open(
            end,
            host=keeper.instance,
            hostaddr=address_of(keeper),
            port=PORT,
            user=MONITOR,
            password=secret(keeper, PASSWORD),
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=CONFIG_MOUNT + "/tls/ca.crt",
            application_name="pgkeep poll",
            options="-c statement_timeout=%d" % _STATEMENT_MS,
        )
        self._fresh_at = time.monotonic()
        return took

    def _failed(self, now: float, around: Any, error: BaseException) -> Login:
        self.breaker = self.breaker.failed(now, around)
        if isinstance(error, PgkeepError):
            self._last = Login(UNREACHABLE, "%s: %s" % (error.what, error.why))
        else:
            self._last = Login(state_of(error), words_of(error))
        return self._last


def _failures() -> tuple[type[BaseException], ...]:
    return (Silent, driver().Error)


def _password_written(keeper: Keeper) -> Optional[float]:
    with contextlib.suppress(OSError):
        return os.stat("%s/%s" % (keeper.config, PASSWORD)).st_mtime
    return None


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 2)
