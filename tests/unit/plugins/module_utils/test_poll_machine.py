# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control group of the server in both versions, and disks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _poll_machine as machine
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run

from .recorded import load

# Version 1 as a server of ours has it; version 2 as the kernel's manual writes it (Control Group v2).
V1: dict[str, Any] = load("poll/frequent.json")["cgroup"]
V2: dict[str, Any] = {
    "memory_limit": "536870912\n",
    "memory_used": "150134784\n",
    "memory_stat": "anon 12451840\nfile 144445440\nshmem 29618176\ninactive_file 37548032\nactive_file 77279232\n",
    "memory_events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
    "cpu_max": "150000 100000\n",
    "cpu_stat": "usage_usec 1822434\nsystem_usec 822434\nnr_periods 401\nnr_throttled 7\nthrottled_usec 5\n",
}
NO_FILES: dict[str, Any] = dict.fromkeys(V2)


def test_memory_of_version_1() -> None:
    found = machine.memory(V1)
    assert found["limit_bytes"] == 536870912
    assert found["oom_kills"] == 0
    # The cache that was not used for long, then all of it.
    assert 0 < found["held_bytes"] < found["working_set_bytes"] < found["used_bytes"]


def test_memory_of_version_2() -> None:
    assert machine.memory(V2) == {
        "limit_bytes": 536870912,
        "used_bytes": 150134784,
        "working_set_bytes": 112586752,
        "held_bytes": 42070016,
        "oom_kills": 2,
    }


@pytest.mark.parametrize("files", [{**V1, "memory_limit": "9223372036854771712\n"}, {**V2, "memory_limit": "max\n"}])
def test_no_limit_is_none(files: dict[str, Any]) -> None:
    assert machine.memory(files)["limit_bytes"] is None


@pytest.mark.parametrize("files", [{}, NO_FILES])
def test_files_that_are_missing_are_unknown(files: dict[str, Any]) -> None:
    assert set(machine.memory(files).values()) == {None}
    assert set(machine.cpu(files, machine.cpu(files, None, 0.0), 5.0).values()) == {None}


@pytest.mark.parametrize(
    "files, later, quota",
    [
        (V1, {"cpu_stat": "nr_periods {periods}\nnr_throttled {throttled}\n", "cpu_usage": "{nanoseconds}\n"}, 1.0),
        (V2, {"cpu_stat": "usage_usec {microseconds}\nnr_periods {periods}\nnr_throttled {throttled}\n"}, 1.5),
    ],
)
def test_processors_between_two_polls(files: dict[str, Any], later: dict[str, str], quota: float) -> None:
    before = machine.cpu(files, None, 0.0)
    assert (before["quota_cpus"], before["used_ratio"], before["throttled_ratio"]) == (quota, None, None)
    usage = before["usage_seconds"] + 3.0
    values = {
        "periods": before["periods"] + 50,
        "throttled": before["throttled_periods"] + 20,
        "nanoseconds": round(usage * 1e9),
        "microseconds": round(usage * 1e6),
    }
    found = machine.cpu({**files, **{name: text.format(**values) for name, text in later.items()}}, before, 5.0)
    assert found["throttled_ratio"] == 0.4
    assert found["used_ratio"] == pytest.approx(0.6 / quota, abs=0.0001)


def test_a_new_container_counts_from_zero() -> None:
    before = {**machine.cpu(V1, None, 0.0), "periods": 10**9, "usage_seconds": 1e9}
    found = machine.cpu(V1, before, 5.0)
    assert (found["throttled_ratio"], found["used_ratio"]) == (None, None)


def test_without_a_quota_one_processor_is_all() -> None:
    assert machine.cpu({**V1, "cpu_quota": "-1\n"}, None, 0.0)["quota_cpus"] is None
    assert machine.cpu({**V2, "cpu_max": "max 100000\n"}, None, 0.0)["quota_cpus"] is None


def test_disks_that_are_not_mounted_are_left_out(tmp_path: Path) -> None:
    folder = str(tmp_path)
    keeper = Keeper("app", run, "", repository=folder, spool=folder + "/no", state=folder, dumps=folder)
    assert set(machine.disks(keeper)) - {"data", "scratch"} == {"repository", "state", "dumps"}
    assert machine.disks(keeper)["state"]["size_bytes"] > 0
