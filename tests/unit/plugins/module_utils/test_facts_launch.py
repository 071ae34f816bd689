# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that only the launch gate reads: kernel, upgrades, registries, pools, dumps, Prometheus, exercises."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _exercise as exercise
from ansible_collections.pgkeep.postgres.plugins.module_utils import _facts_kernel as kernel
from ansible_collections.pgkeep.postgres.plugins.module_utils import _facts_prometheus as prometheus
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._facts_container import dumps
from ansible_collections.pgkeep.postgres.plugins.module_utils._facts_host import insecure
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import DUMPS_MOUNT, Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._pooler_facts import allowed

# Lines of apt-config dump of Debian 12 with unattended-upgrades.
APT = """APT "";
APT::Periodic "";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "%s";
Unattended-Upgrade "";
Unattended-Upgrade::Package-Blacklist "";
%sUnattended-Upgrade::Automatic-Reboot "%s";
"""
SPARED = "".join('Unattended-Upgrade::Package-Blacklist:: "%s";\n' % name for name in ("docker", "containerd"))
DECLARED = {"prometheus_url": "", "alertmanager_url": "", "selector": 'instance="app-db"', "panels": []}


def test_what_this_kernel_says() -> None:
    found = kernel.kernel(1024)
    assert found["release"] == os.uname().release
    assert found["cgroup"] in (1, 2)
    assert (found["swap_bytes"], found["overcommit"] in (0, 1, 2)) == (1024, True)
    assert kernel.open_files(os.getpid()) > 0  # type: ignore[operator]
    assert kernel.open_files("no-process") is None


@pytest.mark.parametrize(
    "words, expected",
    [
        (("1", "", "false"), {"unattended": True, "spares_engine": False, "reboots": False}),
        (("1", SPARED, "true"), {"unattended": True, "spares_engine": True, "reboots": True}),
        (("0", "", "false"), {"unattended": False, "spares_engine": False, "reboots": False}),
    ],
)
def test_what_upgrades_by_itself(words: tuple[str, str, str], expected: dict[str, bool]) -> None:
    assert kernel.apt(APT % words) == expected


def test_registries_without_tls() -> None:
    indexes = {"docker.io": {"Secure": True}, "registry.example.com": {"Secure": False}}
    found = {"InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", "10.0.0.0/8"], "IndexConfigs": indexes}
    assert insecure(found) == ["10.0.0.0/8", "registry.example.com"]
    assert insecure({}) == []


def test_the_most_that_pools_may_take() -> None:
    ini = (
        "[databases]\npostgres=host=a port=5432 pool_size=2 min_pool_size=0 max_db_connections=4\n"
        "Shop=host=a port=5432 pool_size=10 min_pool_size=2 max_db_connections=20\n"
        "*=host=a port=5432 pool_size=5 min_pool_size=2 max_db_connections=5\n[pgbouncer]\nmax_client_conn=500\n"
    )
    rules = (
        "hostssl postgres pgkeep_pooler 127.0.0.1/32 scram-sha-256\n"
        'hostssl "Shop" "a" samenet scram-sha-256\nhostssl "Shop" "b" samenet scram-sha-256\n'
        'hostssl "K & S" "c" samenet scram-sha-256\nhostssl "say ""hi""" "c" samenet scram-sha-256\n'
    )
    assert allowed(ini, rules) == {"connections": 4 + 20 + 2 * 5, "clients": 500}


def test_the_newest_dump_has_the_roles_or_not(tmp_path: Path) -> None:
    layout = Layout("app-db")
    keeper = [{"name": layout.keeper, "mounts": {DUMPS_MOUNT: str(tmp_path)}}]
    assert dumps(layout, keeper) is None
    assert dumps(layout, []) is None
    for name in ("2026-11-20_020000", "2026-11-21_020000"):
        (tmp_path / name).mkdir()
    assert dumps(layout, keeper) == {"run": "2026-11-21_020000", "globals": False}
    (tmp_path / "2026-11-21_020000/manifest.json").write_text(json.dumps({"globals": {"file": "globals.sql.gz"}}))
    assert dumps(layout, keeper) == {"run": "2026-11-21_020000", "globals": False}
    (tmp_path / "2026-11-21_020000/globals.sql.gz").write_text("")
    assert dumps(layout, keeper) == {"run": "2026-11-21_020000", "globals": True}


# As Alertmanager 0.25 lays out what it read from a file that roles/postgres_monitoring wrote.
ALERTMANAGER = """global:
  resolve_timeout: 5m
route:
  receiver: people
  routes:
  - receiver: deadman
    matchers:
    - alertname="Watchdog"
receivers:
- name: nobody
- name: people
%s- name: test
  webhook_configs:
  - send_resolved: false
    http_config:
      follow_redirects: true
    url: <secret>
- name: deadman
  webhook_configs:
  - send_resolved: false
    url: <secret>
templates:
- /etc/stack/current/pgkeep.tmpl
"""
PEOPLE = """  webhook_configs:
  - send_resolved: true
    url: <secret>
  email_configs:
  - to: ops@example.com
"""


@pytest.mark.parametrize("people, told", [(PEOPLE, ["people"]), ("", [])])
def test_a_receiver_without_anybody_behind_it_is_none(people: str, told: list[str]) -> None:
    answer = {"versionInfo": {"version": "0.25.0"}, "config": {"original": ALERTMANAGER % people}}
    found = prometheus.look({**DECLARED, "alertmanager_url": "http://am"}, lambda url: answer)
    assert found == {"prometheus": None, "alertmanager": {"version": "0.25.0", "receivers": told}}


@pytest.fixture
def server() -> Iterator[str]:
    """A Prometheus and an Alertmanager in one: answers in the shapes of their documentation, by path."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _mark, query = self.path.partition("?")
            asked.append(query)
            series = [{"metric": {"__name__": "pgkeep_up"}, "value": [1795514403.2, "1"]}]
            answers: dict[str, Any] = {
                "/api/v1/query": {"data": {"result": [] if "absent" in query else series}},
                "/api/v1/rules": {"data": {"groups": [{"rules": [{"name": "Down", "health": "ok"}]}]}},
                "/api/v1/alertmanagers": {"data": {"activeAlertmanagers": [{"url": "http://am/api/v2/alerts"}]}},
                "/api/v2/status": {"versionInfo": {"version": "0.28.1"}, "config": {"original": ALERTMANAGER % PEOPLE}},
            }
            bad = path not in answers or "rate" in query
            body = json.dumps(answers.get(path)).encode()
            self.send_response(400 if bad else 200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            assert format

    with HTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield "http://127.0.0.1:%d" % listening.server_port
        listening.shutdown()
        thread.join()


def test_prometheus_is_asked(server: str) -> None:
    panels = ["pgkeep_sessions", "absent(x)", "rate("]
    found = prometheus.look({**DECLARED, "prometheus_url": server + "/", "alertmanager_url": server, "panels": panels})
    assert found == {
        "prometheus": {
            "up": 1.0,
            "series": {"pgkeep_up": 1},
            "rules": [{"name": "Down", "health": "ok", "error": ""}],
            "alertmanagers": ["http://am/api/v2/alerts"],
            "panels": {"pgkeep_sessions": 1, "absent(x)": 0, "rate(": "HTTP Error 400: Bad Request"},
        },
        "alertmanager": {"version": "0.28.1", "receivers": ["people"]},
    }


def test_without_an_address_nobody_is_asked_and_without_an_answer_it_is_said(server: str) -> None:
    assert prometheus.look(DECLARED) is None
    found = prometheus.look(
        {**DECLARED, "prometheus_url": server + "/nothing", "alertmanager_url": "file:///etc/passwd"}
    )
    assert found["prometheus"] == {"error": server + "/nothing: HTTP Error 400: Bad Request"}  # type: ignore[index]
    assert "neither http:// nor https://" in found["alertmanager"]["error"]  # type: ignore[index]
    strange = prometheus.look({**DECLARED, "prometheus_url": "http://x"}, lambda url: {"data": {}})
    assert strange == {"prometheus": {"error": "http://x: KeyError('result')"}, "alertmanager": None}


def test_writes_to_a_disk_leave_nothing(tmp_path: Path) -> None:
    found = exercise.disk(str(tmp_path), seconds=0.01)
    assert found["writes"] >= 1
    assert found["sync_ms"] > 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PgkeepError, match="The disk cannot be tried.*No such file"):
        exercise.disk(str(tmp_path / "gone"), seconds=0.01)


# Recorded from pgbench of PostgreSQL 17.
PGBENCH = """number of transactions actually processed: 2430
number of failed transactions: 0 (0.000%)
number of transactions above the 100.0 ms latency limit: 24/2430 (0.988%)
latency average = 3.294 ms
tps = 1208.723521 (without initial connection time)
"""


def test_what_pgbench_says() -> None:
    assert exercise.measured(PGBENCH) == {"tps": 1208.723521, "slow_percent": 0.988}
    with pytest.raises(PgkeepError, match="The load cannot be judged"):
        exercise.measured("pgbench: error: connection failed")
