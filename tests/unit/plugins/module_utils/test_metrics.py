# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every metric that rules and dashboards stand on is there, has the right unit, and is absent when it is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._board import present
from ansible_collections.pgkeep.postgres.plugins.module_utils._metrics import exposition

SNAPSHOT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/keeper/status.json").read_text())

# What others rely on: a name that goes is a change that breaks.
NAMES = """
up ready snapshot_age_seconds check_status probe_duration_seconds connect_duration_seconds circuit_state maintenance
restarts_last_hour server_start_time_seconds server_crashes_last_day server_memory_limit_bytes
server_memory_working_set_bytes server_oom_kills_total server_cpu_periods_total server_cpu_throttled_periods_total
disk_size_bytes disk_free_bytes disk_used_ratio disk_inodes_used_ratio sessions sessions_blocked sessions_maximum
database_size_bytes wal_bytes archiver_ready_files archiver_failing archiver_archived_total archiver_failed_total
slot_retained_bytes slot_active backup_last_success_timestamp_seconds backup_last_run_success backup_size_bytes
drill_last_success_timestamp_seconds drill_last_run_success drill_rto_seconds drill_rpo_seconds repository_lag_seconds
alerts_waiting tls_certificate_expiry_timestamp_seconds pending_restart_settings checksum_failures_total xid_age_ratio
replica_lag_bytes replica_lag_seconds standby_lag_bytes standby_lag_seconds
pool_up pool_clients_active pool_clients_waiting pool_max_wait_seconds pool_servers_active pool_servers_idle info
"""

FAILED_DRILL = {"at": "2026-11-24T09:00:00Z", "result": "failed", "passed_at": "2026-11-20T01:40:00Z"}


def samples(snapshot: dict[str, Any] | None, age: float = 1.0) -> dict[tuple[str, ...], float]:
    """(name, values of the labels) -> value, read as Prometheus reads it."""
    from prometheus_client.parser import text_string_to_metric_families

    status = present(snapshot, SNAPSHOT["taken_at"] + age, 5.0)
    families = text_string_to_metric_families(exposition(status).decode())
    found = [sample for family in families for sample in family.samples]
    keys = [(sample.name, *sample.labels.values()) for sample in found]
    assert len(keys) == len(set(keys))
    return {key: sample.value for key, sample in zip(keys, found)}


def test_every_metric_is_there_and_no_other():
    standby = {**SNAPSHOT, "replica_lag_bytes": 0, "replica_lag_seconds": 0.0}
    assert {name for name, *_labels in samples(standby)} == {"pgkeep_" + name for name in NAMES.split()}


def test_a_primary_is_not_behind_and_standbys_that_call_themselves_alike_are_one_series():
    alike = [
        {"application": "walreceiver", "lag_bytes": 5, "lag_seconds": None},
        {"application": "walreceiver", "lag_bytes": 7, "lag_seconds": None},
        {"application": "pg_receivewal", "lag_bytes": None, "lag_seconds": None},
    ]
    found = samples({**SNAPSHOT, "replicas": alike})
    lags = {key: value for key, value in found.items() if "_lag_" in key[0] and "repository" not in key[0]}
    assert lags == {("pgkeep_standby_lag_bytes", "walreceiver"): 7.0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("pgkeep_up",), 1.0),
        (("pgkeep_snapshot_age_seconds",), 1.0),
        (("pgkeep_check_status", "disk_data"), 1.0),
        (("pgkeep_connect_duration_seconds",), 0.0231),
        (("pgkeep_server_start_time_seconds",), 1795509280.0),
        (("pgkeep_disk_used_ratio", "data"), 0.752),
        (("pgkeep_sessions", "idle_in_transaction"), 1.0),
        (("pgkeep_database_size_bytes", "shop"), 61203283968.0),
        (("pgkeep_backup_last_success_timestamp_seconds",), 1795480212.0),
        (("pgkeep_drill_last_success_timestamp_seconds",), 1795484400.0),
        (("pgkeep_repository_lag_seconds", "2"), 31.0),
        (("pgkeep_standby_lag_bytes", "app-b"), 8192.0),
        (("pgkeep_pool_servers_idle",), 3.0),
        (("pgkeep_pending_restart_settings",), 1.0),
        (("pgkeep_info", "17.12", "primary", "0.2.0"), 1.0),
    ],
)
def test_values_have_the_unit_of_their_name(key: tuple[str, ...], value: float):
    assert samples(SNAPSHOT)[key] == pytest.approx(value)


def test_what_is_not_known_is_absent():
    assert ("pgkeep_check_status", "alerts") not in samples(SNAPSHOT)
    known = {name for name, *_labels in samples({"taken_at": SNAPSHOT["taken_at"]})}
    assert known == {"pgkeep_ready", "pgkeep_snapshot_age_seconds", "pgkeep_info", "pgkeep_maintenance"}


def test_of_a_stale_snapshot_only_its_age_is_known():
    stale = samples(SNAPSHOT, 60.0)
    assert {name for name, *_labels in stale} == {
        "pgkeep_ready",
        "pgkeep_snapshot_age_seconds",
        "pgkeep_check_status",
        "pgkeep_info",
    }
    assert (stale[("pgkeep_ready",)], stale[("pgkeep_check_status", "snapshot")]) == (0.0, 2.0)
    assert ("pgkeep_check_status", "database") not in stale


def test_before_the_first_snapshot_it_is_not_ready_and_has_no_age():
    assert ("pgkeep_snapshot_age_seconds",) not in samples(None)
    assert samples(None)[("pgkeep_ready",)] == 0.0


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ({"checks": [{"id": "database", "status": "critical", "value": "hung"}]}, "pgkeep_up", 0.0),
        ({"checks": [{"id": "database", "status": "healthy", "value": "hung"}]}, "pgkeep_up", 0.0),
        ({"checks": [{"id": "database", "status": "warning", "value": "starting"}]}, "pgkeep_up", 0.0),
        ({"circuit": {"state": "open"}}, "pgkeep_circuit_state", 2.0),
        ({"circuit": {"state": "half_open"}}, "pgkeep_circuit_state", 1.0),
        ({"maintenance": {"reason": "deploy"}}, "pgkeep_maintenance", 1.0),
        ({"archiver": {"mode": "on", "failing_since": "2026-11-24T09:00:00Z"}}, "pgkeep_archiver_failing", 1.0),
        ({"pool": {"up": False}}, "pgkeep_pool_up", 0.0),
        ({"pool": None}, "pgkeep_pool_up", None),
        ({"backup": {"last_run": {"result": "failed"}}}, "pgkeep_backup_last_run_success", 0.0),
        ({"backup": {"last_run": {"result": "busy"}}}, "pgkeep_backup_last_run_success", None),
        ({"backup": {"drill": FAILED_DRILL}}, "pgkeep_drill_last_run_success", 0.0),
        # That of the drill before it, also when it proved an older backup; without one nothing was ever proven.
        ({"backup": {"drill": FAILED_DRILL}}, "pgkeep_drill_last_success_timestamp_seconds", 1795138800.0),
        (
            {"backup": {"drill": {**FAILED_DRILL, "passed_at": None}}},
            "pgkeep_drill_last_success_timestamp_seconds",
            None,
        ),
        ({"settings": {"pending_restart": [], "errors": None}}, "pgkeep_pending_restart_settings", None),
    ],
)
def test_bad_states_are_numbers_too(change: dict[str, Any], key: str, value: float | None):
    merged = {
        name: {**SNAPSHOT[name], **part} if isinstance(part, dict) and SNAPSHOT[name] else part
        for name, part in change.items()
    }
    assert samples({**SNAPSHOT, **merged}).get((key,)) == value


def test_hostile_names_stay_labels():
    odd = 'a"b\\c\nd'
    found = samples({**SNAPSHOT, "databases": [{"name": odd, "size_bytes": 1}]})
    assert found[("pgkeep_database_size_bytes", odd)] == 1.0
