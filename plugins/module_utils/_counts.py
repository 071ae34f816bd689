# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of user tables and the comparison of a restored copy with them. Pure; private to the collection."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Iterable, Mapping, Optional

CLOSED = "it allows no connections"


@dataclass(frozen=True)
class Table:
    """One table at one moment. rows is None when it was not counted: not asked for, locked, dropped meanwhile, too big.

    inserts and deletes are the statistics' counters, read before the rows; None without track_counts. stats_reset is
    when the counters began, RFC 3339 or None. filenode changes with every TRUNCATE and rewrite, oid is another one's
    when the table was dropped and made anew; None where an earlier version did not write it down.
    """

    database: str
    schema: str
    table: str
    rows: Optional[int]
    inserts: Optional[int]
    deletes: Optional[int]
    filenode: Optional[int]
    stats_reset: Optional[str] = None
    oid: Optional[int] = None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.database, self.schema, self.table)

    @property
    def name(self) -> str:
        return "%s: %s.%s" % self.key

    def unchanged(self, since: Table) -> bool:
        """Whether nothing was inserted, deleted or rewritten since; false when the counters cannot tell."""
        return self.inserts is not None and self._counters() == since._counters()

    def _counters(self) -> tuple[Any, ...]:
        return (self.inserts, self.deletes, self.filenode, self.stats_reset, self.oid)

    def is_another(self, than: Table) -> bool:
        """Whether it only has the name of than; false where nobody knows."""
        return None not in (self.oid, than.oid) and self.oid != than.oid

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def table_from_dict(values: Mapping[str, Any]) -> Table:
    fields: dict[str, Any] = {name: values.get(name) for name in Table.__dataclass_fields__}
    return Table(**fields)


@dataclass(frozen=True)
class Reading:
    """The tables of all databases; skipped: database -> why it could not be read; damaged: unreadable tables and
    databases; closed: databases that allow no connections."""

    tables: tuple[Table, ...]
    skipped: Mapping[str, str]
    damaged: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    @property
    def rows(self) -> Optional[int]:
        """Sum of what was counted, None when nothing was."""
        counted = [table.rows for table in self.tables if table.rows is not None]
        return sum(counted) if counted or not self.tables else None


@dataclass(frozen=True)
class Check:
    """The comparison of one table. id says how it ended; passed is None when there was nothing to compare with.

    exact: nothing was written, the copy has the recorded rows. within: the copy has a number of rows that what was
    written since allows. new, dropped: the table exists on one side only, as it may. anew:
    another table of the same name, as it may. too_few, too_many, missing: rows
    or the table are lost or appeared from nowhere. not_comparable: the evidence is not good enough to say.
    """

    id: str
    subject: str
    passed: Optional[bool]
    detail: str


def compare(recorded: Iterable[Table], now: Iterable[Table], restored: Iterable[Table]) -> list[Check]:
    """One check per table that was recorded, and one per table that only the copy has.

    recorded: with the backup. now: counters of the server at the end of the drill, so that everything the copy can hold
    has been counted. restored: rows of the copy. The copy may hold from rows - deletes since to rows + inserts since.
    """
    counters = {table.key: table for table in now}
    copies = {table.key: table for table in restored}
    known = {table.key: table for table in recorded}
    checks = [_check(table, counters.get(table.key), copies.get(table.key)) for table in known.values()]
    return checks + [
        Check("new", copy.name, True, "made after the backup") for key, copy in copies.items() if key not in known
    ]


def _check(then: Table, now: Optional[Table], copy: Optional[Table]) -> Check:
    if copy is None:
        if now is None or now.is_another(then):
            return Check("dropped", then.name, True, "dropped after the backup")
        return Check("missing", then.name, False, "recorded with the backup, still on the server, not in the copy")
    if copy.is_another(then):
        return Check("anew", then.name, True, "dropped and made anew after the backup")
    if now is not None and now.is_another(then):
        # As if it had another name now.
        now = None
    if then.rows is None:
        return _not_comparable(then, "its rows could not be counted when the backup was made")
    if copy.rows is None:
        return _not_comparable(then, "its rows could not be counted in the copy")
    if now is None:
        # Dropped, or its database is gone: no counter tells what happened before.
        return _not_comparable(
            then, "it is no longer on the server; %d rows in the copy, %d recorded" % (copy.rows, then.rows)
        )
    return _compare_rows(then, now, then.rows, copy.rows)


def _compare_rows(then: Table, now: Table, recorded: int, found: int) -> Check:
    if then.inserts is None or then.deletes is None or now.inserts is None or now.deletes is None:
        return _not_comparable(then, "the server does not count what is written (track_counts)")
    inserts, deletes = now.inserts - then.inserts, now.deletes - then.deletes
    if inserts < 0 or deletes < 0 or now.stats_reset != then.stats_reset:
        return _not_comparable(then, "the server's statistics were reset after the backup")
    rewritten = now.filenode != then.filenode
    low = 0 if rewritten else max(0, recorded - deletes)
    high = recorded + inserts
    if found < low:
        return Check("too_few", then.name, False, "%d rows in the copy, at least %d expected" % (found, low))
    if found > high:
        return Check("too_many", then.name, False, "%d rows in the copy, at most %d expected" % (found, high))
    if low == high:
        return Check("exact", then.name, True, "%d rows" % found)
    return Check("within", then.name, True, "%d rows, %d to %d expected" % (found, low, high))


def _not_comparable(then: Table, why: str) -> Check:
    return Check("not_comparable", then.name, None, why)
