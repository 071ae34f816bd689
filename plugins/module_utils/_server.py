# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running server as seen from the host: is it up, why not, what is it. Private to the collection."""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Sequence

from . import _docker as docker
from ._errors import PgkeepError
from ._layout import Layout
from ._run import Run
from ._sql import connection, driver, query, rows

# What the entrypoint prints before it ends: what, why, next.
REFUSAL = re.compile(r"pgkeep: (.*)\. Why: (.*)\. Next: (.*)\.\Z")
_FATAL = re.compile(r"(FATAL|PANIC):  ")
# Time, process and level of a log line, whatever log_line_prefix made of them.
_PREFIX = re.compile(r"^.*?(LOG|FATAL|PANIC|ERROR|HINT|DETAIL):  ")

_FACTS = (
    "select current_setting('server_version'), (select system_identifier::text from pg_control_system()),"
    " pg_is_in_recovery(), to_char(pg_postmaster_start_time() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
)


def facts(layout: Layout) -> dict[str, Any]:
    """version, system_id, role (primary or standby) and started_at (RFC 3339 UTC) of a server that accepts logins."""
    version, system_id, standby, started_at = query(layout.socket_dir, _FACTS)[0]
    return {
        "version": version.split()[0],
        "system_id": system_id,
        "role": "standby" if standby else "primary",
        "started_at": started_at,
    }


def accepts_writes(layout: Layout) -> bool:
    """Whether a superuser can log in and the server is out of recovery. Never raises for a server that is not there."""
    try:
        with connection(layout.socket_dir) as opened:
            return bool(rows(opened, "select not pg_is_in_recovery()")[0][0])
    except driver().OperationalError:
        return False


def pending_restart(layout: Layout) -> list[str]:
    """Settings whose value in the files, as last read, is not the one in force."""
    found = query(layout.socket_dir, "select name from pg_settings where pending_restart order by name")
    return [name for (name,) in found]


def checkpoint(layout: Layout) -> None:
    """Write dirty pages while applications still work, so that the stop that follows is short."""
    if accepts_writes(layout):
        query(layout.socket_dir, "checkpoint")


def wait_until_serving(
    run: Run,
    layout: Layout,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until the server accepts writes and return the seconds it took.

    Raises PgkeepError with the server's own last words when its container ends or the time is over. The engine is
    asked once a second only: a question to it costs more than a login.
    """
    began = clock()
    restarts = _restarts(run, layout)
    asked = began
    while not accepts_writes(layout):
        now = clock()
        if now - asked >= 1:
            asked = now
            container = docker.inspect(run, layout.server)
            if container is not None and container["State"].get("Paused"):
                raise PgkeepError(
                    "The server of %s does not answer" % layout.name,
                    "its container is paused",
                    "docker unpause %s, then repeat" % layout.server,
                )
            if not docker.running(container) or (container or {}).get("RestartCount", 0) > restarts:
                raise _end(run, layout)
        if now - began > timeout_seconds:
            raise PgkeepError(
                "The server of %s is not ready" % layout.name,
                "it did not accept writes within %d s; its last words: %s"
                % (timeout_seconds, last_words(_log(run, layout.server))),
                "read docker logs %s; raise postgres_server_start_timeout_seconds if it is still recovering"
                % layout.server,
            )
        sleep(0.05)
    return clock() - began


def _restarts(run: Run, layout: Layout) -> int:
    container = docker.inspect(run, layout.server)
    return int(container["RestartCount"]) if container else 0


def _end(run: Run, layout: Layout) -> PgkeepError:
    """Why the container of the server ended: the entrypoint tells it with what, why and next itself."""
    lines = _log(run, layout.server)
    for line in reversed(lines):
        if _FATAL.search(line):
            # PostgreSQL was started after whatever was refused before.
            break
        refusal = REFUSAL.search(line)
        if refusal:
            return PgkeepError(
                "The server of %s does not start: %s" % (layout.name, refusal[1]), refusal[2], refusal[3]
            )
    return PgkeepError("The server of %s does not start" % layout.name, last_words(lines))


def _log(run: Run, container: str) -> list[str]:
    return [line.strip() for line in docker.logs_tail(run, container, 40).splitlines() if line.strip()]


def last_words(lines: Sequence[str]) -> str:
    """What of a log explains an end best: PostgreSQL's FATAL or PANIC (of a bad setting with the line before, which
    names it), else the last line."""
    ends = [number for number, line in enumerate(lines) if _FATAL.search(line)]
    if not ends:
        return lines[-1] if lines else "the log is empty"
    first = ends[-1] - 1 if "contains errors" in lines[ends[-1]] else ends[-1]
    return "; ".join(message(line) for line in lines[max(0, first) : ends[-1] + 1])


def message(line: str) -> str:
    """A line of PostgreSQL's log without its time, process and level."""
    return _PREFIX.sub("", line)
