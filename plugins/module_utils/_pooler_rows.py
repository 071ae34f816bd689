# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rows of the pooler's console mean. Pure. Private to the collection.

pools and databases are rows of SHOW POOLS and SHOW DATABASES (PgBouncer manual, Admin console); numbers may be text.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ._pooler_reader import CONSOLE

Rows = Sequence[Mapping[str, Any]]


def busiest(pools: Rows, databases: Rows) -> dict[str, Any]:
    """Of the pool that uses most of what it may: pool (user@database, None where none is in use), used, size and
    used_percent; of all pools waiting (clients) and wait_seconds (of the one that waits longest)."""
    sizes = {row["name"]: int(row["pool_size"]) for row in databases}
    busy: dict[str, Any] = {"pool": None, "used": 0, "size": 0, "used_percent": 0.0}
    served = _served(pools, databases)
    for row in served:
        used, size = int(row["sv_active"]), sizes[row["database"]]
        if used and 100 * used / size > busy["used_percent"]:
            name = "%s@%s" % (row["user"], row["database"])
            busy = {"pool": name, "used": used, "size": size, "used_percent": round(100 * used / size, 1)}
    return {
        **busy,
        "waiting": sum(int(row["cl_waiting"]) for row in served),
        "wait_seconds": max((int(row["maxwait"]) for row in served), default=0),
    }


def totals(pools: Rows, databases: Rows) -> dict[str, Any]:
    """The numbers of the part pool of the snapshot, over all pools."""
    served = _served(pools, databases)
    waits = [int(row["maxwait"]) + int(row["maxwait_us"]) / 1e6 for row in served]
    return {
        "clients_active": sum(int(row["cl_active"]) for row in served),
        "clients_waiting": sum(int(row["cl_waiting"]) for row in served),
        "max_wait_seconds": round(max(waits, default=0.0), 1),
        "servers_active": sum(int(row["sv_active"]) for row in served),
        "servers_idle": sum(int(row["sv_idle"]) for row in served),
    }


def _served(pools: Rows, databases: Rows) -> list[Mapping[str, Any]]:
    """Without the console, which is a pool too, and without those of databases that are no more."""
    names = {row["name"] for row in databases} - {CONSOLE}
    return [row for row in pools if row["database"] in names]
