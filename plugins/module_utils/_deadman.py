# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead-man ping as a duty of the keeper: a sign of life only while all is well. Private to the collection.

Whoever receives the pings raises the alarm when they stop, also when the machine, its network or the keeper is gone and
nobody here can tell anything any more.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Optional

from . import _alert_queue as queue
from ._alert_config import Deadman, load
from ._alert_send import Undelivered, request
from ._backup_repository import Keeper
from ._files import File, read, write
from ._layout import PGBACKREST_CONFIG_MOUNT
from ._redact import redact, secrets
from ._times import rfc3339
from ._watch_duty import remembered

# An alert that nobody could be told for so long is reason enough to be silent.
STUCK_SECONDS = 900.0
# A watch that has not looked for so many of its rounds has died or hangs.
_ROUNDS = 10
# After a ping that did not arrive the next one does not wait for the whole interval.
_AGAIN_SECONDS = 30.0

Ping = Callable[[Deadman], str]


def ping(deadman: Deadman) -> str:
    return request("GET", deadman.url, deadman.ca)


def check(keeper: Keeper) -> None:
    load(keeper)


def tick(keeper: Keeper, clock: Callable[[], float] = time.time, send: Ping = ping) -> None:
    """Send a ping if one is due and all is well. One that fails is remembered, not told: its absence tells."""
    config = load(keeper)
    if config is None or config.deadman is None:
        return
    memory = state(keeper)
    now = clock()
    wait = (
        min(config.deadman.interval_seconds, _AGAIN_SECONDS) if memory.get("error") else config.deadman.interval_seconds
    )
    if 0 <= now - memory.get("tried_at", 0) < wait:
        return
    silent = reason_to_be_silent(keeper, now, config.thresholds.watch_seconds)
    if silent is not None:
        if silent != memory.get("silent"):
            _save(keeper, {**memory, "silent": silent})
        return
    memory.update(tried_at=now, silent=None, error=None)
    try:
        send(config.deadman)
        memory["arrived_at"] = now
    except Undelivered as error:
        memory["error"] = redact(str(error), secrets(keeper.config, PGBACKREST_CONFIG_MOUNT + "/pgbackrest.conf"))
    _save(keeper, memory)


def reason_to_be_silent(keeper: Keeper, now: float, watch_seconds: float) -> Optional[str]:
    """What is not well; None when all is."""
    watch = remembered(keeper)
    told = sorted(key for key, entry in watch.get("states", {}).items() if entry["told_at"] is not None)
    if told:
        return "the watch found: %s" % ", ".join(told)
    if now - watch.get("looked_at", 0) > max(watch_seconds, 5) * _ROUNDS:
        return "the watch does not look"
    if queue.stuck(keeper.state, now, STUCK_SECONDS):
        return "alerts are not delivered"
    return None


def _path(keeper: Keeper) -> str:
    return keeper.state + "/alerts/deadman.json"


def state(keeper: Keeper) -> dict[str, Any]:
    """tried_at, arrived_at, silent (why no ping is sent), error (why the last one did not arrive)."""
    try:
        return dict(json.loads(read(_path(keeper)) or "{}"))
    except (ValueError, TypeError):
        return {}


def summary(keeper: Keeper) -> dict[str, Any]:
    """The same for people, times in RFC 3339."""
    memory = state(keeper)
    arrived_at = memory.get("arrived_at")
    return {
        "arrived_at": rfc3339(arrived_at) if arrived_at else None,
        "silent": memory.get("silent"),
        "error": memory.get("error"),
    }


def _save(keeper: Keeper, memory: dict[str, Any]) -> None:
    os.makedirs(os.path.dirname(_path(keeper)), mode=0o750, exist_ok=True)
    write(File(_path(keeper), json.dumps(memory, sort_keys=True) + "\n", 0o640, os.getuid(), os.getgid()))
