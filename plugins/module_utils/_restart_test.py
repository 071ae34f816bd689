# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks C12 and K05 for real: a stop and a start, watched, with a client that is not told. It interrupts the server.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any, Callable

from . import _docker as docker
from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._files import read
from ._layout import MONITOR, Layout
from ._lock import hold
from ._maintenance import working
from ._outage import Outage
from ._pooler import held
from ._probe import Target, connect, published
from ._run import Run
from ._server import wait_until_serving
from ._sql import query
from ._times import rfc3339

_START_SECONDS = 300
_RECOVERY = re.compile(r"database system was not properly shut down|automatic recovery in progress")

# What must be the same afterwards, and a position in the WAL that must not go back.
_STATE = (
    "select (select system_identifier::text from pg_control_system()), array_agg(datname::text order by datname),"
    " (pg_current_wal_flush_lsn() - '0/0')::bigint from pg_database"
)


def restart_test(run: Run, layout: Layout) -> dict[str, Any]:
    """stop_seconds, exit_code, start_seconds, recovery (whether the log speaks of one), same_data, interruption_ms of a
    client that tries again and again, and whether it reconnected (None where no port is published)."""
    with (
        hold(layout.lock_file, "restart test of %s" % layout.name, who=actor(ANSIBLE)),
        recorded(layout.state_dir, "restart test", actor(ANSIBLE)),
        working(layout, "restart test of %s" % layout.name, actor(ANSIBLE)),
        held(run, layout),
        contextlib.ExitStack() as stack,
    ):
        before = _state(layout)
        watch = stack.enter_context(Outage(_ways(run, layout)))
        began = time.monotonic()
        docker.stop(run, layout.server)
        stop_seconds = time.monotonic() - began
        stopped = docker.inspect(run, layout.server) or {"State": {"ExitCode": -1}}
        moment = rfc3339(time.time())
        began = time.monotonic()
        docker.start(run, layout.server)
        wait_until_serving(run, layout, _START_SECONDS)
        start_seconds = time.monotonic() - began
        interruption_ms = watch.stop()
        after = _state(layout)
        log = docker.attempt(run, ["logs", "--since", moment, layout.server])
    return {
        "stop_seconds": stop_seconds,
        "exit_code": stopped["State"]["ExitCode"],
        "start_seconds": start_seconds,
        "recovery": _RECOVERY.search(log.stdout + log.stderr) is not None,
        "interruption_ms": interruption_ms,
        "reconnected": watch.serving if _ways(run, layout) else None,
        "same_data": before[:2] == after[:2] and after[2] >= before[2],
    }


def _ways(run: Run, layout: Layout) -> list[Callable[[], Any]]:
    """How a program on the host logs in, over TCP and TLS; none where no port is published."""
    found = docker.inspect(run, layout.server)
    address = published(found) if found else None
    if address is None:
        return []
    password = (read(layout.client_dir + "/monitor.password") or "").strip()
    target = Target(*address, MONITOR, password, layout.client_dir + "/ca.crt")
    return [lambda: connect(target)]


def _state(layout: Layout) -> tuple[Any, ...]:
    return query(layout.socket_dir, _STATE)[0]
