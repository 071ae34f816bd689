# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restored copy holds, compared with what the server had and has. Private to the collection."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import Any, Callable, Mapping, Sequence

from ._amcheck import some
from ._counts import CLOSED, Check, Reading, Table, compare
from ._counts_read import read
from ._dump_manifest import Run
from ._dump_rows import crosscheck
from ._errors import PgkeepError
from ._sql import connection, driver, rows

# A backend reports what it wrote at most this much later (PGSTAT_IDLE_INTERVAL in pgstat.c: 10 s).
STATISTICS_LAG_SECONDS = 11.0

_TIMELINE = "select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
_CLOSED = "select datname from pg_database where not datallowconn and datname <> 'template0' order by 1"
_CHECKSUMS = "select coalesce(sum(checksum_failures), 0), current_setting('data_checksums') from pg_stat_database"


def production_timeline(socket_dir: str) -> int:
    """The timeline that the server writes. Raises PgkeepError when it does not answer."""
    try:
        with connection(socket_dir) as opened:
            return int(rows(opened, _TIMELINE)[0][0])
    except driver().Error as error:
        raise PgkeepError("The server cannot be asked for its timeline", str(error).strip()) from error


def find_canary(socket_dir: str, canary: Mapping[str, Any]) -> tuple[bool, str]:
    """(passed, detail): whether the row written before the copy was made is in it."""
    try:
        with connection(socket_dir) as opened:
            found = rows(opened, "select 1 from pgkeep.canary where id = %s", (canary["id"],))
    except driver().Error as error:
        return False, str(error).strip()
    if found:
        return True, "the row written at %s is in the copy" % canary["written_at"]
    return False, (
        "the row written at %s is not in the copy: recovery ended before it, WAL is missing in the repository"
        % canary["written_at"]
    )


def checksum_failures(socket_dir: str) -> tuple[bool, str]:
    """(passed, detail): what reading the whole copy found in its pages. Runs last. No answer raises PgkeepError."""
    try:
        with connection(socket_dir) as opened:
            failures, enabled = rows(opened, _CHECKSUMS)[0]
    except driver().Error as error:
        raise PgkeepError("The copy cannot be asked for its checksums", str(error).strip()) from error
    if enabled != "on":
        return True, "the cluster has no data checksums"
    return failures == 0, "%d pages with a wrong checksum" % failures


def compare_copy(
    recorded: Sequence[Table],
    copy: Reading,
    counters: Callable[[], Reading],
    sleep: Callable[[float], None] = time.sleep,
    unread: Mapping[str, str] = MappingProxyType({}),
) -> tuple[bool, str]:
    """(passed, detail) of the copy's rows against those recorded with the backup.

    unread: database -> why its tables could not be recorded. One that cannot be read in the copy raises PgkeepError:
    nobody looked, so nothing is known about the backup.

    counters reads the server's counters; they are read after the copy, so whatever the copy can hold is in them, except
    what a backend has not reported yet. Only when that could explain a difference is there a second look.
    """
    if copy.damaged:
        return False, "cannot be read: %s" % some(copy.damaged)
    if copy.skipped:
        raise PgkeepError(
            "Not every database of the copy could be looked at",
            some(["%s (%s)" % pair for pair in copy.skipped.items()]),
            "correct what refuses the superuser there (docker logs of the server may show more), then drill again",
        )
    blind, checks = _compare(recorded, copy, counters(), unread)
    if any(check.passed is False for check in checks):
        sleep(STATISTICS_LAG_SECONDS)
        blind, checks = _compare(recorded, copy, counters(), unread)
    return summary(checks, bool(recorded), blind)


def compare_dump(
    run: Run, copy: Reading, counters: Callable[[], Reading], sleep: Callable[[float], None] = time.sleep
) -> tuple[bool, str]:
    """(passed, detail) of the rows of a run of dumps against those of a copy that was recovered to a later moment.

    Two ways out of the server that share nothing: when nothing was written to a table since, both have the same rows.
    """

    def checks() -> tuple[dict[str, str], list[Check]]:
        now = counters()
        blind = {name: why for name, why in _blind(copy, now, {}).items() if name in dumped}
        return blind, [check for check in crosscheck(run, now, copy, blind) if check.id != "new"]

    dumped = {dump.database for dump in run.databases}
    blind, found = checks()
    if any(check.passed is False for check in found):
        sleep(STATISTICS_LAG_SECONDS)
        blind, found = checks()
    passed, detail = summary(found, True, blind)
    return passed, "dumps of %s: %s" % (run.started_at, detail)


def _compare(
    recorded: Sequence[Table], copy: Reading, now: Reading, unread: Mapping[str, str]
) -> tuple[dict[str, str], list[Check]]:
    """(database -> why nothing can be said about it, checks of the tables of all others)."""
    blind = _blind(copy, now, unread)
    sides = [[table for table in side if table.database not in blind] for side in (recorded, now.tables, copy.tables)]
    return blind, compare(*sides)


def _blind(copy: Reading, now: Reading, unread: Mapping[str, str]) -> dict[str, str]:
    blind = dict.fromkeys(copy.closed, "%s in the copy" % CLOSED)
    for name in now.closed:
        blind[name] = "%s on the server" % CLOSED
    for when, reasons in (("on the server", now.skipped), ("when the backup was made", unread)):
        blind.update((name, "its tables could not be read %s: %s" % (when, why)) for name, why in reasons.items())
    return blind


def summary(
    checks: Sequence[Check], recorded: bool, blind: Mapping[str, str] = MappingProxyType({})
) -> tuple[bool, str]:
    """One sentence from all tables. What could not be compared is named, never counted as equal.

    blind: database -> why nothing can be said about it.
    """
    wrong = ["%s: %s" % (check.subject, check.detail) for check in checks if check.passed is False]
    if wrong:
        return False, some(wrong)
    unknown = ["database %s (%s)" % pair for pair in blind.items()]
    if not recorded and not unknown:
        return True, "nothing to compare: no rows were recorded with this backup"
    unknown += ["%s (%s)" % (check.subject, check.detail) for check in checks if check.passed is None]
    compared = sum(1 for check in checks if check.id in ("exact", "within"))
    text = "%d of %d tables could be compared" % (compared, len(checks))
    if compared:
        text += ", all hold the rows they must hold"
    return True, text + ("; not comparable: %s" % some(unknown) if unknown else "")


def closed(socket_dir: str) -> list[str]:
    """The databases of the copy that allow no connections."""
    try:
        with connection(socket_dir) as opened:
            return [name for (name,) in rows(opened, _CLOSED)]
    except driver().Error as error:
        raise PgkeepError("The copy cannot be asked for its databases", str(error).strip()) from error


def read_copy(socket_dir: str) -> Reading:
    try:
        return read(socket_dir, count=True)
    except driver().Error as error:
        raise PgkeepError("The copy's tables cannot be listed", str(error).strip()) from error


def read_counters(socket_dir: str) -> Reading:
    try:
        return read(socket_dir, count=False)
    except driver().Error as error:
        raise PgkeepError("The server's counters cannot be read", str(error).strip()) from error
