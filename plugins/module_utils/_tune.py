# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of PostgreSQL from the limits of its container. Pure arithmetic. Private to the collection.

The formulas are those of pgtune (https://github.com/le0pard/pgtune, configurationSlice.js) with M = the memory limit of
the container, C = its whole processors and N = max_connections. Where this file deviates it says so and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Optional, Union

from ._errors import PgkeepError
from ._majors import known_major
from ._units import GB, KB, MB, human, parse_bytes, parse_cpus, postgres_size

# The worst case may use this share of the limit; the rest is for the page cache, archive-push and what nobody foresaw.
SHARE = 0.85
# A backend's own memory without work_mem: catalog caches, plans, stack. Deviation: pgtune has no budget at all.
CONNECTION_BYTES = 10 * MB
# Postmaster, checkpointer, WAL writer, archiver, lock and predicate tables.
OVERHEAD_BYTES = 64 * MB
# pgtune's floor, and the default of PostgreSQL.
MIN_WORK_MEM = 4 * MB
# 5 reserved (superuser 3, reserved 2), 2 for the keeper and the health check, 3 for an application.
MIN_CONNECTIONS = 10
# max_worker_processes of PostgreSQL itself, in force where pgtune sets none.
DEFAULT_WORKERS = 8


@dataclass(frozen=True)
class Profile:
    """What pgtune calls the DB type. work_mem_divisor: share of the computed work_mem that is used."""

    connections: int
    shared_buffers_divisor: int
    cache_share: float
    maintenance_divisor: int
    work_mem_divisor: int
    min_wal_bytes: int
    max_wal_bytes: int
    statistics_target: int = 100
    jit_off: bool = True


PROFILES = {
    "web": Profile(200, 4, 0.75, 16, 1, 1 * GB, 4 * GB),
    "oltp": Profile(300, 4, 0.75, 16, 1, 2 * GB, 8 * GB),
    "dw": Profile(40, 4, 0.75, 8, 2, 4 * GB, 16 * GB, statistics_target=500, jit_off=False),
    "mixed": Profile(100, 4, 0.75, 16, 2, 1 * GB, 4 * GB),
    "desktop": Profile(20, 16, 0.25, 16, 6, 100 * MB, 2 * GB, jit_off=False),
}

# effective_io_concurrency by kind of disk (pgtune).
DISKS = {"ssd": 200, "hdd": 2, "san": 300, "nvme": 1000}


@dataclass(frozen=True)
class Budget:
    """The worst case in bytes: every connection uses its work_mem once while every autovacuum worker is full."""

    memory: int
    shared_buffers: int
    connections: int
    work_mem: int
    autovacuum_workers: int
    autovacuum_work_mem: int

    @property
    def connections_bytes(self) -> int:
        return self.connections * (self.work_mem + CONNECTION_BYTES)

    @property
    def autovacuum_bytes(self) -> int:
        return self.autovacuum_workers * self.autovacuum_work_mem

    @property
    def fixed_bytes(self) -> int:
        return self.shared_buffers + self.autovacuum_bytes + OVERHEAD_BYTES

    @property
    def total_bytes(self) -> int:
        return self.fixed_bytes + self.connections_bytes

    @property
    def limit_bytes(self) -> int:
        return int(self.memory * SHARE)

    @property
    def fits(self) -> bool:
        return self.total_bytes <= self.limit_bytes

    def to_dict(self) -> dict[str, Any]:
        return {
            "shared_buffers_bytes": self.shared_buffers,
            "connections_bytes": self.connections_bytes,
            "autovacuum_bytes": self.autovacuum_bytes,
            "overhead_bytes": OVERHEAD_BYTES,
            "total_bytes": self.total_bytes,
            "limit_bytes": self.limit_bytes,
            "share": SHARE,
        }

    def words(self) -> str:
        """The sum, printed."""
        parts = (
            "shared_buffers " + human(self.shared_buffers),
            "%d connections x (work_mem %s + %s)" % (self.connections, human(self.work_mem), human(CONNECTION_BYTES)),
            "%d autovacuum workers x %s" % (self.autovacuum_workers, human(self.autovacuum_work_mem)),
            "%s overhead" % human(OVERHEAD_BYTES),
        )
        relation = "within" if self.fits else "more than"
        end = (human(self.total_bytes), relation, human(self.limit_bytes), round(SHARE * 100), human(self.memory))
        return " + ".join(parts) + " = %s, %s %s = %d %% of %s" % end


@dataclass(frozen=True)
class Wanted:
    """The inputs after checking: bytes, whole processors."""

    memory: int
    processors: int
    profile: Profile
    disk: str
    connections: Optional[int]
    major: int
    warehouse: bool


def tune(
    memory: Union[int, str],
    cpus: Union[int, float, str] = 1,
    profile: str = "web",
    disk: str = "ssd",
    connections: Union[int, str, None] = None,
    pg_major: Union[int, str] = 17,
) -> dict[str, Any]:
    """Settings, their budget and the limits of the container that follow from them.

    Returns settings (name -> text for postgresql.conf), budget (bytes, see Budget), connections, shm_bytes, pids_limit,
    memory_bytes and notes (sentences about every value that was lowered). Raises PgkeepError for input that cannot be
    read and, with the sum, when the worst case does not fit the memory.
    """
    wanted = _checked(memory, cpus, profile, disk, connections, pg_major)
    budget = _fitted(wanted)
    notes = _notes(wanted, budget)
    settings = {
        **_memory_settings(wanted, budget),
        **_wal_settings(wanted, budget),
        **_planner_settings(wanted),
        **_parallel_settings(wanted),
    }
    workers = int(settings.get("max_worker_processes", DEFAULT_WORKERS)) + budget.autovacuum_workers
    return {
        "settings": settings,
        "budget": budget.to_dict(),
        "connections": budget.connections,
        # Dynamic shared memory (parallel query, index builds) lives in /dev/shm; 64 MB fail a parallel hash join.
        "shm_bytes": max(256 * MB, wanted.memory // 4),
        # 100: the server's own processes, archive-push workers, health check and docker exec.
        "pids_limit": budget.connections + workers + 100,
        "memory_bytes": wanted.memory,
        "notes": notes,
    }


def _checked(
    memory: Union[int, str],
    cpus: Union[int, float, str],
    profile: str,
    disk: str,
    connections: Union[int, str, None],
    major: Union[int, str],
) -> Wanted:
    for what, value, known in (("profile", profile, list(PROFILES)), ("disk", disk, list(DISKS))):
        if value not in known:
            why = "known are %s" % ", ".join(known)
            raise PgkeepError("The %s %r is unknown" % (what, value), why, "choose one of them")
    if connections is not None and not (str(connections).isdigit() and int(connections) >= MIN_CONNECTIONS):
        raise PgkeepError(
            "The number of connections %r cannot be used" % (connections,),
            "the smallest is %d: 5 are reserved, 2 serve keeper and health check" % MIN_CONNECTIONS,
            "raise it",
        )
    return Wanted(
        memory=parse_bytes(memory, "memory limit"),
        # Parallel workers do not run on a fraction of a processor.
        processors=max(1, math.floor(parse_cpus(cpus))),
        profile=PROFILES[profile],
        disk=disk,
        connections=None if connections is None else int(connections),
        major=known_major(major),
        warehouse=profile == "dw",
    )


def _fitted(wanted: Wanted) -> Budget:
    """The budget that fits. A default N is lowered first and keeps the work_mem of the greater one: fewer clients shall
    not each get more memory, or the sum would not fall. A declared N stays; only its work_mem is lowered."""
    asked = wanted.connections or wanted.profile.connections
    budget = _budget(wanted, wanted.memory, asked)
    if not budget.fits and wanted.connections is None:
        most = _room(budget) // (budget.work_mem + CONNECTION_BYTES)
        budget = replace(budget, connections=min(asked, max(MIN_CONNECTIONS, most)))
    if not budget.fits:
        work_mem = _whole_kb(_room(budget) / budget.connections - CONNECTION_BYTES)
        budget = replace(budget, work_mem=max(MIN_WORK_MEM, work_mem))
    if not budget.fits:
        raise PgkeepError(
            "The memory limit %s is too small" % human(wanted.memory),
            budget.words(),
            "give the instance at least %s" % postgres_size(_smallest(wanted, budget.connections))
            + (", or lower connections" if wanted.connections else ""),
        )
    return budget


def _budget(wanted: Wanted, memory: int, connections: int) -> Budget:
    """The sum of pgtune's values for that memory and number of connections."""
    shared_buffers = _whole_kb(memory / wanted.profile.shared_buffers_divisor)
    workers = wanted.processors if wanted.processors >= 4 else DEFAULT_WORKERS
    # pgtune: (M - shared_buffers) / ((N + max_worker_processes) * 3), by profile divided again, at least 4 MB.
    work_mem = (memory - shared_buffers) / ((connections + workers) * 3) / wanted.profile.work_mem_divisor
    return Budget(
        memory=memory,
        shared_buffers=shared_buffers,
        connections=connections,
        work_mem=max(MIN_WORK_MEM, _whole_kb(work_mem)),
        # pgtune: 5 from 32 processors, 4 from 16, else the default of PostgreSQL.
        autovacuum_workers=5 if wanted.processors >= 32 else 4 if wanted.processors >= 16 else 3,
        autovacuum_work_mem=_autovacuum_work_mem(memory, _maintenance_work_mem(wanted, memory)),
    )


def _room(budget: Budget) -> int:
    return max(0, budget.limit_bytes - budget.fixed_bytes)


def _smallest(wanted: Wanted, connections: int) -> int:
    """The least memory, in steps of 64 MB, whose budget with the smallest work_mem holds connections."""
    memory = wanted.memory
    while not replace(_budget(wanted, memory, connections), work_mem=MIN_WORK_MEM).fits:
        memory = (memory // (64 * MB) + 1) * 64 * MB
    return memory


def _maintenance_work_mem(wanted: Wanted, memory: int) -> int:
    """pgtune: M/16, of a warehouse M/8, at most 8 GB; before 17 more than 2 GB could not be used."""
    most = 8 * GB if wanted.major >= 17 else 2 * GB - MB
    return min(most, _whole_kb(memory / wanted.profile.maintenance_divisor))


def _autovacuum_work_mem(memory: int, maintenance_work_mem: int) -> int:
    """Deviation: clamp(M/64, 16 MB, maintenance_work_mem). Unset it would be maintenance_work_mem for each worker, 3/16
    of the memory; so three of them take 5 %."""
    return min(maintenance_work_mem, max(16 * MB, _whole_kb(memory / 64)))


def _memory_settings(wanted: Wanted, budget: Budget) -> dict[str, str]:
    return {
        "max_connections": str(budget.connections),
        "shared_buffers": postgres_size(budget.shared_buffers),
        "effective_cache_size": postgres_size(_whole_kb(wanted.memory * wanted.profile.cache_share)),
        "maintenance_work_mem": postgres_size(_maintenance_work_mem(wanted, wanted.memory)),
        "work_mem": postgres_size(budget.work_mem),
        "autovacuum_max_workers": str(budget.autovacuum_workers),
        "autovacuum_work_mem": postgres_size(budget.autovacuum_work_mem),
        # Deviation: pgtune says try from 2 GB on. In a container that can pass mmap and then die with SIGBUS when the
        # cgroup's hugetlb limit is smaller (docker-library/postgres#451).
        "huge_pages": "off",
    }


def _wal_settings(wanted: Wanted, budget: Budget) -> dict[str, str]:
    """pgtune's sizes by profile. Deviation: max_wal_size at most max(1 GB, 2 M), so that a small instance neither fills
    its small disk nor replays 4 GB after a crash; min_wal_size then a quarter of it."""
    maximum = min(wanted.profile.max_wal_bytes, max(1 * GB, 2 * wanted.memory // MB * MB))
    minimum = min(wanted.profile.min_wal_bytes, maximum // 4 // MB * MB)
    # pgtune: 3 % of shared_buffers, at most 16 MB, from 14 MB on 16 MB, at least 32 kB.
    buffers = _whole_kb(budget.shared_buffers * 3 / 100)
    buffers = 16 * MB if buffers > 14 * MB else max(32 * KB, buffers)
    return {
        "wal_buffers": postgres_size(buffers),
        "min_wal_size": postgres_size(minimum),
        "max_wal_size": postgres_size(maximum),
        "checkpoint_completion_target": "0.9",
        # pgtune: lz4 from 15 on. Debian's packages and the official images are built with it.
        "wal_compression": "lz4" if wanted.major >= 15 else "on",
    }


def _planner_settings(wanted: Wanted) -> dict[str, str]:
    settings = {
        # pgtune: 4 for spinning disks and warehouses, else 1.1.
        "random_page_cost": "4" if wanted.disk == "hdd" or wanted.warehouse else "1.1",
        "effective_io_concurrency": str(DISKS[wanted.disk]),
        "default_statistics_target": str(wanted.profile.statistics_target),
    }
    if wanted.profile.jit_off:
        settings["jit"] = "off"
    if wanted.major >= 18:
        # Deviation: pgtune says io_uring on Linux; Docker's default seccomp profile blocks it.
        settings["io_method"] = "worker"
        # pgtune for worker: C/4 between 3 and 32.
        settings["io_workers"] = str(min(32, max(3, wanted.processors // 4)))
    return settings


def _parallel_settings(wanted: Wanted) -> dict[str, str]:
    """pgtune: nothing below 4 processors."""
    processors = wanted.processors
    if processors < 4:
        return {}
    half = math.ceil(processors / 2)
    return {
        "max_worker_processes": str(processors),
        "max_parallel_workers": str(processors),
        "max_parallel_workers_per_gather": str(half if wanted.warehouse else min(4, half)),
        "max_parallel_maintenance_workers": str(min(4, half)),
    }


def _notes(wanted: Wanted, budget: Budget) -> list[str]:
    asked = wanted.connections or wanted.profile.connections
    plain = _budget(wanted, wanted.memory, asked)
    notes = []
    if budget.connections < asked:
        counts = (asked, budget.connections)
        notes.append("max_connections lowered from %d to %d so that the memory budget fits" % counts)
    if budget.work_mem < plain.work_mem:
        sizes = (postgres_size(plain.work_mem), postgres_size(budget.work_mem))
        notes.append("work_mem lowered from %s to %s so that the memory budget fits" % sizes)
    return notes


def _whole_kb(size_bytes: float) -> int:
    return int(size_bytes // KB) * KB
