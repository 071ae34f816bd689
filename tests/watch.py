# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a keeper, Prometheus and receivers of alerts know of an instance, for scenarios and measurements."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Sequence


def until(what: str, predicate: Callable[[], Any], seconds: float = 60) -> Any:
    """What predicate gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := predicate()):
        assert time.monotonic() < end, "not within %d s: %s" % (seconds, what)
        time.sleep(0.2)
    return found


def get(url: str, token: str = "", seconds: float = 10) -> Any:
    headers = {"Authorization": "Bearer " + token} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=seconds) as answer:
        return json.load(answer)


def snapshot(instance: str, port: int) -> Any:
    """/status of the keeper of an instance on this machine."""
    token = Path("/etc/pgkeep", instance, "client/keeper.token").read_text().strip()
    return get("http://127.0.0.1:%d/status" % port, token, 2)


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        found = get(self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return list(found["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in get(self.url + "/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    def state(self, alert: str, instance: str) -> Optional[str]:
        """pending or firing, None where it is neither; the worst of the series that the rule has of the instance."""
        wanted = (alert, instance)
        found = [
            each["state"]
            for each in get(self.url + "/api/v1/alerts")["data"]["alerts"]
            if (each["labels"]["alertname"], each["labels"].get("instance")) == wanted
        ]
        return min(found, default=None)


def told(received: Sequence[dict[str, Any]], alert: str, status: str = "firing") -> list[dict[str, Any]]:
    """Of Alertmanager's messages to a webhook: each alert of that name and status."""
    every = [each for message in received for each in message["alerts"]]
    return [each for each in every if (each["labels"]["alertname"], each["status"]) == (alert, status)]
