# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitoring of the instance in argv: deployed, asked, broken, and heard of by real receivers.

Prints what it measured as JSON. argv: name of the instance, inventory, image.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.integration.alert_receivers import PASSWORD, TOKEN, USER, Authority, Mail, Web
from tests.watch import Prometheus, get, told, until

STACK, PROMETHEUS, ALERTMANAGER = "observe-stack", Prometheus("http://127.0.0.1:15585"), "http://127.0.0.1:15586"
FILES = ROOT / "roles/postgres_monitoring/files"
# Whatever else is wrong on a machine of tests is not what is looked for.
NEEDED = [
    "up",
    "pgkeep_up",
    "pgkeep_ready",
    "pgkeep_check_status",
    "pgkeep_backup_last_success_timestamp_seconds",
    "pgkeep_disk_used_ratio",
    "pgkeep_server_memory_working_set_bytes",
    "pgkeep_tls_certificate_expiry_timestamp_seconds",
    "pgkeep_archiver_failing",
    "pg_up",
    "pg_stat_database_numbackends",
    "pg_settings_max_connections",
    "pg_stat_activity_count",
    "pg_locks_count",
    "pg_stat_statements_seconds_total",
    "pg_postmaster_start_time_seconds",
    "pg_stat_checkpointer_num_timed_total",
    "pg_database_wraparound_age_datfrozenxid_seconds",
    "pg_replication_is_replica",
    "pg_stat_archiver_failed_count",
    "pgbackrest_stanza_status",
    "pgbackrest_backup_since_last_completion_seconds",
    "node_filesystem_avail_bytes",
    "node_memory_MemAvailable_bytes",
    "node_timex_sync_status",
    "pgkeep:connections:ratio",
    "pgkeep:filesystem_used:ratio",
]
# What one server without replicas, pooler and drills cannot have.
WITHOUT = re.compile("pg_replication_lag|pg_stat_replication|pgkeep_pool|pgkeep_drill")


def play(inventory: str, playbook: str, folder: Path, **variables: Any) -> str:
    (folder / "wanted.json").write_text(json.dumps(variables))
    argv = ["ansible-playbook", "-i", inventory, "-i", str(folder / "receivers.yml")]
    argv += [str(ROOT / "playbooks" / playbook), "--diff"]
    argv += ["-e", "@%s" % (folder / "wanted.json")]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    for secret in (TOKEN, PASSWORD, "url-key"):
        assert secret not in done.stdout
    return done.stdout


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def answered(instance: str) -> None:
    """Every target, rule, metric that alerts need, and panel."""

    def healthy() -> bool:
        targets = get(PROMETHEUS.url + "/api/v1/targets")["data"]["activeTargets"]
        return len(targets) == 6 and all(each["health"] == "up" for each in targets)

    until("all targets are up", healthy)
    until("all rules are computed", lambda: all(rule["health"] == "ok" for rule in PROMETHEUS.rules()))
    until("needed metrics", lambda: not [name for name in NEEDED if not PROMETHEUS.query(name)])
    mute = []
    for file in sorted((FILES / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            expressions = [target["expr"].replace("$instance", instance) for target in panel["targets"]]
            mute += [each for each in expressions if not PROMETHEUS.query(each) and not WITHOUT.search(each)]
    assert not mute, "panels without data: %s" % mute


def refused(inventory: str, wanted: dict[str, Any], folder: Path) -> None:
    before = sorted(rule["name"] for rule in PROMETHEUS.rules())
    broken = folder / "broken.yml"
    broken.write_text("groups: [{name: own, rules: [{alert: Broken, expr: 'sum by ('}]}]\n")
    said = play(inventory, "monitoring.yml", folder, **wanted, postgres_monitoring_rules=[str(broken)])
    assert "The files of prometheus are refused" in said, said
    assert "parse error" in said, said
    assert sorted(rule["name"] for rule in PROMETHEUS.rules()) == before


def recovered(inventory: str, wanted: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A run that ends between Prometheus and Alertmanager, and one that makes up for it; returns what that wanted."""
    rule = folder / "own.yml"
    rule.write_text("groups: [{name: own, rules: [{alert: Own, expr: 'vector(0) > 1'}]}]\n")
    wanted = {**wanted, "postgres_monitoring_rules": [str(rule)]}
    broken = {**wanted, "postgres_monitoring_group_interval_seconds": 0}
    said = play(inventory, "monitoring.yml", folder, **broken)
    assert "The files of alertmanager are refused" in said, said
    assert "group_interval cannot be zero" in said, said
    assert "Own" not in [rule["name"] for rule in PROMETHEUS.rules()]
    said = play(inventory, "monitoring.yml", folder, **wanted)
    assert "failed=0" in said, said
    assert "Own" in [rule["name"] for rule in PROMETHEUS.rules()]
    # Former files hold the same tokens and passwords.
    left = sorted(each.parent.name for each in Path("/etc", STACK).glob("*/*") if re.search("[0-9a-f]{16}$", each.name))
    assert left == ["alertmanager", "postgres_exporter", "prometheus"], left
    return wanted


def main() -> None:
    instance, inventory, image = sys.argv[1:]
    measured: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge").strip()
        authority = Authority(folder, "Authority")
        ops, deadman = Web(address, authority.context(address), TOKEN), Web(address)
        mail = Mail(address, authority.context(address))
        receivers = (ops, deadman, mail)
        for each in receivers:
            each.start()
        try:
            wanted = {
                "postgres_monitoring_name": STACK,
                "postgres_monitoring_image": image,
                "postgres_monitoring_grafana": "no",
                # That of another checkout on this machine is none of its business.
                "docker_host_command": False,
                "postgres_monitoring_prometheus_port": 15585,
                "postgres_monitoring_alertmanager_port": 15586,
                "postgres_monitoring_scrape_seconds": 2,
                "postgres_monitoring_group_wait_seconds": 1,
                "postgres_monitoring_group_interval_seconds": 2,
                "postgres_monitoring_deadman_url": deadman.url("/ping/url-key"),
            }
            # Those of the instance are told, as nothing else is said.
            told = {
                "webhooks": [{"url": ops.url("/hook/url-key"), "token": TOKEN, "ca": authority.pem}],
                "email": {
                    "host": address,
                    "port": mail.port,
                    "username": USER,
                    "password": PASSWORD,
                    "from": "pgkeep@example.org",
                    "to": ["oncall@example.org"],
                    "ca": authority.pem,
                },
            }
            hosts = {"postgres": {"hosts": {instance: {"postgres_backup_alerts": told}}}}
            (folder / "receivers.yml").write_text(json.dumps(hosts))
            story(instance, inventory, wanted, folder, measured, ops, deadman, mail)
        finally:
            for each in receivers:
                each.stop()
    print(json.dumps(measured))


def story(
    instance: str,
    inventory: str,
    wanted: dict[str, Any],
    folder: Path,
    measured: dict[str, float],
    ops: Web,
    deadman: Web,
    mail: Mail,
) -> None:
    began = time.monotonic()
    said = play(inventory, "monitoring.yml", folder, **wanted)
    assert "failed=0" in said, said
    measured["deploy_seconds"] = round(time.monotonic() - began, 1)
    answered(instance)

    # Killed, and it stays down.
    docker("kill", instance)
    killed = time.monotonic()
    said = play(inventory, "test_alerts_monitoring.yml", folder, **wanted)
    assert "failed=0" in said, said
    assert told(ops.received, "PgkeepTestAlert")
    until("PostgresDown at the webhook", lambda: told(ops.received, "PostgresDown"), 90)
    measured["alert_seconds"] = round(time.monotonic() - killed, 1)
    summary = told(ops.received, "PostgresDown")[0]["annotations"]["summary"]
    assert summary == instance + " lets nobody in", summary
    until(
        "PostgresDown by mail",
        lambda: [each for each in mail.received if each["Subject"] == "[FIRING:1] PostgresDown " + instance],
        20,
    )
    docker("start", instance)
    refused(inventory, wanted, folder)
    wanted = recovered(inventory, wanted, folder)
    until("that it is over", lambda: told(ops.received, "PostgresDown", "resolved"), 60)
    assert deadman.received, "the dead man's switch heard nothing"

    # Announced work keeps back what concerns the instance, and nothing else.
    now = datetime.now(timezone.utc)
    announced = {"reason": "deploy", "since": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    announced["until"] = (now + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    Path("/var/lib/pgkeep", instance, "state/maintenance.json").write_text(json.dumps(announced))

    def active(alert: str) -> list[dict[str, Any]]:
        return [each for each in get(ALERTMANAGER + "/api/v2/alerts") if each["labels"]["alertname"] == alert]

    until("PgkeepMaintenance", lambda: active("PgkeepMaintenance"))
    labels = {"severity": "critical", "instance": instance, "cluster": instance}
    alerts = [
        {"labels": {"alertname": "Concerns", **labels}},
        {"labels": {"alertname": "Others", "severity": "critical"}},
        # What is critical keeps back the warning of the same volume.
        *(
            {"labels": {"alertname": alert, "severity": severity, "instance": "elsewhere", "volume": volume}}
            for alert, severity, volume in (
                ("VolumeSpaceCritical", "critical", "repository"),
                ("VolumeSpaceWarning", "warning", "repository"),
                ("VolumeSpaceWarning", "warning", "data"),
            )
        ),
    ]
    request = urllib.request.Request(
        ALERTMANAGER + "/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).close()
    until("an alert that does not concern it", lambda: told(ops.received, "Others"), 20)
    assert active("Concerns")[0]["status"]["state"] == "suppressed"
    assert not told(ops.received, "Concerns")
    warnings = [each for each in active("VolumeSpaceWarning") if each["labels"]["instance"] == "elsewhere"]
    states = {each["labels"]["volume"]: each["status"]["state"] for each in warnings}
    assert states == {"repository": "suppressed", "data": "active"}, states
    again = play(inventory, "monitoring.yml", folder, **wanted)
    assert re.search(r"changed=0 .*failed=0", again), again


if __name__ == "__main__":
    main()
