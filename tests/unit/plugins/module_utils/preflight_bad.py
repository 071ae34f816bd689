# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is bad about an instance, one fact at a time: id, path of the fact, its value, words of the evidence."""

from __future__ import annotations

from typing import Any

from .recorded import load

GOOD = load("preflight/after.json")
HOST_CONFIG = "container.inspect.HostConfig."
KEEPER = next(n for n, each in enumerate(GOOD["engine"]["containers"]) if each["name"] == "app-db-keeper")
MONITOR = next(n for n, each in enumerate(GOOD["sql"]["rights"]) if each["name"] == "pgkeep_monitor")
APP = next(n for n, each in enumerate(GOOD["sql"]["databases"]) if each["name"] == "app")


def lint(count: int, *names: str) -> dict[str, Any]:
    return {"count": count, "names": list(names)}


def setting(value: str, unit: Any = None) -> dict[str, Any]:
    return {"setting": value, "unit": unit, "boot": value}


REPLICATING = {"name": "copy", "createdb": True, "replication": True, "limit": -1, "settings": [], "groups": []}
OPEN_KEEPER = GOOD["engine"]["containers"][KEEPER] | {"published": [9432], "published_on": ["0.0.0.0"]}
TOKEN = {"/etc/pgkeep/app-db/client/keeper.token": 0o400}
POOLS = {"connections": 31, "clients": 500, "open_files": 1048576}
SYNC = {"sync_ms": 7.5, "writes": 120}
LOADED = {"clients": 4, "tps": 900.0, "wanted_tps": 50.0, "slow_percent": 0.1, "limit_ms": 100.0}
RESTART = {"stop_seconds": 1.0, "exit_code": 0, "start_seconds": 0.7, "recovery": False, "same_data": True,
           "interruption_ms": 1800, "reconnected": True}  # fmt: skip

BAD: list[tuple[str, str, Any, str]] = [
    ("H03", "host.kernel.release", "4.19.0-27-amd64", "Linux 4.19.0-27-amd64, cgroup v2"),
    ("H03", "host.kernel.cgroup", 1, "cgroup v1"),
    ("H07", "host.kernel", GOOD["host"]["kernel"] | {"swap_bytes": 2**31, "swappiness": 60}, "2 GB of swap, vm.swap"),
    ("H08", HOST_CONFIG + "Memory", 0, "vm.overcommit_memory is 0, the server's limit none"),
    ("H09", "host.kernel.huge_pages", "always", "transparent huge pages: always"),
    ("H11", "host.updates.reboots", True, "reboots by itself"),
    ("H11", "host.updates.reboot_required", True, "a reboot is due"),
    ("H11", "engine.live_restore", False, "unattended upgrades restart Docker"),
    ("H12", "host.engine_open_files", 1024, "the engine may open 1024 files"),
    ("D03", "engine.live_restore", False, "live-restore is off"),
    ("D06", "engine.insecure_registries", ["10.0.0.0/8"], "trusted without TLS: 10.0.0.0/8"),
    ("D10", "engine.security", ["seccomp"], "the engine confines by seccomp"),
    ("D10", "engine.security", ["apparmor"], "the engine confines by apparmor"),
    ("C06", HOST_CONFIG + "PidsLimit", 70, "limit 70, needed 76"),
    ("C06", HOST_CONFIG + "PidsLimit", None, "limit none"),
    ("C07", "container.open_files", 1024, "the server may open 1024 files"),
    ("C10", HOST_CONFIG + "NetworkMode", "default", "network default"),
    ("P03", "catalogs.app.tables_without_autovacuum", lint(1, "public.log"), "tables without autovacuum (public.log)"),
    ("P08", "sql.timeouts.idle_in_transaction_session_timeout", "0", "idle_in_transaction_session_timeout=0"),
    ("P08", "sql.timeouts.statement_timeout", "0ms", "nothing ends a statement of app"),
    ("P09", "pools", POOLS, "the pools may take 31 connections, of 35 without 5 reserved"),
    ("P10", "sql.settings.superuser_reserved_connections", setting("2"), "superuser_reserved_connections=2"),
    ("P10", "sql.settings.reserved_connections", setting("0"), "reserved_connections=0"),
    ("P11", "sql.settings.random_page_cost", setting("4"), "random_page_cost=4 on ssd"),
    ("P11", "declared.disk", "hdd", "random_page_cost=1.1 on hdd"),
    ("P11", "sql.settings.effective_cache_size", setting("16384", "8kB"), "effective_cache_size 128 MB, shared_b"),
    ("P12", "sql.settings.log_checkpoints", setting("off"), "log_checkpoints is off"),
    ("P12", "sql.settings.log_min_duration_statement", setting("-1"), "log_min_duration_statement is off"),
    ("P12", "sql.settings.log_line_prefix", setting("%m [%p] "), "log_line_prefix '%m [%p] ' has no user; "),
    ("P13", "sql.settings.shared_preload_libraries", setting("auto_explain"), "shared_preload_libraries=auto_explain"),
    ("P13", "sql.settings.track_io_timing", setting("off"), "track_io_timing=off"),
    ("P14", "sql.settings.TimeZone", setting("Europe/Berlin"), "TimeZone is Europe/Berlin and not UTC"),
    ("P14", "sql.databases.%d.encoding" % APP, "SQL_ASCII", "app has the encoding SQL_ASCII"),
    ("P15", "catalogs.app.extensions", {"pg_trgm": "1.3"}, "pg_trgm of app is 1.3, the image has 1.6"),
    ("P15", "catalogs.app.extensions", {"postgis": "3.4"}, "postgis of app is not in the image"),
    ("P15", "catalogs.app.extensions", {"pg_cron": "1.6"}, "pg_cron of app is not in shared_preload_libraries"),
    ("S06", "sql.databases.%d.connect" % APP, True, "everybody may connect to app"),
    ("S06", "catalogs.app.open_schemas", lint(1, "public"), "app: 1 schemas in which everybody may create (public)"),
    ("S10", "sql.rights.%d.limit" % MONITOR, -1, "pgkeep_monitor has no connection limit"),
    ("S10", "sql.rights.%d.groups" % MONITOR, ["pg_monitor", "pg_read_all_data"], "it is for: pg_read_all_data"),
    ("S10", "sql.rights", [*GOOD["sql"]["rights"], REPLICATING], "copy replicates and may do more: createdb"),
    ("S11", "catalogs.app.functions_without_search_path", lint(7, "a.f", "a.g"), "(a.f, a.g and 5 more)"),
    ("S11", "catalogs.app.policies_out_of_force", lint(1, "a.t (mine)"), "1 policies on tables without row security"),
    ("S14", "declared.settings", {"log_connections": True}, "log_connections is off"),
    ("S14", "declared.settings", {"pgaudit.log": "ddl"}, "pgaudit is not loaded"),
    ("B09", "dumps.globals", False, "20261121T220000Z has no roles"),
    ("B10", "declared.goals.rpo_seconds", None, "nobody wrote down"),
    ("B10", "drill.last_rto_seconds", 601, "RTO 601 s of 600 s"),
    ("B10", "drill.last_rpo_seconds", None, "RPO unknown of 60 s"),
    ("M01", "monitoring.prometheus.up", None, "Prometheus has no pgkeep_up of this instance"),
    ("M01", "monitoring.prometheus.up", 0.0, "pgkeep_up is 0"),
    ("M01", "monitoring.prometheus", {"error": "http://10.0.0.9:9090: timed out"}, "http://10.0.0.9:9090: timed out"),
    ("M02", "monitoring.prometheus.rules", [], "Prometheus has no rule"),
    ("M02", "monitoring.prometheus.rules", [{"name": "Down", "health": "err", "error": "bad"}], "Down is err bad"),
    ("M03", "monitoring.prometheus.alertmanagers", [], "to nobody; Alertmanager 0.28.1 tells ops"),
    ("M03", "monitoring.alertmanager", {"error": "http://10.0.0.9:9093: refused"}, "http://10.0.0.9:9093: refused"),
    ("M06", "monitoring.prometheus.series", {"pgkeep_up": 1}, "missing: pgkeep_ready"),
    ("M07", "monitoring.prometheus.panels", {"pgkeep_pool_up": 0, "rate(": "HTTP Error 400"}, "pgkeep_pool_up: no"),
    ("M08", "engine.containers.%d.log" % KEEPER, {"type": "json-file", "max_size": None}, "db-keeper grows without"),
    ("M08", "sql.settings.log_min_messages", setting("panic"), "errors are not logged"),
    ("K02", "exercises", {"disk": SYNC}, "a write of 8 kB is on the disk after 7.50 ms (median of 120)"),
    ("K02", "exercises", {"disk": SYNC | {"sync_ms": 0.004}}, "does it lie about its cache?"),
    ("K02", "exercises", {"disk": {"error": "The disk cannot be tried"}}, "The disk cannot be tried"),
    ("K03", "exercises", {"load": LOADED | {"tps": 49.0}}, "4 clients made 49 transactions a second (wanted 50)"),
    ("K03", "exercises", {"load": LOADED | {"slow_percent": 5.1}}, "5.1 % of them slower than 100 ms"),
    ("K03", "exercises", {"load": {"error": "The load test failed"}}, "The load test failed"),
    ("K04", "pools", POOLS | {"open_files": 512}, "31 connections need 581 open files, 512 are allowed"),
    ("K06", "catalogs.app.tables_without_primary_key", lint(1, "public.log"), "app: 1 tables without a primary key"),
    ("K06", "catalogs.app", {"error": "too many connections"}, "app cannot be asked: too many connections"),
    ("K06", "sql.databases.%d.xid_age" % APP, 2**30, "app has used 50 % of its transaction numbers"),
]  # fmt: skip

# The same, found only after somebody asked for a restart.
BAD_RESTART: list[tuple[str, dict[str, Any], str]] = [
    ("K05", {"reconnected": False}, "was not served after the restart"),
    ("K05", {"interruption_ms": 600001}, "served after 600.0 s"),
]
# id, path and value of what also passes.
GOOD_TOO: list[tuple[str, str, Any]] = [
    ("H07", "host.kernel", GOOD["host"]["kernel"] | {"swap_bytes": 2**31, "swappiness": 10}),
    ("H08", "host.kernel.overcommit", 2),
    ("H09", "host.kernel.huge_pages", None),
    ("H11", "host.updates.unattended", False),
    ("H12", "host.engine_open_files", 2**63),
    ("D10", "engine.security", ["seccomp", "selinux"]),
    ("P09", "pools", POOLS | {"connections": 30}),
    ("B09", "dumps", None),
    ("K02", "exercises", {"disk": SYNC | {"sync_ms": 0.9}}),
    ("K03", "exercises", {"load": LOADED}),
    ("K04", "pools", POOLS),
    ("K06", "sql.databases.%d.xid_age" % APP, 2**30 - 1),
]  # fmt: skip
SKIPPED: list[tuple[str, str, Any, str]] = [
    ("H11", "host.updates", None, "no apt"),
    ("H12", "host.engine_open_files", None, "cannot be seen"),
    ("C07", "container.open_files", None, "cannot be seen"),
    ("D03", "engine.swarm", True, "a swarm"),
    ("K04", "pools", POOLS | {"open_files": None}, "cannot be seen"),
    ("M01", "monitoring", None, "no Prometheus is declared: set postgres_preflight_prometheus_url"),
    ("M02", "monitoring.prometheus", {"error": "timed out"}, "Prometheus does not answer, see M01"),
    ("M03", "monitoring.prometheus", {"error": "timed out"}, "Prometheus does not answer, see M01"),
    ("M06", "monitoring.prometheus", {"error": "timed out"}, "Prometheus does not answer, see M01"),
    ("M03", "monitoring.alertmanager", None, "no Alertmanager is declared"),
    ("M07", "monitoring.prometheus.panels", {}, "no panel is named"),
    ("K05", "restart_test", RESTART | {"reconnected": None}, "publishes no port"),
]
