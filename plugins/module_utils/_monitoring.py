# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched, and the files of Prometheus and of its exporter. Pure. Private to the collection.

Files are JSON, which is YAML, too. Secrets are files of their own that the others name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Collection, Iterable, Mapping, Sequence

from ._errors import PgkeepError
from ._layout import PORT, Layout

# Where every container of the stack finds the files that are in force.
CONFIG_MOUNT = "/etc/pgkeep-monitoring/current"
KEEPER_PORT = 8432
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")


@dataclass(frozen=True)
class Watched:
    """An instance as the monitoring machine reaches it; keeper and server are host:port."""

    name: str
    cluster: str
    local: bool
    network: str
    keeper: str
    server: str


def watch(name: str, variables: Mapping[str, Any], local: bool, watcher: str) -> Watched:
    """variables are those of the inventory host; local: watcher is the same machine. Raises PgkeepError."""
    layout = Layout(name)
    if str(variables.get("postgres_server_keeper_http", True)).lower() in ("false", "no", "off", "0"):
        raise _unreachable(
            name, watcher, "its keeper answers nobody", "remove postgres_server_keeper_http from its inventory"
        )
    cluster = str(variables.get("postgres_monitoring_cluster", name))
    if local:
        network = str(variables.get("postgres_server_network", "pgkeep"))
        return Watched(
            name, cluster, True, network, "%s:%d" % (layout.keeper, KEEPER_PORT), "%s:%d" % (layout.server, PORT)
        )
    port = int(variables.get("postgres_server_port", PORT))
    address = str(variables.get("ansible_host", name))
    wanted = (
        ("keeper", "postgres_server_keeper_bind_address", variables.get("postgres_server_keeper_port", port + 4000)),
        ("server", "postgres_server_bind_address", port),
    )
    found = []
    for what, variable, its_port in wanted:
        bound = str(variables.get(variable, _LOOPBACK[0]))
        if bound in _LOOPBACK:
            raise _unreachable(
                name,
                watcher,
                "it is another machine and the %s is bound to %s" % (what, bound),
                "set %s to an address of %s in a private network and deploy it" % (variable, name),
            )
        host = address if bound in _EVERYWHERE else bound
        found.append("%s:%d" % ("[%s]" % host if ":" in host else host, int(its_port)))
    return Watched(name, cluster, False, "", found[0], found[1])


def _unreachable(name: str, watcher: str, why: str, following: str) -> PgkeepError:
    return PgkeepError("%s cannot be watched from %s" % (name, watcher), why, following)


def prometheus(
    instances: Sequence[Watched],
    stack: str,
    machine: str,
    scrape_seconds: int,
    rules: Mapping[str, Any],
    disabled: Collection[str],
    own_rules: Mapping[str, str],
    tokens: Mapping[str, str],
    slow_seconds: int = 60,
) -> dict[str, str]:
    """File name -> content. stack is the prefix of containers, machine the one they run on, own_rules file -> text."""
    files = {"%s.token" % each.name: tokens[each.name] + "\n" for each in instances}
    judged = {"rules-own-%s" % name: content for name, content in own_rules.items()}
    judged["rules-pgkeep.yml"] = text(without(rules, disabled))
    files.update(judged)

    def job(name: str, targets: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {"job_name": name, "static_configs": targets, **more}

    def at(target: str, instance: str, **labels: str) -> dict[str, Any]:
        return {"targets": [target], "labels": {"instance": instance, **labels}}

    local = [each for each in instances if each.local]
    jobs = [
        job(
            "keeper-%s" % each.name,
            [at(each.keeper, each.name, cluster=each.cluster, job="keeper")],
            authorization={"credentials_file": "%s/%s.token" % (CONFIG_MOUNT, each.name)},
        )
        for each in instances
    ]
    exporter = "%s-postgres-exporter:9187" % stack
    jobs.append(
        job(
            "postgres",
            [
                at(
                    exporter,
                    each.name,
                    cluster=each.cluster,
                    __param_target="postgresql://%s/postgres" % each.server,
                    __param_auth_module=each.name,
                )
                for each in instances
            ],
            metrics_path="/probe",
        )
    )
    if local:
        jobs.append(
            job(
                "pgbackrest",
                [at("%s-pgbackrest-%s:9854" % (stack, each.name), each.name, cluster=each.cluster) for each in local],
                scrape_interval="%ds" % max(scrape_seconds, slow_seconds),
            )
        )
    jobs += [
        job("node", [at("%s-node-exporter:9100" % stack, machine)]),
        job("alertmanager", [at("%s-alertmanager:9093" % stack, machine)]),
        job("prometheus", [at("127.0.0.1:9090", machine)]),
    ]
    files["prometheus.yml"] = text(
        {
            "global": {
                "scrape_interval": "%ds" % scrape_seconds,
                # A server that hangs is found by its keeper; nobody waits longer for the exporter.
                "scrape_timeout": "%ds" % min(scrape_seconds, 10),
                "evaluation_interval": "%ds" % scrape_seconds,
                "external_labels": {"monitor": machine},
            },
            # An instance may be called as these files are, and its token is none of promtool's business.
            "rule_files": ["%s/%s" % (CONFIG_MOUNT, name) for name in sorted(judged)],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": ["%s-alertmanager:9093" % stack]}]}],
            },
            "scrape_configs": jobs,
        }
    )
    return files


def without(rules: Mapping[str, Any], disabled: Collection[str]) -> dict[str, Any]:
    """The rules but for the alerts that nobody wants. Raises PgkeepError for a name that none has."""
    names = {rule.get("alert") for group in rules["groups"] for rule in group["rules"]}
    unknown = sorted(set(disabled) - names)
    if unknown:
        raise PgkeepError(
            "The rules cannot be written",
            "there is no alert %s that could be disabled" % ", ".join(unknown),
            "correct postgres_monitoring_disabled_alerts; docs/alerts.md lists all of them",
        )
    return {
        "groups": [
            {**group, "rules": [rule for rule in group["rules"] if rule.get("alert") not in disabled]}
            for group in rules["groups"]
        ]
    }


def postgres_exporter(
    instances: Iterable[Watched], passwords: Mapping[str, str], authorities: Mapping[str, str]
) -> dict[str, str]:
    """How the exporter logs in to each instance: with TLS, the certificate verified, and never for long."""
    files, modules = {}, {}
    for each in instances:
        files["%s.ca.crt" % each.name] = authorities[each.name]
        modules[each.name] = {
            "type": "userpass",
            "userpass": {"username": "pgkeep_monitor", "password": passwords[each.name]},
            "options": {
                "sslmode": "verify-full",
                "sslrootcert": "%s/%s.ca.crt" % (CONFIG_MOUNT, each.name),
                "connect_timeout": "5",
                "statement_timeout": "5000",
                "application_name": "pgkeep-monitoring",
            },
        }
    files["postgres_exporter.yml"] = text({"auth_modules": modules})
    return files


def text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
