# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's statistics over the superuser's socket, on a kept connection. Private to the collection."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import _poll_sql as sql
from . import _sql
from ._backup_repository import Keeper
from ._layout import PORT
from ._poll_link import Link, Silent, state_of, words_of

# A little less than the link waits, so that what is slow ends with words and the connection stays.
_STATEMENT_MS = 1800


@dataclass(frozen=True)
class Answer:
    """state is None where the server answered, else one of _poll_link with its words.

    frequent and rare are the newest answers to _poll_sql's statements, statements those of pg_stat_statements; rare and
    statements may be a minute old, and None before the first time. session: number of the connection.
    """

    state: Optional[str]
    words: str = ""
    frequent: Optional[Mapping[str, Any]] = None
    rare: Optional[Mapping[str, Any]] = None
    statements: tuple[Mapping[str, Any], ...] = ()
    session: int = 0


class Server:
    def __init__(self) -> None:
        self._link = Link()
        self._rare: Optional[Mapping[str, Any]] = None
        self._rare_at = 0.0
        self._statements: tuple[Mapping[str, Any], ...] = ()

    def ask(self, keeper: Keeper, end: float) -> Answer:
        """end: moment of the monotonic clock. Never raises for a server that does not answer as it should."""
        failures = (Silent, _sql.driver().Error)
        try:
            frequent = self._frequent(keeper, end)
        except failures as error:
            return Answer(state_of(error), words_of(error))
        if self._rare is None or not 0 <= time.monotonic() - self._rare_at < sql.RARE_SECONDS:
            # Sizes that nobody could read now are those of the last time; that is no reason to call the server ill.
            with contextlib.suppress(*failures):
                self._read_rare(end)
        return Answer(None, "", frequent, self._rare, self._statements, self._link.number)

    def _frequent(self, keeper: Keeper, end: float) -> Mapping[str, Any]:
        cgroup2 = None if self._rare is None else self._rare["cgroup2"]
        statement = sql.frequent(cgroup2)
        if self._link.is_open:
            try:
                return dict(sql.parsed(self._link.ask(statement, end)[0]))
            except _sql.driver().Error:
                # The server may have begun anew since; who is silent is silent to a new connection too.
                pass
        # It may be another server, of another version or on another machine.
        self._rare, self._statements = None, ()
        self._link.open(
            end,
            host=keeper.sockets,
            port=PORT,
            user="postgres",
            dbname="postgres",
            application_name="pgkeep poll",
            options=_sql.as_options({**_sql.guarded(keeper.sockets), "statement_timeout": str(_STATEMENT_MS)}),
        )
        return dict(sql.parsed(self._link.ask(sql.frequent(None), end)[0]))

    def _read_rare(self, end: float) -> None:
        # Tried again in a minute, also when it fails.
        self._rare_at = time.monotonic()
        self._rare = sql.parsed(self._link.ask(sql.rare(), end)[0])
        schema = self._rare["statements"] if self._rare else None
        self._statements = ()
        if schema:
            self._statements = tuple(json.loads(self._link.ask(sql.statements(schema), end)[0][0][0]))
