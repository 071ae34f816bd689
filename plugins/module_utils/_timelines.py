# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of timelines: which of those in the archive production ever took. Private to the collection.

A server that was promoted by accident, or a copy that archived, leaves a newer timeline in the archive. PostgreSQL and
pgBackRest would follow it by themselves; whoever restores here follows the catalogue, which is the instance's history.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, replace
from typing import Any, Collection, Iterable, Mapping, Optional, Sequence

from . import _alert as alert
from . import _backup_repository as repository
from . import _backup_server as server
from . import _history as history
from . import _pgbackrest as pgbackrest
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._files import File, read, write
from ._pgfiles import parse_timeline_history
from ._times import rfc3339

NOTICE_SECONDS = 15.0
WATCH_SECONDS = 600.0

# Folders are called by timeline and log, 8 digits each.
_NAME = re.compile(r"([0-9A-F]{8})(?:[0-9A-F]{8}|\.history)\Z")

# pg_walfile_name() is an error in recovery.
_PRODUCTION = """
select (select system_identifier::text from pg_control_system()),
       case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end
"""


@dataclass(frozen=True)
class Timeline:
    """One timeline of the archive; parent is the one it left, None for the first and where nobody knows."""

    timeline: int
    parent: Optional[int]
    known: bool

    def to_result(self) -> dict[str, Any]:
        return {"timeline": self.timeline, "from": self.parent, "known": self.known}


def archived(names: Iterable[str]) -> set[int]:
    """The timelines of what lies in the folder of an archive."""
    return {int(match.group(1), 16) for match in map(_NAME.match, names) if match}


def in_folder(instance: str, archive_id: Optional[str], listing: Mapping[str, Any]) -> set[str]:
    """The names in the folder of the archive, from a recursive listing of the repository."""
    folder = pgbackrest.archive_folder(instance, archive_id or "")
    return {path[len(folder) :].split("/")[0] for path in listing if path.startswith(folder)}


def catalogue(found: Collection[int], production: int, text: str, entries: Sequence[history.Entry]) -> list[Timeline]:
    """The timelines of the archive, oldest first. text is the history file of production's timeline."""
    ancestors = [*parse_timeline_history(text), production]
    # An undo goes back to a timeline that came from elsewhere.
    steps = [(entry.entered, entry.left) for entry in entries if entry.entered and entry.left]
    parents = {entered: left for entered, left in steps if entered > left}
    parents.update(zip(ancestors[1:], ancestors))
    # Every cluster begins with the first.
    named = [number for entry in entries for number in (entry.left, entry.entered) if number]
    known = {1, *ancestors, *named}
    return [Timeline(each, parents.get(each), each in known) for each in sorted(found)]


def of_snapshot(keeper: Keeper, snapshot: pgbackrest.Snapshot) -> list[Timeline]:
    archive_id = snapshot.info.archive_id or ""
    names = in_folder(keeper.instance, archive_id, snapshot.listing)
    listed = catalogue(archived(names), snapshot.timeline, snapshot.history, recorded(keeper))
    return [each if each.known else _asked(keeper, archive_id, names, each) for each in listed]


def _asked(keeper: Keeper, archive_id: str, names: Collection[str], each: Timeline) -> Timeline:
    """A stranger says in its own history which timeline it left."""
    parents = list(parse_timeline_history(repository.timeline_history(keeper, archive_id, each.timeline, names)))
    return replace(each, parent=parents[-1]) if parents else each


def recorded(keeper: Keeper) -> list[history.Entry]:
    return history.parse(read(keeper.state + "/" + history.FILE) or "")


def foreign(timelines: Iterable[Timeline], production: int) -> list[int]:
    """What would be followed instead of production."""
    return [each.timeline for each in timelines if not each.known and each.timeline > production]


def warning(instance: str, numbers: Sequence[int], production: int) -> str:
    return (
        "the archive of %s has the timeline %s, which production (timeline %d) never took: another server was promoted"
        " and archived there. Restores of this collection follow production; find that server and stop it"
        % (instance, ", ".join(map(str, numbers)), production)
    )


def nothing_to_check(keeper: Keeper) -> None:
    """The inventory asks nothing of these duties."""


def notice(keeper: Keeper) -> None:
    """Write the server's timeline into the history when that does not say it: after the entrypoint restored an empty
    directory, and after somebody promoted by hand."""
    try:
        system_id, name = server.ask(keeper, _PRODUCTION)[0]
    except PgkeepError:
        # There is nothing to notice on a server that is down; who watches it says so.
        return
    if name is None:
        return
    timeline = int(name, 16)
    if history.following(recorded(keeper)) != timeline:
        history.write_line(keeper.state + "/" + history.FILE, "noticed", system_id, None, timeline)


def watch(keeper: Keeper) -> None:
    """Queue an alert for timelines that nobody here took, once for each."""
    try:
        production, numbers = _strangers(keeper)
    except PgkeepError:
        # A server or a repository that does not answer is somebody else's to tell.
        return
    path = keeper.state + "/foreign_timelines.json"
    told = json.loads(read(path) or "[]")
    if set(numbers) <= set(told):
        return
    now = time.time()
    alert.put(
        keeper.state,
        alert.Alert(
            keeper.instance,
            alert.CRITICAL,
            "archive",
            "Another server archives into the repository of %s" % keeper.instance,
            warning(keeper.instance, numbers, production),
            "find the server that was promoted, stop it, and take a full backup of production",
            rfc3339(now),
        ),
        now,
    )
    write(File(path, json.dumps(sorted({*told, *numbers})) + "\n", 0o640, os.getuid(), os.getgid()))


def _strangers(keeper: Keeper) -> tuple[int, list[int]]:
    """The timeline in production and those of others."""
    info, name = repository.information(keeper), server.ask(keeper, _PRODUCTION)[0][1]
    if info.archive_id is None or name is None:
        return 1, []
    production = int(name, 16)
    names = repository.listing(keeper, pgbackrest.archive_folder(keeper.instance, info.archive_id).rstrip("/"))
    text = repository.timeline_history(keeper, info.archive_id, production, names)
    return production, foreign(catalogue(archived(names), production, text, recorded(keeper)), production)
