# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings are pgtune's, and their worst case always fits."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import MIN_CONNECTIONS, PROFILES, tune
from ansible_collections.pgkeep.postgres.plugins.module_utils._units import MB, parse_bytes


def test_pgtunes_own_check_value() -> None:
    """What pgtune prints for web, 4 GB, 2 processors, SSD, PostgreSQL 17."""
    settings = tune("4GB", 2)["settings"]
    expected = {
        "shared_buffers": "1GB",
        "effective_cache_size": "3GB",
        "maintenance_work_mem": "256MB",
        "work_mem": "5041kB",
        "wal_buffers": "16MB",
        "min_wal_size": "1GB",
        "max_wal_size": "4GB",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "default_statistics_target": "100",
        "huge_pages": "off",
        "jit": "off",
        "wal_compression": "lz4",
    }
    assert {name: settings[name] for name in expected} == expected
    assert not any("parallel" in name for name in settings)


@pytest.mark.parametrize(
    "profile, expected",
    [
        # (32 GB - 8 GB) / ((N + 8) * 3), of dw and mixed half, of desktop with 30 GB a sixth.
        ("web", {"max_connections": "200", "work_mem": "40329kB", "max_wal_size": "4GB"}),
        ("oltp", {"max_connections": "300", "work_mem": "27235kB", "min_wal_size": "2GB", "max_wal_size": "8GB"}),
        ("mixed", {"max_connections": "100", "work_mem": "38836kB", "max_wal_size": "4GB"}),
        (
            "dw",
            {
                "max_connections": "40",
                "work_mem": "87381kB",
                "maintenance_work_mem": "4GB",
                "default_statistics_target": "500",
                "random_page_cost": "4",
                "max_wal_size": "16GB",
                "max_parallel_workers_per_gather": "4",
            },
        ),
        (
            "desktop",
            {"max_connections": "20", "shared_buffers": "2GB", "effective_cache_size": "8GB", "min_wal_size": "100MB"},
        ),
    ],
)
def test_profiles(profile: str, expected: dict[str, str]) -> None:
    settings = tune("32GB", 8, profile)["settings"]
    assert {name: settings[name] for name in expected} == expected


def test_parallel_query_from_four_processors_on() -> None:
    parallel = {
        "max_worker_processes": "16",
        "max_parallel_workers": "16",
        "max_parallel_workers_per_gather": "4",
        "max_parallel_maintenance_workers": "4",
    }
    settings = tune("32GB", 16)["settings"]
    assert {name: settings[name] for name in parallel} == parallel
    assert tune("32GB", 16, "dw")["settings"]["max_parallel_workers_per_gather"] == "8"
    assert "max_parallel_workers" not in tune("32GB", 3.9)["settings"]


@pytest.mark.parametrize(
    "disk, concurrency, cost",
    [("ssd", "200", "1.1"), ("hdd", "2", "4"), ("san", "300", "1.1"), ("nvme", "1000", "1.1")],
)
def test_disks(disk: str, concurrency: str, cost: str) -> None:
    settings = tune("4GB", 2, disk=disk)["settings"]
    assert (settings["effective_io_concurrency"], settings["random_page_cost"]) == (concurrency, cost)


def test_majors() -> None:
    assert tune("4GB", 2, pg_major=14)["settings"]["wal_compression"] == "on"
    assert "io_method" not in tune("4GB", 2, pg_major=17)["settings"]
    assert tune("4GB", 2, pg_major=18)["settings"]["io_method"] == "worker"
    assert tune("64GB", 2, pg_major=16)["settings"]["maintenance_work_mem"] == "2047MB"


GRID = list(
    itertools.product(
        ["512MB", "768MB", "1GB", "2GB", "3GB", "4GB", "16GB", "64GB", "512GB"],
        PROFILES,
        [None, 10, 25, 100, 500, 2000],
        [0.5, 2, 16, 64],
    )
)


def _tuned_or_refused(memory: str, cpus: float, profile: str, connections: Optional[int]) -> Optional[dict[str, Any]]:
    """None for a declared number of connections that was refused with the sum; everything else has to be tuned."""
    if connections is None:
        return tune(memory, cpus, profile)
    with contextlib.suppress(PgkeepError):
        return tune(memory, cpus, profile, connections=connections)
    with pytest.raises(PgkeepError, match=r"overhead = .*, more than .* = 85 % of "):
        tune(memory, cpus, profile, connections=connections)
    return None


def test_the_budget_is_never_exceeded() -> None:
    """Over the whole grid: either the sum of the printed settings fits, or the input is refused with the sum."""
    refused = 0
    for memory, profile, connections, cpus in GRID:
        tuned = _tuned_or_refused(memory, cpus, profile, connections)
        if tuned is None:
            refused += 1
            continue
        settings = tuned["settings"]
        count = int(settings["max_connections"])
        total = (
            parse_bytes(settings["shared_buffers"])
            + count * (parse_bytes(settings["work_mem"]) + 10 * MB)
            + int(settings["autovacuum_max_workers"]) * parse_bytes(settings["autovacuum_work_mem"])
            + 64 * MB
        )
        assert total == tuned["budget"]["total_bytes"]
        assert total <= 0.85 * parse_bytes(memory), (memory, profile, connections, cpus)
        assert count == tuned["connections"] >= MIN_CONNECTIONS
        assert connections in (None, count)
        assert parse_bytes(settings["work_mem"]) >= 4 * MB
        assert tuned["shm_bytes"] >= 256 * MB
        assert tuned["pids_limit"] >= count + 8 + 50
        assert parse_bytes(settings["min_wal_size"]) < parse_bytes(settings["max_wal_size"])
    assert 0 < refused < len(GRID) / 2


def test_a_default_number_of_connections_is_lowered_and_said() -> None:
    tuned = tune("4GB", 2)
    assert tuned["connections"] == 147
    assert tuned["notes"] == ["max_connections lowered from 200 to 147 so that the memory budget fits"]


def test_a_declared_number_of_connections_stays_and_work_mem_is_lowered() -> None:
    tuned = tune("4GB", 2, connections=155)
    assert tuned["connections"] == 155
    assert tuned["notes"] == ["work_mem lowered from 6432kB to 4304kB so that the memory budget fits"]


def test_nothing_is_said_when_nothing_was_lowered() -> None:
    assert tune("16GB", 2)["notes"] == []


def test_small_instances_do_not_keep_four_gigabytes_of_wal() -> None:
    settings = tune("512MB")["settings"]
    assert (settings["min_wal_size"], settings["max_wal_size"]) == ("256MB", "1GB")


def test_autovacuum_takes_five_percent_at_most() -> None:
    assert tune("16GB", 2)["settings"]["autovacuum_work_mem"] == "256MB"
    assert tune("512MB")["settings"]["autovacuum_work_mem"] == "16MB"


def test_too_little_memory_is_refused_with_the_sum_and_the_memory_that_would_do() -> None:
    with pytest.raises(PgkeepError) as caught:
        tune("256MB")
    assert caught.value.what == "The memory limit 256 MB is too small"
    assert caught.value.why == (
        "shared_buffers 64 MB + 10 connections x (work_mem 4 MB + 10 MB) + 3 autovacuum workers x 16 MB"
        " + 64 MB overhead = 316 MB, more than 217.6 MB = 85 % of 256 MB"
    )
    assert caught.value.next_step == "give the instance at least 448MB"
    assert tune("448MB")["connections"] >= MIN_CONNECTIONS


def test_the_memory_that_is_told_is_enough_for_the_declared_connections() -> None:
    with pytest.raises(PgkeepError) as caught:
        tune("1GB", connections=300)
    enough = caught.value.next_step.split()[5].rstrip(",")
    assert tune(enough, connections=300)["connections"] == 300


@pytest.mark.parametrize(
    "options, what",
    [
        ({"memory": "lots"}, "The memory limit 'lots' cannot be read"),
        ({"cpus": "all"}, "The cpus 'all' cannot be used"),
        ({"profile": "fast"}, "The profile 'fast' is unknown"),
        ({"disk": "tape"}, "The disk 'tape' is unknown"),
        ({"pg_major": 9}, "PostgreSQL 9 is not supported"),
        ({"pg_major": "new"}, "PostgreSQL new is not supported"),
        ({"connections": 3}, "The number of connections 3 cannot be used"),
        ({"connections": "many"}, "The number of connections 'many' cannot be used"),
        ({"connections": True}, "The number of connections True cannot be used"),
    ],
)
def test_bad_input_is_told_by_name(options: dict[str, Any], what: str) -> None:
    with pytest.raises(PgkeepError) as caught:
        tune(**{"memory": "4GB", **options})
    assert caught.value.what == what
    assert caught.value.why
    assert caught.value.next_step


def test_text_from_templates_is_taken_for_numbers() -> None:
    assert tune("4GB", "2", connections="100", pg_major="17") == tune("4GB", 2, connections=100, pg_major=17)
