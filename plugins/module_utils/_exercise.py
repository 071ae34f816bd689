# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks K02 and K03 for real: writes to the disk and load on the server, for seconds. Only when somebody asks.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import time
from typing import Any, Callable, Iterator, Mapping

from . import _docker as docker
from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._errors import PgkeepError
from ._layout import SOCKET_MOUNT, Layout
from ._lock import hold
from ._run import Run
from ._sql import query

DISK_SECONDS = 1.0
_BLOCK = 8192
# The name of the file and of the database that an exercise makes and removes.
_FILE = ".pgkeep-exercise"
_DATABASE = "pgkeep_exercise"
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_SLOW = re.compile(r"latency limit: \d+/\d+ \(([0-9.]+)\s*%\)")


def disk(folder: str, seconds: float = DISK_SECONDS, clock: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    """sync_ms (median) and writes: what a commit costs, as pg_test_fsync measures fdatasync. folder is a place on the
    disk of the data."""
    path = os.path.join(folder, _FILE)
    times: list[float] = []
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            end = clock() + seconds
            while not times or clock() < end:
                began = clock()
                os.pwrite(descriptor, b"\0" * _BLOCK, 0)
                os.fdatasync(descriptor)
                times.append((clock() - began) * 1000)
        finally:
            os.close(descriptor)
            os.unlink(path)
    except OSError as error:
        raise PgkeepError("The disk cannot be tried", "%s: %s" % (path, error.strerror)) from error
    return {"sync_ms": statistics.median(times), "writes": len(times)}


def load(run: Run, layout: Layout, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """clients, tps, wanted_tps, slow_percent and limit_ms of PostgreSQL's pgbench, in a database of its own, over the
    server's socket. wanted: clients, seconds, tps and p95_ms."""
    what = "load test of %s" % layout.name
    with (
        hold(layout.lock_file, what, who=actor(ANSIBLE)),
        recorded(layout.state_dir, "load test", actor(ANSIBLE)),
        _scratch(layout),
    ):
        _pgbench(run, layout, ["--initialize", "--quiet", "--scale=1"], timeout=120)
        limit = "--latency-limit=%g" % wanted["p95_ms"]
        clients = ["--client=%d" % wanted["clients"], "--jobs=%d" % min(2, wanted["clients"])]
        words = _pgbench(
            run, layout, [*clients, "--time=%d" % wanted["seconds"], limit], timeout=wanted["seconds"] + 60
        )
    return {"clients": wanted["clients"], "wanted_tps": wanted["tps"], "limit_ms": wanted["p95_ms"], **measured(words)}


def measured(words: str) -> dict[str, float]:
    """tps and slow_percent from what pgbench says."""
    tps, slow = _TPS.search(words), _SLOW.search(words)
    if tps is None or slow is None:
        raise PgkeepError("The load cannot be judged", "pgbench said %r" % words[-200:])
    return {"tps": float(tps.group(1)), "slow_percent": float(slow.group(1))}


@contextlib.contextmanager
def _scratch(layout: Layout) -> Iterator[None]:
    drop = "drop database if exists %s with (force)" % _DATABASE
    query(layout.socket_dir, drop)
    query(layout.socket_dir, "create database %s" % _DATABASE)
    try:
        yield
    finally:
        query(layout.socket_dir, drop)


def _pgbench(run: Run, layout: Layout, options: list[str], timeout: float) -> str:
    argv = ["pgbench", "--host=" + SOCKET_MOUNT, "--username=postgres", *options, _DATABASE]
    result = docker.execute(run, layout.server, argv, timeout=timeout)
    if result.rc != 0:
        raise PgkeepError("The load test failed", " ".join(result.stderr.split())[-300:])
    return result.stdout
