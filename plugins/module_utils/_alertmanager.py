# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of Alertmanager, from the words that the keeper's own alerts have. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from . import _alert_config
from ._errors import PgkeepError
from ._monitoring import CONFIG_MOUNT, text

# What is true of every server that is down. A full disk, exhausted connections, crashes and damaged pages are what it
# may be down from, and backups go wrong beside it, so they are told; its statistics end by themselves.
_FOLLOWS = (
    "PostgresNotReady",
    "PostgresCircuitOpen",
    "PostgresSlowProbe",
    "PostgresVerySlowProbe",
    "PoolerClientsWaiting",
    "PoolerQueueLong",
)

# What is critical -> the warnings that say less of the same.
WORSE = {
    "DiskSpaceCritical": ("DiskSpaceWarning", "DiskWillFillIn24h"),
    "PostgresArchiverFailing": ("PostgresArchiveBacklog",),
    "PostgresConnectionsExhausted": ("PostgresConnectionsHigh",),
    "PostgresCrashLoop": ("PostgresRestarted",),
    "PostgresReplicationLagCritical": ("PostgresReplicationLag",),
    "PostgresReplicationSlotRetainsWal": ("PostgresReplicationSlotInactive",),
    "PostgresVerySlowProbe": ("PostgresSlowProbe",),
    "RepositoryFarBehind": ("RepositoryBehind",),
    "ServerOomKilled": ("ServerMemoryHigh",),
    "TlsCertificateEnds": ("TlsCertificateExpiring",),
    "VolumeSpaceCritical": ("VolumeSpaceWarning", "VolumeWillFill"),
}
# Whatever an alert is about besides its instance. Two that both lack one agree in it.
_OF_THE_SAME = ["cluster", "instance", "volume", "mountpoint", "slot_name", "repository", "of"]


@dataclass(frozen=True)
class Times:
    """In seconds: how long Alertmanager gathers, waits for more, and repeats.

    A server that died is told within 90 s: 5 until the keeper looks, 15 until the scrape, 15 until the rule is
    computed, 45 until it has been true for 30, and wait_critical.
    """

    wait: int = 30
    wait_critical: int = 10
    interval: int = 300
    repeat_critical: int = 3600
    repeat_warning: int = 14400
    deadman: int = 60

    @property
    def repeat_deadman(self) -> int:
        """Shorter than the interval: at the end of each it is asked whether the last sign is as old as this, and that
        one came a moment after the interval before. Other files begin a new interval, which must not skip one either.
        """
        return self.deadman // 2


def alertmanager(wanted: Mapping[str, Any], deadman_url: str, times: Times, templates: str) -> dict[str, str]:
    """File name -> content; templates is the text of pgkeep.tmpl. Raises PgkeepError for an unusable receiver."""
    described = _alert_config.split({key: wanted[key] for key in ("webhooks", "email") if wanted.get(key)}, "")
    files: dict[str, str] = dict(described["files"])
    people = _people(described["topic"], files) if described["topic"] else {}
    nobody: list[dict[str, Any]] = [{"name": "nobody"}]
    receivers = [*nobody, {"name": "people", **people}, {"name": "test", **_resolved(people, False)}]
    if deadman_url:
        files["deadman.url"] = deadman_url.strip() + "\n"
        receivers.append(
            {"name": "deadman", "webhook_configs": [{"url_file": _at("deadman.url"), "send_resolved": False}]}
        )
    files["pgkeep.tmpl"] = templates
    files["alertmanager.yml"] = text(
        {
            "templates": [_at("pgkeep.tmpl")],
            "receivers": receivers,
            "route": _route(times, "deadman" if deadman_url else "nobody"),
            "inhibit_rules": _inhibitions(),
        }
    )
    return files


def _route(times: Times, deadman: str) -> dict[str, Any]:
    return {
        "receiver": "people",
        "group_by": ["alertname", "cluster", "instance"],
        "group_wait": "%ds" % times.wait,
        "group_interval": "%ds" % times.interval,
        "repeat_interval": "%ds" % times.repeat_warning,
        "routes": [
            {
                "matchers": ['alertname="Watchdog"'],
                "receiver": deadman,
                "group_wait": "0s",
                "group_interval": "%ds" % times.deadman,
                "repeat_interval": "%ds" % times.repeat_deadman,
            },
            # One that is tried does not wait, and each is a group of its own.
            {"matchers": ['alertname="PgkeepTestAlert"'], "receiver": "test", "group_by": ["..."], "group_wait": "0s"},
            {"matchers": ['severity=~"none|info"'], "receiver": "nobody"},
            {
                "matchers": ['severity="critical"'],
                "receiver": "people",
                "group_wait": "%ds" % min(times.wait_critical, times.wait),
                "repeat_interval": "%ds" % times.repeat_critical,
            },
        ],
    }


def _inhibitions() -> list[dict[str, Any]]:
    return [
        *(
            {
                "source_matchers": ['alertname="%s"' % worse],
                "target_matchers": ['alertname=~"%s"' % "|".join(warnings)],
                "equal": _OF_THE_SAME,
            }
            for worse, warnings in WORSE.items()
        ),
        {
            "source_matchers": ['alertname="PostgresDown"'],
            "target_matchers": ['alertname=~"%s"' % "|".join(_FOLLOWS)],
            "equal": ["cluster", "instance"],
        },
        {
            "source_matchers": ['alertname="PostgresDown"'],
            "target_matchers": ['alertname="PostgresCheckCritical"', 'check="database"'],
            "equal": ["cluster", "instance"],
        },
        # Deploy and restore announce themselves, and nobody is woken for what they do.
        {
            "source_matchers": ['alertname="PgkeepMaintenance"'],
            "target_matchers": ['alertname!~"PgkeepMaintenance.*"', 'instance!=""'],
            "equal": ["cluster", "instance"],
        },
    ]


def _people(topic: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    config = _alert_config.parse("monitoring", topic, lambda name: files[name].strip(), _at)
    made: dict[str, list[dict[str, Any]]] = {}
    hooks = iter(topic.get("webhooks") or [])
    for receiver in config.receivers:
        if isinstance(receiver, _alert_config.Email):
            made["email_configs"] = [_email(receiver, topic["email"])]
            continue
        hook = next(hooks)
        http: dict[str, Any] = {}
        if receiver.token is not None:
            http["authorization"] = {"credentials_file": _at(hook["token_file"])}
        if receiver.ca is not None:
            http["tls_config"] = {"ca_file": receiver.ca}
        slack = receiver.format == "slack"
        made.setdefault("slack_configs" if slack else "webhook_configs", []).append(
            {
                "api_url_file" if slack else "url_file": _at(hook["url_file"]),
                "send_resolved": True,
                "http_config": http,
                **({"title": _call("subject"), "text": _call("text")} if slack else {"max_alerts": 50}),
            }
        )
    return made


def _email(receiver: _alert_config.Email, topic: Mapping[str, Any]) -> dict[str, Any]:
    if receiver.tls == "tls" and receiver.port != 465:
        raise PgkeepError(
            "The receivers of the monitoring cannot be set up",
            "Alertmanager encrypts mail from the first byte on port 465 only, and email.port is %d" % receiver.port,
            "set email.tls to starttls with its port, or use port 465",
        )
    login = {}
    if receiver.username is not None:
        login = {"auth_username": receiver.username, "auth_password_file": _at(topic["password_file"])}
    return {
        "smarthost": "%s:%d" % (receiver.host, receiver.port),
        "from": receiver.sender,
        "to": ", ".join(receiver.recipients),
        "require_tls": receiver.tls == "starttls",
        "send_resolved": True,
        "headers": {"Subject": _call("subject")},
        "text": _call("text"),
        "html": "",
        **login,
        **({"tls_config": {"ca_file": receiver.ca}} if receiver.ca is not None else {}),
    }


def _resolved(people: Mapping[str, list[dict[str, Any]]], send: bool) -> dict[str, list[dict[str, Any]]]:
    return {kind: [{**each, "send_resolved": send} for each in configs] for kind, configs in people.items()}


def _at(name: str) -> str:
    return CONFIG_MOUNT + "/" + name


def _call(template: str) -> str:
    return '{{ template "pgkeep.%s" . }}' % template
