# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance of its own with the whole monitoring beside it, for the measurements that break things."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..integration.alert_receivers import TOKEN, Authority, Web
from ..watch import Prometheus, snapshot, until
from .tools import ROOT, VOLUMES, drop, play, sh

NAME = "pgkeep-bench-faults"
KEEPER = NAME + "-keeper"
STACK = "pgkeep-bench-watch"
PORT, KEEPER_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT = range(16190, 16194)
CONFIG = Path("/etc/pgkeep", NAME)
REPOSITORY_MB = 320
RULES = ROOT / "roles/postgres_monitoring/files/pgkeep.rules.yml"

# Time cannot be made to pass: this takes the place of the 26 hours in the rule.
TOO_OLD = "BackupTooOld"
TOO_OLD_SECONDS = 300
_TOO_OLD_HOURS = "26 * 3600"

# The machine of a measurement carries other instances, too.
_HERE = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    "postgres_preflight_cpu_overcommit": 100,
}


@dataclass
class Lab:
    """folder holds the inventory and the secrets; ended is set when nobody needs an answer any more."""

    folder: Path
    web: Web
    prometheus: Prometheus
    ended: threading.Event = field(default_factory=threading.Event)

    def snapshot(self) -> Any:
        """None where the keeper does not answer."""
        with contextlib.suppress(OSError):
            return snapshot(NAME, KEEPER_PORT)
        return None

    def password(self, user: str) -> str:
        return (self.folder / ".secrets" / NAME / (user + ".password")).read_text().strip()


def rules(text: str) -> dict[str, dict[str, Any]]:
    """Name of an alert -> its rule, from the text of the file of rules."""
    groups = yaml.safe_load(text)["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def shortened(text: str) -> str:
    """A file of rules with TOO_OLD alone, which looks for a backup of seconds instead of hours."""
    rule = dict(rules(text)[TOO_OLD])
    expression = rule["expr"].replace(_TOO_OLD_HOURS, str(TOO_OLD_SECONDS))
    assert expression != rule["expr"], "%s does not look for %s seconds" % (TOO_OLD, _TOO_OLD_HOURS)
    return yaml.safe_dump({"groups": [{"name": "bench", "rules": [{**rule, "expr": expression}]}]})


def _inventory(lab: Lab, ca: str) -> dict[str, Any]:
    """Nothing differs from what a user gets but what is measured at all: where it is told, and the rule above."""
    instance = {
        **_HERE,
        "postgres_server_port": PORT,
        "postgres_server_keeper_port": KEEPER_PORT,
        "postgres_server_memory": "512MB",
        "postgres_server_databases": [{"name": "app", "owner": "app"}],
        "postgres_server_users": [{"name": "app"}],
        "postgres_backup_drill": False,
        # Far from now, so that no job disturbs.
        "postgres_backup_schedule": {"full": "0 %d * * *" % ((time.gmtime().tm_hour + 12) % 24)},
    }
    watcher = {
        **_HERE,
        "postgres_monitoring_name": STACK,
        "postgres_monitoring_grafana": "no",
        "postgres_monitoring_prometheus_port": PROMETHEUS_PORT,
        "postgres_monitoring_alertmanager_port": ALERTMANAGER_PORT,
        "postgres_monitoring_disabled_alerts": [TOO_OLD],
        "postgres_monitoring_rules": [str(lab.folder / "short.yml")],
        "postgres_monitoring_receivers": {"webhooks": [{"url": lab.web.url("/hook"), "token": TOKEN, "ca": ca}]},
    }
    return {"postgres": {"hosts": {NAME: instance}}, "monitoring": {"hosts": {STACK: watcher}}}


def _deploy(lab: Lab, ca: str) -> None:
    (lab.folder / "short.yml").write_text(shortened(RULES.read_text()))
    inventory = lab.folder / "hosts.yml"
    inventory.write_text(json.dumps(_inventory(lab, ca)))
    # Bounded and in memory, so that it can be filled without harm to the machine.
    size = f"o=size={REPOSITORY_MB}m,uid=999,gid=999,mode=0750"
    options = [word for option in ("type=tmpfs", "device=tmpfs", size) for word in ("--opt", option)]
    sh("docker", "volume", "create", "--label", f"pgkeep.instance={NAME}", *options, f"{NAME}-repo")
    play(inventory, "deploy.yml")
    # The age of this one is a fault later.
    keeper("backup", "--type", "full")
    play(inventory, "monitoring.yml")
    known = ("pgkeep_up == 1", "pg_up == 1", "pgkeep:connections:ratio", "pgkeep_server_oom_kills_total")
    until("Prometheus knows the instance", lambda: all(lab.prometheus.query(each) for each in known), 120)


def keeper(*words: str, check: bool = True) -> str:
    return sh("docker", "exec", "--user", "999:999", KEEPER, "pgkeep", *words, check=check)


def _remove() -> None:
    containers: list[str] = []
    for label in (f"pgkeep.monitoring={STACK}", f"pgkeep.instance={NAME}"):
        containers += sh("docker", "ps", "--all", "--quiet", "--filter", f"label={label}").split()
    volumes = [*(f"{NAME}-{volume}" for volume in VOLUMES), f"{STACK}-prometheus", f"{STACK}-alertmanager"]
    drop(containers, volumes)
    sh("docker", "network", "rm", STACK, check=False)
    sh("rm", "-rf", str(CONFIG), f"/var/lib/pgkeep/{NAME}", f"/etc/{STACK}")


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """The instance, who watches it and whom they tell; before and after the block nothing of it is there."""
    _remove()
    address = sh("docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge").strip()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder), "Authority")
        web = Web(address, authority.context(address), TOKEN)
        made = Lab(Path(folder), web, Prometheus(f"http://127.0.0.1:{PROMETHEUS_PORT}"))
        web.start()
        try:
            _deploy(made, authority.pem)
            yield made
        finally:
            made.ended.set()
            web.stop()
            _remove()
