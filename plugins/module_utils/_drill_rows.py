# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restored copy holds, compared with what the server had and has. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Sequence

from ._counts import Check, Reading, Table, compare
from ._counts_read import read
from ._errors import PgkeepError
from ._sql import connection, driver, rows

# A backend reports what it wrote at most this much later (PGSTAT_IDLE_INTERVAL in pgstat.c: 10 s).
STATISTICS_LAG_SECONDS = 11.0
_NAMED = 5

_TIMELINE = "select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
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
) -> tuple[bool, str]:
    """(passed, detail) of the copy's rows against those recorded with the backup.

    counters reads the server's counters; they are read after the copy, so whatever the copy can hold is in them, except
    what a backend has not reported yet. Only when that could explain a difference is there a second look.
    """
    if copy.damaged or copy.skipped:
        unreadable = [*copy.damaged, *("%s (%s)" % pair for pair in copy.skipped.items())]
        return False, "cannot be read: %s" % _some(unreadable)
    checks = compare(recorded, counters().tables, copy.tables)
    if any(check.passed is False for check in checks):
        sleep(STATISTICS_LAG_SECONDS)
        checks = compare(recorded, counters().tables, copy.tables)
    return summary(checks, bool(recorded))


def summary(checks: Sequence[Check], recorded: bool) -> tuple[bool, str]:
    """One sentence from all tables. Tables that could not be compared are named, never counted as equal."""
    wrong = ["%s: %s" % (check.subject, check.detail) for check in checks if check.passed is False]
    if wrong:
        return False, _some(wrong)
    if not recorded:
        return True, "nothing to compare: no rows were recorded with this backup"
    unknown = ["%s (%s)" % (check.subject, check.detail) for check in checks if check.passed is None]
    compared = sum(1 for check in checks if check.id in ("exact", "within"))
    text = "%d of %d tables could be compared" % (compared, len(checks))
    if compared:
        text += ", all hold the rows they must hold"
    return True, text + ("; not comparable: %s" % _some(unknown) if unknown else "")


def _some(words: Sequence[str]) -> str:
    more = len(words) - _NAMED
    return "; ".join(words[:_NAMED]) + ("; and %d more" % more if more > 0 else "")


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
