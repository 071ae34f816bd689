# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's statistics over the superuser's socket, on a kept connection. Private to the collection."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import _poll_sql as sql
from . import _sql
from ._backup_repository import Keeper
from ._layout import PORT
from ._poll_link import QUERY_SECONDS, Link, Silent, state_of, words_of

# A little less than the link waits, so that what is slow ends with words and the connection stays.
_STATEMENT_MS = 1800


@dataclass(frozen=True)
class Answer:
    """state is None where the server answered, else one of _poll_link with its words.

    frequent, rare and statements are the newest answers to _poll_sql's statements, None and () before the first time.
    rare, which has the sizes too, and statements are of the last time that they could be read, in good times a minute
    ago. Without frequent the server is there and words say why it told nothing. session: number of the connection.
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
        self._started_at: Optional[float] = None
        self._forget()

    def _forget(self) -> None:
        self._rare: Optional[Mapping[str, Any]] = None
        self._statements: tuple[Mapping[str, Any], ...] = ()
        # What is read each minute -> when that was last tried.
        self._tried_at = dict.fromkeys((self._read_rare, self._read_statements, self._read_sizes), -math.inf)

    def ask(self, keeper: Keeper, end: float) -> Answer:
        """end: moment of the monotonic clock. Never raises for a server that does not answer as it should."""
        # The last for an answer that is none; its words hold nothing of it.
        failures = (Silent, _sql.driver().Error, ValueError)
        try:
            frequent = self._frequent(keeper, end)
        except failures as error:
            serves = self._link.is_open or isinstance(error, ValueError)
            return Answer(None if serves else state_of(error), words_of(error), session=self._link.number)
        if frequent["started_at"] != self._started_at:
            # It may be another server, of another version or on another machine.
            self._forget()
            self._started_at = frequent["started_at"]
        # What nobody could read now is that of the last time; that is no reason to call the server ill.
        with contextlib.suppress(*failures):
            self._read_due(end)
        return Answer(None, "", frequent, self._rare, self._statements, self._link.number)

    def _frequent(self, keeper: Keeper, end: float) -> Mapping[str, Any]:
        statement = sql.frequent(None if self._rare is None else self._rare["cgroup2"])
        if self._link.is_open:
            try:
                return sql.parsed(self._link.ask(statement, end)[0])
            except _sql.driver().Error:
                # The server may have begun anew since; who is silent is silent to a new connection too.
                if self._link.is_open:
                    raise
        self._link.open(
            end,
            host=keeper.sockets,
            port=PORT,
            user="postgres",
            dbname="postgres",
            application_name="pgkeep poll",
            options=_sql.as_options({**_sql.guarded(keeper.sockets), "statement_timeout": str(_STATEMENT_MS)}),
        )
        return sql.parsed(self._link.ask(statement, end)[0])

    def _read_due(self, end: float) -> None:
        """What fails or takes long keeps the rest for the next poll: the login wants its time too."""
        for read, tried_at in self._tried_at.items():
            if not 0 <= time.monotonic() - tried_at < sql.RARE_SECONDS:
                # Tried again in a minute, also when it fails.
                self._tried_at[read] = time.monotonic()
                read(end)
                if end - time.monotonic() < QUERY_SECONDS:
                    return

    def _read_rare(self, end: float) -> None:
        self._rare = {**(self._rare or {}), **sql.parsed(self._link.ask(sql.rare(), end)[0])}

    def _read_statements(self, end: float) -> None:
        schema = None if self._rare is None else self._rare["statements"]
        found = sql.parsed(self._link.ask(sql.statements(schema), end)[0])["top"] if schema else None
        self._statements = tuple(found or ())

    def _read_sizes(self, end: float) -> None:
        if self._rare is not None:
            self._rare = {**self._rare, **sql.parsed(self._link.ask(sql.sizes(), end)[0])}
