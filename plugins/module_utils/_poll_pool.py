# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keeper sees of the pooler: its console, and a login through it. Private to the collection.

Read beside the poll, since the name of a pooler that is gone may take the engine's name service longer than a poll may
take. The login to the console is kept; that one which goes through to the server is made anew and closed, because a
pooler of sessions would give a kept one a connection to the server for good.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Callable, Mapping, Optional

from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._keeper_config import secret, topic
from ._layout import CONFIG_MOUNT, KEEPER_TOKEN, MONITOR, POOLER_PORT
from ._poll_link import Link, Silent, words_of
from ._poll_login import FRESH_SECONDS, PASSWORD
from ._pooler_reader import CONSOLE, USER, password
from ._pooler_rows import busiest, totals
from ._sql import driver

TOPIC = "pooler"
# For all of one look; each wait in it ends sooner.
_LOOK_SECONDS = 4.0
# Whoever looks for longer waits for the name service, which ends by itself.
STALE_SECONDS = 15.0

_NOTHING = dict.fromkeys(("clients_active", "clients_waiting", "max_wait_seconds", "servers_active", "servers_idle"))


def _address_of(host: str) -> str:
    """IPv4, as the networks that the pooler lets in. Raises OSError."""
    return str(socket.getaddrinfo(host, POOLER_PORT, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])


class Pool:
    def __init__(self, address_of: Callable[[str], str] = _address_of) -> None:
        self._address_of = address_of
        self._console, self._through = Link(), Link()
        self._address = ""
        self._login: Mapping[str, Any] = {"connect_ms": None, "login_error": "not tried yet"}
        self._login_at = 0.0
        self._found: Optional[Mapping[str, Any]] = None
        # When the last look ended, by the monotonic clock; None before the first.
        self._looked_at: Optional[float] = None

    def look(self, keeper: Keeper) -> None:
        """Never raises for a pooler that does not answer as it should."""
        wanted = topic(keeper, TOPIC)
        if wanted:
            self._found = self._read(keeper, wanted["host"])
        else:
            self._console.close()
            self._found = None
        self._looked_at = time.monotonic()

    def seen(self) -> tuple[Optional[Mapping[str, Any]], Optional[str]]:
        """What _health_pooler judges, with pool, the part of the snapshot; or None and why nothing is known, which is
        None as well where there is no pooler."""
        if self._looked_at is None:
            return None, "it was not looked at yet"
        age = time.monotonic() - self._looked_at
        if self._found is None or age < STALE_SECONDS:
            return self._found, None
        name = self._found["name"]
        return _failed(name, "the name service does not find %s; it is looked for since %.0f s" % (name, age)), None

    def _read(self, keeper: Keeper, host: str) -> Mapping[str, Any]:
        end = time.monotonic() + _LOOK_SECONDS
        try:
            pools, databases = self._rows(keeper, host, end)
        except (Silent, OSError, PgkeepError, driver().Error) as error:
            return _failed(host, _words(error))
        due = self._login["login_error"] is not None or time.monotonic() - self._login_at >= FRESH_SECONDS
        if due:
            self._login = self._logged_in(keeper, end)
            self._login_at = time.monotonic()
        return {
            **_facts(host),
            **self._login,
            "busiest": busiest(pools, databases),
            "pool": {"up": True, **totals(pools, databases)},
        }

    def _rows(self, keeper: Keeper, host: str, end: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if self._console.is_open:
            try:
                return self._shown(end)
            except driver().Error:
                # It may have begun anew since; who is silent is silent to a new connection too.
                pass
        # What was known of the way through is of another console.
        self._login_at = 0.0
        self._address = self._address_of(host)
        # The time for the name service is not the pooler's.
        end = max(end, time.monotonic() + _LOOK_SECONDS / 2)
        self._console.open(end, **self._way(keeper, USER, password(secret(keeper, KEEPER_TOKEN)), CONSOLE))
        return self._shown(end)

    def _shown(self, end: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self._console.table("SHOW POOLS", end), self._console.table("SHOW DATABASES", end)

    def _logged_in(self, keeper: Keeper, end: float) -> Mapping[str, Any]:
        """Milliseconds of a login and a statement, for which the pooler needs the server."""
        try:
            took = self._through.open(end, **self._way(keeper, MONITOR, secret(keeper, PASSWORD), "postgres"))
            took += self._through.ask("SELECT 1", end)[1]
        except (Silent, PgkeepError, driver().Error) as error:
            return {"connect_ms": None, "login_error": _words(error)}
        finally:
            self._through.close()
        return {"connect_ms": round(took, 2), "login_error": None}

    def _way(self, keeper: Keeper, user: str, word: str, database: str) -> dict[str, Any]:
        # Its certificate is the server's.
        return {
            "host": keeper.instance,
            "hostaddr": self._address,
            "port": POOLER_PORT,
            "user": user,
            "password": word,
            "dbname": database,
            "sslmode": "verify-full",
            "sslrootcert": CONFIG_MOUNT + "/tls/ca.crt",
            "application_name": "pgkeep poll",
        }


def _facts(host: str) -> dict[str, Any]:
    """As those of _pooler_facts, but for what only the engine knows."""
    return {"name": host, "address": "%s:%d" % (host, POOLER_PORT), "state": None, "pools_error": None}


def _failed(host: str, words: str) -> dict[str, Any]:
    """Of a pooler whose console does not answer; nobody tries what is behind it then."""
    return {
        **_facts(host),
        "connect_ms": None,
        "login_error": words,
        "busiest": None,
        "pools_error": words,
        "pool": {"up": False, **_NOTHING},
    }


def _words(error: BaseException) -> str:
    if isinstance(error, OSError):
        return "its name leads nowhere: %s" % error.strerror
    return "%s: %s" % (error.what, error.why) if isinstance(error, PgkeepError) else words_of(error)
