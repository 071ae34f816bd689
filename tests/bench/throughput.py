# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions per second with the settings of the filter tune, beside PostgreSQL's defaults and figures of pgtune."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping

from ansible_collections.pgkeep.postgres.plugins.module_utils._presets import preset
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import tune

from .tools import END, FLOOR, ROUNDS, SLICE, drop_floor, fact, init_floor, row, sh, start_floor

# About 2.2 GB: more than any of the variants caches itself, less than the container may use.
_SCALE = 150
_CLIENTS = 16
# Long enough for several of the checkpoints that max_wal_size of the defaults asks for, and for one of the larger ones.
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


def _pgbench(*words: str) -> str:
    return sh("docker", "exec", FLOOR, "pgbench", "-U", "postgres", *words, "postgres")


def _transactions(image_id: str, settings: Mapping[str, str], limits: list[str]) -> float:
    """A second, of pgbench's own mix: three updates, an insert and a select in each. From a checkpoint on."""
    sh("docker", "rm", "--force", "--volumes", FLOOR, check=False)
    start_floor(image_id, settings, limits)
    load = ["-c", str(_CLIENTS), "-j", "2", "-M", "prepared"]
    _pgbench(*load, "-T", str(_WARM_UP_SECONDS))
    sh("docker", "exec", FLOOR, "psql", "-U", "postgres", "-XAtqc", "checkpoint")
    found = re.search(r"^tps = ([0-9.]+)", _pgbench(*load, "-T", str(_SECONDS)), re.MULTILINE)
    assert found
    sh("docker", "stop", FLOOR)
    return float(found[1])


def measure(image_id: str) -> None:
    if time.monotonic() > END:
        fact("transactions per second", "left out", "the time of the run is over; see BENCH_MINUTES")
        return
    medium = preset("medium")
    limits = [
        "--memory",
        medium["memory"].lower(),
        "--memory-swap",
        medium["memory"].lower(),
        "--cpus",
        str(medium["cpus"]),
    ]
    limits += ["--shm-size", "1g"]
    tuned = tune(medium["memory"], medium["cpus"], medium["profile"], medium["disk"])["settings"]
    drop_floor()
    init_floor(image_id)
    start_floor(image_id, tuned, limits)
    _pgbench("-i", "-q", "-s", str(_SCALE))
    found: list[list[float]] = []
    began = time.monotonic()
    while len(found) < ROUNDS and (not found or time.monotonic() - began < SLICE):
        found.append([_transactions(image_id, settings, limits) for settings in (tuned, {}, _PGTUNE)])
    ours, defaults, pgtune = (statistics.median(column) for column in zip(*found))
    row(f"writes, {_CLIENTS} clients, 4 GB, 2 cpus: tuned / defaults of PostgreSQL", ours, defaults, ">= 1.5", "/s")
    row(f"writes, {_CLIENTS} clients, 4 GB, 2 cpus: tuned / figures of pgtune", ours, pgtune, ">= 1", "/s")
    drop_floor()
