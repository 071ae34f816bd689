# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions per second with the settings of the filter tune, beside PostgreSQL's defaults and figures of pgtune.

Every variant gets new data, the same limits, time for several checkpoints of the defaults, and a checkpoint at the end
that counts too: what a variant only puts off is no gain. Whether the disk or the processors were the limit is told
beside, because settings can save much of the one and little of the other.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgkeep.postgres.plugins.module_utils._presets import preset
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import tune

from .tools import END, FLOOR, ROUNDS, SLICE, drop_floor, fact, init_floor, row, seconds, sh, start_floor, until_writes

# About 2.2 GB: more than any variant keeps in shared_buffers, less than the container may use.
_SCALE = 150
_CLIENTS = 16
_SECONDS = 120
_WARM_UP_SECONDS = 15

# What pgtune prints for a web application, 4 GB, 2 processors, SSD and PostgreSQL 17.
_PGTUNE = {
    "max_connections": "200",
    "shared_buffers": "1GB",
    "effective_cache_size": "3GB",
    "maintenance_work_mem": "256MB",
    "checkpoint_completion_target": "0.9",
    "wal_buffers": "16MB",
    "default_statistics_target": "100",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    "work_mem": "5041kB",
    "huge_pages": "try",
    "jit": "off",
    "wal_compression": "lz4",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
}


_COUNTERS = """
select (select num_timed + num_requested from pg_stat_checkpointer), (select wal_bytes::bigint from pg_stat_wal),
(select coalesce(sum(writes), 0) from pg_stat_io where object = 'relation' and backend_type = 'client backend')
"""


@dataclass(frozen=True)
class _Run:
    """rate: transactions a second, the last checkpoint included; checkpoints, bytes of WAL and pages that sessions had
    to write themselves meanwhile; the share of the machine's processors that was busy; seconds from kill -9 to writes.
    """

    rate: float
    checkpoints: int
    wal: int
    pages: int
    busy: float
    recovery: float


def _pgbench(*words: str) -> str:
    return sh("docker", "exec", FLOOR, "pgbench", "-U", "postgres", *words, "postgres")


def _ask(statement: str) -> str:
    return sh("docker", "exec", FLOOR, "psql", "-U", "postgres", "-XAtqc", statement).strip()


def _ticks() -> tuple[int, int]:
    """Of all processors since the machine started: all, and those without work, waiting for the disk included."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def _start_again() -> None:
    sh("docker", "start", FLOOR)
    until_writes(FLOOR)


def _measured(image_id: str, settings: Mapping[str, str], limits: list[str]) -> _Run:
    """pgbench's own mix: three updates, an insert and a select in each transaction. From a checkpoint on."""
    drop_floor()
    init_floor(image_id)
    start_floor(image_id, settings, limits)
    _pgbench("-i", "-q", "-s", str(_SCALE))
    load = ["-c", str(_CLIENTS), "-j", "2", "-M", "prepared"]
    _pgbench(*load, "-T", str(_WARM_UP_SECONDS))
    for statement in ("checkpoint", "select pg_stat_reset_shared()"):
        _ask(statement)
    before = _ticks()
    found = re.search(r"^number of transactions actually processed: (\d+)", _pgbench(*load, "-T", str(_SECONDS)), re.M)
    after = _ticks()
    assert found
    checkpoints, wal, pages = map(int, _ask(_COUNTERS).split("|"))
    rate = int(found[1]) / (_SECONDS + seconds(lambda: _ask("checkpoint")))
    # As much WAL as there can be behind a checkpoint is not reached in this time; it is what a crash in it costs.
    _pgbench(*load, "-T", str(_WARM_UP_SECONDS))
    sh("docker", "kill", FLOOR)
    recovery = seconds(_start_again)
    idle = (after[1] - before[1]) / (after[0] - before[0])
    return _Run(rate, checkpoints, wal, pages, 1 - idle, recovery)


def measure(image_id: str) -> None:
    if time.monotonic() > END:
        fact("transactions per second", "left out", "the time of the run is over; see BENCH_MINUTES")
        return
    medium = preset("medium")
    memory = medium["memory"].lower()
    limits = ["--memory", memory, "--memory-swap", memory, "--cpus", str(medium["cpus"]), "--shm-size", "1g"]
    tuned = tune(medium["memory"], medium["cpus"], medium["profile"], medium["disk"])["settings"]
    variants: dict[str, Mapping[str, str]] = {"defaults": {}, "tuned": tuned, "pgtune": _PGTUNE}
    found: dict[str, list[_Run]] = {name: [] for name in variants}
    began, rounds = time.monotonic(), 0
    while rounds < ROUNDS and (not rounds or time.monotonic() - began < SLICE):
        # The machine may become slower or faster meanwhile.
        for name in list(variants)[:: -1 if rounds % 2 else 1]:
            found[name].append(_measured(image_id, variants[name], limits))
        rounds += 1
    rates = {name: statistics.median(run.rate for run in runs) for name, runs in found.items()}
    what = f"writes, {_CLIENTS} clients, 4 GB, 2 cpus: tuned / "
    row(what + "defaults of PostgreSQL", rates["tuned"], rates["defaults"], ">= 1.5", "/s")
    row(what + "figures of pgtune", rates["tuned"], rates["pgtune"], ">= 1", "/s")
    for name, runs in found.items():
        last = runs[-1]
        told = f"{last.checkpoints} checkpoints, {last.wal / 1e6:.0f} MB of WAL, {last.pages} pages written by sessions"
        fact(f"  {name}, in {_SECONDS} s", told, f"processors {last.busy:.0%} busy")
        row(f"  {name}, kill -9 after {_WARM_UP_SECONDS} s of it to writes", last.recovery)
    drop_floor()
