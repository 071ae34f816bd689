# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus and Alertmanager know of one instance, where an inventory names them. Reads only.

Private to the collection.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
import urllib.request
from typing import Any, Callable, Mapping, Optional

from ._errors import PgkeepError

TIMEOUT_SECONDS = 2
# More than any answer to these questions is.
_MOST_BYTES = 8 * 1024 * 1024

# What the rules need of every instance; those of a standby, a pooler or a drill are not everywhere.
NEEDED = (
    "pgkeep_up",
    "pgkeep_ready",
    "pgkeep_snapshot_age_seconds",
    "pgkeep_check_status",
    "pgkeep_probe_duration_seconds",
    "pgkeep_disk_used_ratio",
    "pgkeep_sessions",
    "pgkeep_sessions_maximum",
    "pgkeep_archiver_failing",
    "pgkeep_archiver_ready_files",
    "pgkeep_server_memory_working_set_bytes",
    "pgkeep_server_start_time_seconds",
    "pgkeep_backup_last_success_timestamp_seconds",
    "pgkeep_tls_certificate_expiry_timestamp_seconds",
)

# Receivers of roles/postgres_monitoring for what is no alert.
_NO_PEOPLE = ("test", "deadman")

Fetch = Callable[[str], Any]


def look(declared: Mapping[str, Any], fetch: Optional[Fetch] = None) -> Optional[dict[str, Any]]:
    """prometheus and alertmanager, each None where no URL is declared; None where neither is.

    prometheus: up (value of pgkeep_up, None without a series), series (name -> how many), rules (list of name, health,
    error), alertmanagers (URLs), panels (expression -> how many series; an error as a text). alertmanager: version,
    receivers (names of those that somebody stands behind). Either has error alone where it does not answer. declared:
    prometheus_url, alertmanager_url, selector (a matcher of the instance's series, such as instance="orders") and
    panels (PromQL expressions).
    """
    get = fetch or fetched
    readers: dict[str, Callable[[str], Any]] = {
        "prometheus": lambda url: _prometheus(get, url, declared),
        "alertmanager": lambda url: _alertmanager(get, url),
    }
    urls = {name: str(declared[name + "_url"]).rstrip("/") for name in readers}
    if not any(urls.values()):
        return None
    found: dict[str, Any] = {}
    for name, url in urls.items():
        try:
            found[name] = readers[name](url) if url else None
        except (PgkeepError, KeyError, TypeError, ValueError) as error:
            found[name] = {"error": "%s: %s" % (url, error.why if isinstance(error, PgkeepError) else repr(error))}
    return found


def _prometheus(get: Fetch, url: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    def query(expression: str) -> list[Any]:
        answer = get("%s/api/v1/query?%s" % (url, urllib.parse.urlencode({"query": expression})))
        return list(answer["data"]["result"])

    up = query("pgkeep_up{%s}" % declared["selector"])
    names = '{__name__=~"%s",%s}' % ("|".join(NEEDED), declared["selector"])
    series = query("count by (__name__) (%s)" % names)
    groups = get(url + "/api/v1/rules")["data"]["groups"]
    alertmanagers = get(url + "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    panels: dict[str, Any] = {}
    for expression in declared["panels"]:
        try:
            panels[expression] = len(query(expression))
        except PgkeepError as error:
            panels[expression] = error.why
    return {
        "up": float(up[0]["value"][1]) if up else None,
        "series": {each["metric"]["__name__"]: int(float(each["value"][1])) for each in series},
        "rules": [
            {"name": rule["name"], "health": rule["health"], "error": rule.get("lastError") or ""}
            for group in groups
            for rule in group["rules"]
        ],
        "alertmanagers": [each["url"] for each in alertmanagers],
        "panels": panels,
    }


def _alertmanager(get: Fetch, url: str) -> dict[str, Any]:
    status = get(url + "/api/v2/status")
    return {"version": status["versionInfo"]["version"], "receivers": _receivers(status["config"]["original"])}


def _receivers(config: str) -> list[str]:
    """Names of the receivers that tell somebody of an alert; those of the tests and of the sign of life do not.

    config: what Alertmanager read, in its own layout: a name has a dash before it, what its receiver sends to stands
    below. A host need not have a reader of YAML.
    """
    found: list[str] = []
    name = ""
    for line in config.partition("\nreceivers:\n")[2].splitlines():
        if not line.startswith((" ", "-")):
            break
        key, _colon, value = line[2:].partition(":")
        if key == "name":
            name = value.strip().strip("\"'")
        elif key.endswith("_configs") and name not in found:
            found.append(name)
    return [each for each in found if each not in _NO_PEOPLE]


def fetched(url: str) -> Any:
    """The JSON behind url, within seconds. Raises PgkeepError."""
    if not url.startswith(("http://", "https://")):
        raise PgkeepError("The address cannot be used", "it begins with neither http:// nor https://")
    try:
        with urllib.request.build_opener().open(url, timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PgkeepError("The address does not answer", str(error) or repr(error)) from error
