# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup a database comes back from, and under which name: read everything, touch nothing.

Private to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import _beside as beside
from . import _evidence_files as evidence
from . import _restore_plan as restoring
from ._backup_repository import Keeper
from ._beside import Databases, Names, Wanted
from ._errors import PgkeepError
from ._pgbackrest import parse_databases
from ._restore_choice import Tool, make_tool
from ._run import Run
from ._swap import Directories
from ._target import LATEST
from ._throwaway import free_bytes

# FirstNormalObjectId of PostgreSQL: databases below it are its own, which pgBackRest restores in any case.
_FIRST_OID = 16384


@dataclass(frozen=True)
class Plan:
    """copy: the restore of the side server, whose data lie in directories. only: OID of the one database whose files
    are restored, None for all of them."""

    wanted: Wanted
    names: Names
    copy: restoring.Plan
    directories: Directories
    tool: Tool
    only: Optional[int]

    def to_result(self) -> dict[str, Any]:
        """What is known before the first change; sizes are bytes."""
        choice = self.copy.choice
        return {
            "database": self.wanted.database,
            "table": self.wanted.table_name,
            "into": self.names.into,
            "replaced": self.names.replaced,
            "target": str(choice.target),
            "label": choice.label,
            "repository": self.copy.repository,
            "whole_backup": self.only is None,
            "needed_bytes": restoring.copy_bytes(choice),
            "free_bytes": free_bytes(self.directories.root),
        }


def require_target(wanted: Wanted, request: restoring.Request) -> None:
    if request.target().kind == LATEST:
        raise PgkeepError(
            wanted.what,
            "no moment is named, and the newest state is what the server has itself",
            "name one: a time, label, restore_point, lsn or xid, or immediate",
        )


def make_plan(run: Run, wanted: Wanted, request: restoring.Request, there: Databases) -> Plan:
    """Raises PgkeepError for everything that can be known before the first change; there: the server's databases."""
    require_target(wanted, request)
    named = beside.choose_names(wanted, there)
    copy = restoring.make_plan(run, request)
    if copy.directories is None or not copy.serving:
        raise PgkeepError(
            wanted.what,
            "the server does not accept writes, so nothing can be brought into it",
            "restore the instance with the module restore, which needs no server",
        )
    network = "none" if copy.repository == 1 else copy.keeper.network
    tool = make_tool(run, copy.layout, copy.keeper, network=network)
    then = _databases_of(tool, copy)
    if copy.choice.target.ends_with_backup:
        _refuse_missing(run, wanted, copy, then)
    return Plan(wanted, named, copy, copy.directories, tool, _only(wanted, then))


def _databases_of(tool: Tool, copy: restoring.Plan) -> Mapping[str, int]:
    """Name -> OID of the databases of the backup; empty where nobody can tell, which only costs time."""
    name, label = copy.layout.name, copy.choice.label
    words = ["--stanza=" + name, "--repo=%d" % copy.repository, "--set=" + label, "--log-level-console=off"]
    found = tool(["pgbackrest", *words, "--output=json", "info"])
    try:
        return parse_databases(found.stdout)
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _only(wanted: Wanted, then: Mapping[str, int]) -> Optional[int]:
    """Others of somebody must be there to be left out."""
    oid = then.get(wanted.database, 0)
    others = [each for each in then.values() if each >= _FIRST_OID and each != oid]
    return oid if oid >= _FIRST_OID and others else None


def _refuse_missing(run: Run, wanted: Wanted, copy: restoring.Plan, then: Mapping[str, int]) -> None:
    """A backup's end is its own state; what WAL behind it makes nobody knows before it is replayed."""
    label = copy.choice.label
    if then and wanted.database not in then:
        raise missing(wanted, then, "the backup " + label)
    keeper = Keeper(copy.layout.name, run, "", state=copy.layout.state_dir, repo=copy.repository)
    try:
        recorded = [table for table in evidence.tables(keeper, label) if table.database == wanted.database]
    except PgkeepError:
        recorded = []
    if recorded:
        beside.require_table(wanted, [table.key[1:] for table in recorded], "the backup " + label)


def missing(wanted: Wanted, there: Mapping[str, Any], where: str) -> PgkeepError:
    return PgkeepError(
        wanted.what,
        "%s has no database of that name; it has %s" % (where, ", ".join(there) or "none"),
        "correct the name, or choose a moment at which it was there",
    )
