# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the health of a pooler is judged by: its container, a login through it, its pools. Reads only.

Private to the collection.
"""

from __future__ import annotations

import configparser
import contextlib
import re
import time
from typing import Any, Mapping, Optional

from . import _docker as docker
from ._container import reachable
from ._errors import PgkeepError
from ._facts_kernel import open_files
from ._files import read
from ._health_pooler import ABSENT
from ._layout import MONITOR, Layout
from ._pooler import show
from ._pooler_rows import busiest
from ._probe import Target, connect
from ._release import pooler_of, read_current
from ._run import Run
from ._sql import driver, rows


def look(run: Run, layout: Layout) -> Optional[dict[str, Any]]:
    """None where no pooler is declared, else inspect (None without a container), the container's state, address,
    connect_ms and busiest (see _pooler_rows); what cannot be read is None and its reason stands in login_error or
    pools_error.

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
        "state": ABSENT if inspect is None else inspect["State"]["Status"],
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


def limits(layout: Layout, inspect: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """The most that the files of the pooler allow: connections to the server and clients; and how many open_files its
    process may have (None where it cannot be seen). None without such files."""
    text = read(layout.pooler_config_dir + "/pgbouncer.ini")
    if text is None:
        return None
    rules = read(layout.pooler_config_dir + "/pg_hba.conf") or ""
    pid = inspect["State"]["Pid"] if inspect else ""
    return {**allowed(text, rules), "open_files": open_files(pid)}


# A line of its pg_hba.conf for an application: the database is quoted, see _render.hba_name.
_SERVED = re.compile(r'^hostssl "((?:[^"]|"")*)" ', re.MULTILINE)


def allowed(ini: str, rules: str) -> dict[str, int]:
    """connections and clients. Each database has a limit of its own, those without a name in the file that of *."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(ini)
    most = {
        name: int(dict(word.split("=", 1) for word in line.split())["max_db_connections"])
        for name, line in parser["databases"].items()
    }
    served = {name.replace('""', '"') for name in _SERVED.findall(rules)}
    others = len(served - most.keys()) * most.pop("*", 0)
    return {"connections": sum(most.values()) + others, "clients": int(parser["pgbouncer"]["max_client_conn"])}
