# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The presented status as metrics for Prometheus. Private to the collection.

What is not known has no series: 0 would say that it is known. Of a stale snapshot only its age is known.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

from ._health_check import ACCEPTING
from ._times import epoch_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATUS = {"healthy": 0, "warning": 1, "critical": 2}
_CIRCUIT = {"closed": 0, "half_open": 1, "open": 2}

Status = Mapping[str, Any]
Value = Optional[float]


def _plain(value: Any) -> Value:
    return None if value is None else float(value)


def _from_ms(value: Any) -> Value:
    return None if value is None else value / 1000


def _from_percent(value: Any) -> Value:
    return None if value is None else value / 100


def _succeeded(result: Any) -> Value:
    """One that found somebody else at work did neither."""
    return None if result in (None, "busy") else float(result == "ok")


def _up(status: Status) -> Value:
    """By what the login met: a server that starts up only warns, and lets nobody in."""
    return next((float(check["value"] == ACCEPTING) for check in _known(status) if check["id"] == "database"), None)


def _known(status: Status) -> list[Mapping[str, Any]]:
    return [check for check in status["checks"] if check["status"] in _STATUS]


def _archiver_failing(status: Status) -> Value:
    archiver = status["archiver"]
    return None if archiver["mode"] is None else float(archiver["failing_since"] is not None)


def _pending(status: Status) -> Value:
    """An empty list is also what is known of a server that does not answer."""
    settings = status["settings"]
    return None if settings["errors"] is None else float(len(settings["pending_restart"]))


# Of a stale snapshot too.
_ALWAYS: tuple[tuple[str, str, str, Callable[[Any], Value]], ...] = (
    ("pgkeep_ready", "Whether traffic may be sent now.", "ready", _plain),
    ("pgkeep_snapshot_age_seconds", "Age of what is shown here.", "snapshot_age_ms", _from_ms),
)

# Name, help, where it is in the status, what makes a number of it.
_SINGLE: tuple[tuple[str, str, str, Callable[[Any], Value]], ...] = (
    ("pgkeep_up", "Whether the server lets a client in.", "", _up),
    ("pgkeep_probe_duration_seconds", "Answer on a kept connection.", "latency.response_ms", _from_ms),
    ("pgkeep_connect_duration_seconds", "A new connection with its login.", "latency.connect_ms", _from_ms),
    (
        "pgkeep_circuit_state",
        "0 closed, 1 half open, 2 open: the keeper spares the server.",
        "circuit.state",
        _CIRCUIT.get,
    ),
    (
        "pgkeep_maintenance",
        "Whether the host works on the instance.",
        "maintenance",
        lambda found: float(found is not None),
    ),
    ("pgkeep_restarts_last_hour", "Starts of the server within an hour.", "restarts.last_hour", _plain),
    ("pgkeep_server_start_time_seconds", "When the server started.", "instance.started_at", epoch_of),
    ("pgkeep_server_crashes_last_day", "Crashes of the server within a day.", "restarts.crashes_last_day", _plain),
    ("pgkeep_server_memory_limit_bytes", "Memory limit of the server.", "memory.limit_bytes", _plain),
    ("pgkeep_server_memory_working_set_bytes", "Memory that cannot be taken back.", "memory.working_set_bytes", _plain),
    ("pgkeep_server_oom_kills_total", "Processes of the server that the kernel killed.", "memory.oom_kills", _plain),
    ("pgkeep_server_cpu_periods_total", "Periods of the processor quota.", "cpu.periods", _plain),
    ("pgkeep_server_cpu_throttled_periods_total", "Those in which it was used up.", "cpu.throttled_periods", _plain),
    ("pgkeep_sessions_blocked", "Sessions that wait for another one.", "sessions.blocked", _plain),
    ("pgkeep_sessions_maximum", "Sessions that may be there.", "sessions.maximum", _plain),
    ("pgkeep_wal_bytes", "Size of pg_wal.", "wal_bytes", _plain),
    ("pgkeep_archiver_ready_files", "WAL files that wait for the archiver.", "archiver.ready_count", _plain),
    ("pgkeep_archiver_failing", "Whether the newest attempt to archive failed.", "", _archiver_failing),
    ("pgkeep_archiver_archived_total", "WAL files that were archived.", "archiver.archived_count", _plain),
    ("pgkeep_archiver_failed_total", "Attempts to archive that failed.", "archiver.failed_count", _plain),
    ("pgkeep_backup_last_success_timestamp_seconds", "End of the newest backup.", "backup.newest.stopped_at", epoch_of),
    ("pgkeep_backup_last_run_success", "Whether the last job succeeded.", "backup.last_run.result", _succeeded),
    ("pgkeep_backup_size_bytes", "Size of what the newest backup holds.", "backup.newest.size_bytes", _plain),
    (
        "pgkeep_drill_last_success_timestamp_seconds",
        "When a drill last proved a backup.",
        "backup.drill.passed_at",
        epoch_of,
    ),
    ("pgkeep_drill_last_run_success", "Whether the last drill passed.", "backup.drill.result", _succeeded),
    (
        "pgkeep_drill_rto_seconds",
        "How long the last drill took until the copy served.",
        "backup.drill.rto_seconds",
        _plain,
    ),
    ("pgkeep_drill_rpo_seconds", "What the last drill would have lost.", "backup.drill.rpo_seconds", _plain),
    ("pgkeep_alerts_waiting", "Alerts that are not delivered yet.", "alerts.waiting", _plain),
    ("pgkeep_pending_restart_settings", "Settings that wait for a restart.", "", _pending),
    ("pgkeep_checksum_failures_total", "Pages with a wrong checksum.", "checksum_failures", _plain),
    (
        "pgkeep_xid_age_ratio",
        "Share of the transaction numbers until wraparound that is used.",
        "xid_age.ratio",
        _plain,
    ),
    ("pgkeep_replica_lag_bytes", "WAL that this standby has and did not replay.", "replica_lag_bytes", _plain),
    ("pgkeep_replica_lag_seconds", "Age of what this standby replayed last.", "replica_lag_seconds", _plain),
    ("pgkeep_pool_up", "Whether the pooler answers.", "pool.up", _plain),
    ("pgkeep_pool_clients_active", "Clients that have a connection.", "pool.clients_active", _plain),
    ("pgkeep_pool_servers_active", "Connections to the server in use.", "pool.servers_active", _plain),
    ("pgkeep_pool_servers_idle", "Connections to the server that wait for a client.", "pool.servers_idle", _plain),
    ("pgkeep_pool_clients_waiting", "Clients that wait for a connection.", "pool.clients_waiting", _plain),
    ("pgkeep_pool_max_wait_seconds", "How long the first of them waits.", "pool.max_wait_seconds", _plain),
)

# Name, help, label, list in the status, what of an element is the label, what the value, what makes a number of it.
_SERIES: tuple[tuple[str, str, str, str, str, str, Callable[[Any], Value]], ...] = (
    ("pgkeep_disk_size_bytes", "Size of the disk of a volume.", "volume", "storage", "id", "size_bytes", _plain),
    ("pgkeep_disk_free_bytes", "What may still be written to it.", "volume", "storage", "id", "free_bytes", _plain),
    ("pgkeep_disk_used_ratio", "Share that is used.", "volume", "storage", "id", "used_percent", _from_percent),
    (
        "pgkeep_disk_inodes_used_ratio",
        "Share of its inodes.",
        "volume",
        "storage",
        "id",
        "inodes_percent",
        _from_percent,
    ),
    ("pgkeep_database_size_bytes", "Size of a database.", "database", "databases", "name", "size_bytes", _plain),
    ("pgkeep_slot_retained_bytes", "WAL that a slot holds back.", "slot", "slots", "name", "retained_bytes", _plain),
    (
        "pgkeep_standby_lag_bytes",
        "WAL that a standby or receiver of this server lacks.",
        "application",
        "replicas",
        "application",
        "lag_bytes",
        _plain,
    ),
    (
        "pgkeep_standby_lag_seconds",
        "How long ago it got what it replayed last.",
        "application",
        "replicas",
        "application",
        "lag_seconds",
        _plain,
    ),
    ("pgkeep_slot_active", "Whether somebody reads from the slot.", "slot", "slots", "name", "active", _plain),
    (
        "pgkeep_repository_lag_seconds",
        "Age of the oldest WAL that a repository lacks.",
        "repository",
        "backup.repositories",
        "number",
        "lag_seconds",
        _plain,
    ),
    (
        "pgkeep_tls_certificate_expiry_timestamp_seconds",
        "When a certificate ends.",
        "of",
        "certificates",
        "of",
        "not_after",
        epoch_of,
    ),
)
_SESSION_STATES = ("active", "idle", "idle_in_transaction")


def exposition(status: Status) -> bytes:
    """The text that Prometheus reads, from what present() made of a snapshot."""
    import prometheus_client

    registry = prometheus_client.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(status))
    text: bytes = prometheus_client.generate_latest(registry)
    return text


class _Collector:
    def __init__(self, status: Status) -> None:
        self._status = status

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, text, labels, values in series(self._status):
            family = (CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily)(name, text, labels=labels)
            for words, value in values:
                family.add_metric(words, value)
            yield family


def series(status: Status) -> Iterator[tuple[str, str, list[str], list[tuple[list[str], float]]]]:
    """Name, help, names of the labels and (values of the labels, value) of each metric that is known."""
    for single in (*_ALWAYS, *(_SINGLE if status["live"] else ())):
        name, text, path, convert = single
        value = convert(_at(status, path) if path else status)
        if value is not None:
            yield name, text, [], [([], float(value))]
    checks = [check for check in _known(status) if status["live"] or check["id"] == "snapshot"]
    statuses = [([check["id"]], float(_STATUS[check["status"]])) for check in checks]
    if statuses:
        yield "pgkeep_check_status", "0 healthy, 1 warning, 2 critical.", ["check"], statuses
    instance = {"version": status["version"], **{key: status["instance"][key] for key in ("pg_version", "role")}}
    yield "pgkeep_info", "What runs there.", [*instance], [([str(value or "") for value in instance.values()], 1.0)]
    if status["live"]:
        yield from _listed(status)


def _listed(status: Status) -> Iterator[tuple[str, str, list[str], list[tuple[list[str], float]]]]:
    sessions = status["sessions"]
    states = [([state], float(sessions[state])) for state in _SESSION_STATES if sessions.get(state) is not None]
    if states:
        yield "pgkeep_sessions", "Sessions by what they do.", ["state"], states
    for name, text, label, path, key, field, convert in _SERIES:
        pairs = [(str(element[key]), convert(element.get(field))) for element in _at(status, path)]
        # Of standbys that call themselves alike the worst counts: Prometheus takes one value of a series.
        worst: dict[str, float] = {}
        for word, value in pairs:
            if value is not None:
                worst[word] = max(value, worst.get(word, value))
        if worst:
            yield name, text, [label], [([word], value) for word, value in worst.items()]


def _at(status: Any, path: str) -> Any:
    """a.b.c of nested objects; None where one of them is."""
    for key in path.split("."):
        status = None if status is None else status.get(key)
    return status
