# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the health of a pooler is judged by: its container, a login through it, its pools. Reads only.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Mapping, Optional, Sequence

from . import _docker as docker
from ._container import reachable
from ._errors import PgkeepError
from ._files import read
from ._layout import MONITOR, Layout
from ._pooler import show
from ._probe import Target, connect
from ._release import pooler_of, read_current
from ._run import Run
from ._sql import driver, rows

# The console itself is a pool to it.
_CONSOLE = "pgbouncer"


def look(run: Run, layout: Layout) -> Optional[dict[str, Any]]:
    """None where no pooler is declared, else inspect (None without a container), address, connect_ms and busiest (see
    busiest()); what cannot be read is None and its reason stands in login_error or pools_error.

    Raises PgkeepError when the engine does not answer.
    """
    spec = pooler_of(read_current(layout))
    if spec is None:
        return None
    address, port, _inside = spec.ports[0].rsplit(":", 2)
    inspect = docker.inspect(run, layout.pooler)
    found: dict[str, Any] = {
        "name": layout.pooler,
        "inspect": inspect,
        "address": "%s:%s" % (address, port),
        "connect_ms": None,
        "busiest": None,
        "login_error": "the pooler's container does not run",
        "pools_error": "the pooler's container does not run",
    }
    if not docker.running(inspect):
        return found
    password = (read(layout.client_dir + "/monitor.password") or "").strip()
    target = Target(reachable(address), int(port), MONITOR, password, layout.client_dir + "/ca.crt")
    try:
        found.update(connect_ms=_login(target), login_error=None)
    except driver().Error as error:
        found["login_error"] = " ".join(str(error).split())
    try:
        found.update(busiest=busiest(show(run, layout, "POOLS"), show(run, layout, "DATABASES")), pools_error=None)
    except PgkeepError as error:
        found["pools_error"] = "%s: %s" % (error.what, error.why)
    return found


def _login(target: Target) -> float:
    """Milliseconds of a login and a statement, for which it needs the server. psycopg2's errors pass through."""
    began = time.perf_counter()
    opened = connect(target, pooler=True)
    with contextlib.closing(opened):
        rows(opened, "select 1")
    return round((time.perf_counter() - began) * 1000, 2)


def busiest(pools: Sequence[Mapping[str, str]], databases: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Of the pool that uses most of what it may: pool (user@database, None where none is in use), used, size and
    used_percent; of all pools waiting (clients) and wait_seconds (of the one that waits longest).

    pools and databases are rows of SHOW.
    """
    sizes = {row["name"]: int(row["pool_size"]) for row in databases}
    served = [row for row in pools if row["database"] != _CONSOLE and row["database"] in sizes]
    busy: dict[str, Any] = {"pool": None, "used": 0, "size": 0, "used_percent": 0.0}
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
