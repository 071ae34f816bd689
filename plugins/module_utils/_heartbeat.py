# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat: a row that says until when the data is known, so that a drill can measure the RPO. Private.

A ring of rows, updated in place, each with its moment and its position in the WAL. A beat is written only when
somebody wrote since the last one: an idle server stays idle, and its archive does not grow. A drill compares the ring
in the copy with what had been archived when the drill began.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Sequence

from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._keeper_config import topic
from ._sql import READ_ONLY, connection, driver, guarded, rows
from ._wal import lsn, parse

TOPIC = "heartbeat"
DEFAULT_SECONDS = 10.0
# How often the duty looks whether a beat is due; intervals are multiples of it.
LOOK_SECONDS = 5.0
APPLICATION = "pgkeep heartbeat"
DATABASE = "postgres"
# An hour at the default interval: the archive of a healthy server lags by a minute.
SLOTS = 360
# After an error that will not pass in seconds (a full disk), so that the server's log is not filled with it.
PAUSE_SECONDS = 300.0
# A position at the beginning of a segment is said to be behind its header (SizeOfXLogLongPHD in PostgreSQL).
_HEADER = 40

_READY = """SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off',
    to_regclass('pgkeep.heartbeat') IS NOT NULL"""
# Each row has room for its new version on its page, which the next reader prunes: nothing for a vacuum to do.
# One string is one transaction: a table without its rows would never beat.
_CREATE = f"""CREATE SCHEMA IF NOT EXISTS pgkeep;
    CREATE TABLE pgkeep.heartbeat (
        slot smallint PRIMARY KEY,
        beat_at timestamptz NOT NULL,
        quiet_until timestamptz,
        lsn pg_lsn NOT NULL
    ) WITH (fillfactor = 40, autovacuum_enabled = off);
    INSERT INTO pgkeep.heartbeat SELECT s, CASE s WHEN 0 THEN clock_timestamp() ELSE '-infinity' END, NULL,
        CASE s WHEN 0 THEN pg_current_wal_insert_lsn() ELSE '0/0' END FROM generate_series(0, {SLOTS} - 1) s"""
# Nobody wrote since the newest beat: its transaction is the last one, and none is open. Reading takes no number.
_IDLE = """SELECT slot, pg_snapshot_xmin(s)::text::bigint = pg_snapshot_xmax(s)::text::bigint
        AND mod(pg_snapshot_xmax(s)::text::bigint, 4294967296) = mod(b.xmin::text::bigint + 1, 4294967296) AS idle
    FROM pgkeep.heartbeat b, pg_current_snapshot() s ORDER BY beat_at DESC LIMIT 1"""
_BEAT = f"""WITH newest AS ({_IDLE})
    UPDATE pgkeep.heartbeat h
    SET beat_at = clock_timestamp(), quiet_until = to_timestamp(%s), lsn = pg_current_wal_insert_lsn()
    FROM newest n WHERE NOT n.idle AND h.slot = mod(n.slot + 1, {SLOTS}) RETURNING 1"""
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_LOOKED = "SELECT extract(epoch FROM max(query_start))::float8 FROM pg_stat_activity WHERE application_name = %s"
_RING = """SELECT extract(epoch FROM beat_at)::float8, extract(epoch FROM quiet_until)::float8, lsn::text
    FROM pgkeep.heartbeat WHERE beat_at > '-infinity' ORDER BY beat_at"""
_SEGMENT_BYTES = "SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'"


def seconds(instance: str, wanted: Mapping[str, Any]) -> float:
    """The interval that the topic asks for, 0 for none. Raises PgkeepError for what is no interval."""
    found = wanted.get("interval_seconds", DEFAULT_SECONDS)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or found < 0 or found > 3600:
        raise PgkeepError(
            "The heartbeat of %s cannot be as the inventory says" % instance,
            "postgres_backup_heartbeat_seconds is %r, not a number from 0 to 3600" % (found,),
            "correct it; 0 turns the heartbeat off",
        )
    return float(found)


def check(keeper: Keeper) -> None:
    seconds(keeper.instance, topic(keeper, TOPIC))


class Heart:
    """The duty: keeps one connection, so that a server that logs connections does not log one every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stack = contextlib.ExitStack()
        self._opened: Any = None
        self._next = 0.0
        self._looked: Optional[float] = None

    def tick(self, keeper: Keeper) -> None:
        """Beat when it is due. A server that is down, read-only or full is no trouble of the heartbeat's."""
        interval = seconds(keeper.instance, topic(keeper, TOPIC))
        now = self._clock()
        if not interval:
            self._close()
            return
        if now < self._next:
            return
        self._next = now + interval - LOOK_SECONDS / 2
        try:
            self._beat(keeper)
        except driver().OperationalError as error:
            # Not there, or going away; when it is there and says no, for a while.
            if error.pgcode and not error.pgcode.startswith("57"):
                self._next = now + PAUSE_SECONDS
            self._close()
        except driver().Error:
            self._next = now + PAUSE_SECONDS
            self._close()

    def _beat(self, keeper: Keeper) -> None:
        if self._opened is None:
            # Where nobody shall write by default, it does not beat either.
            settings = {name: value for name, value in guarded(keeper.sockets).items() if name != READ_ONLY}
            self._opened = self._stack.enter_context(connection(keeper.sockets, DATABASE, settings=settings))
            for setting in (
                "application_name = '%s'" % APPLICATION,
                # A beat that is lost in a crash was not archived either; it shall cost no flush and wait for nobody.
                "synchronous_commit = off",
                "statement_timeout = '5s'",
                "lock_timeout = '1s'",
                "log_min_duration_statement = -1",
            ):
                rows(self._opened, "SET " + setting)
        writable, exists = rows(self._opened, _READY)[0]
        if not writable:
            return
        if not exists:
            rows(self._opened, _CREATE)
        looked = float(rows(self._opened, _NOW)[0][0])
        written = rows(self._opened, _BEAT, (self._looked,))
        # What the next beat may say: until then all was as the beat before it had seen it.
        self._looked = None if written else looked

    def _close(self) -> None:
        self._stack.close()
        self._opened, self._looked = None, None


@dataclass(frozen=True)
class Beat:
    """at: its moment. quiet_until: the last look before it that found nothing written since the beat before, or None.
    position: in the WAL, bytes. Moments in seconds since the epoch."""

    at: float
    quiet_until: Optional[float]
    position: int


@dataclass(frozen=True)
class Beginning:
    """The server when a drill begins. looked: the last look of the duty; idle: nothing written since the last beat."""

    at: float
    looked: Optional[float]
    idle: bool


def beginning(socket_dir: str) -> Optional[Beginning]:
    """What the running server says now; None where there is no heartbeat or no answer."""
    try:
        with connection(socket_dir, DATABASE) as opened:
            if not rows(opened, _READY)[0][1]:
                return None
            idle = bool(rows(opened, _IDLE)[0][1])
            return Beginning(rows(opened, _NOW)[0][0], rows(opened, _LOOKED, (APPLICATION,))[0][0], idle)
    except driver().Error:
        return None


def exposure(beats: Sequence[Beat], archived: int, began: Beginning) -> Optional[float]:
    """Seconds of work that would have been lost with the host when the drill began: the RPO.

    beats: those of the copy, in their order. archived: the position up to which the repository held the WAL then. All
    that was committed before a beat stands before its position, so where that was archived, all of it was safe. After
    the last such beat nothing was written while the server was seen quiet. None when no beat in the ring is that old:
    the archive lags by more than the ring holds.
    """
    known = [beat for beat in beats if beat.at <= began.at]
    safe = [beat.at for beat in known if beat.position - _HEADER <= archived]
    later = [beat for beat in known if beat.position - _HEADER > archived]
    if not safe:
        return None
    if later:
        quiet = later[0].quiet_until
    elif began.idle:
        return 0.0
    else:
        quiet = began.looked
    return round(max(began.at - max(safe[-1], quiet or 0.0), 0.0), 3)


def measure(socket_dir: str, newest: Optional[str], began: Optional[Beginning]) -> Optional[float]:
    """The RPO from the ring in the copy; newest is the last segment archived when the drill began."""
    if began is None or newest is None:
        return None
    try:
        with connection(socket_dir, DATABASE) as opened:
            if not rows(opened, _READY)[0][1]:
                return None
            size = int(rows(opened, _SEGMENT_BYTES)[0][0])
            beats = [Beat(at, quiet, lsn(position)) for at, quiet, position in rows(opened, _RING)]
    except driver().Error:
        return None
    return exposure(beats, (parse(newest, size).number + 1) * size, began)
