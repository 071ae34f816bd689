# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus and Alertmanager know of one instance, where an inventory names them. Reads only.

Private to the collection.
"""

from __future__ import annotations

import http.client
import json
import re
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

Fetch = Callable[[str], Any]


def look(declared: Mapping[str, Any], fetch: Optional[Fetch] = None) -> Optional[dict[str, Any]]:
    """prometheus and alertmanager, each None where no URL is declared; None where neither is.

    prometheus: up (value of pgkeep_up, None without a series), series (name -> how many), rules (list of name, health,
    error), alertmanagers (URLs), panels (expression -> how many series; an error as a text). alertmanager: version,
    receivers. Either has error alone where it does not answer. declared: prometheus_url, alertmanager_url, selector (a
    matcher of the instance's series, such as instance="orders") and panels (PromQL expressions).
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
    return {"version": status["versionInfo"]["version"], "receivers": telling(status["config"]["original"])}


def telling(config: str) -> list[str]:
    """Names of the receivers that somebody hears of, from the YAML of Alertmanager. Its API names all of them."""
    receivers = re.split(r"^- name: ", config, flags=re.MULTILINE)[1:]
    told = re.compile(r"^  \w+_configs:", re.MULTILINE)
    return [each.split("\n", 1)[0].strip("\"'") for each in receivers if told.search(each)]


def fetched(url: str) -> Any:
    """The JSON behind url, within seconds. Raises PgkeepError."""
    if not url.startswith(("http://", "https://")):
        raise PgkeepError("The address cannot be used", "it begins with neither http:// nor https://")
    try:
        with urllib.request.build_opener().open(url, timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PgkeepError("The address does not answer", str(error) or repr(error)) from error
