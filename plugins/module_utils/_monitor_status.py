# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the monitor shows: /status of the keeper, and beside it what the engine says. Private to the collection.

The keeper has no way to ask the engine, and the engine none to ask the database. Where the keeper is silent, that is
the finding, and what the engine says is all there is.
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from typing import Any, Callable, Mapping, Optional

from . import _docker as docker
from ._board import present
from ._container import reachable
from ._errors import PgkeepError
from ._files import read
from ._layout import KEEPER_PORT, KEEPER_TOKEN, Layout
from ._run import Run

LEVELS = ("healthy", "warning", "critical")

# fetch(url, token) -> the text of the answer; OSError and ValueError say what went wrong.
Fetch = Callable[[str, str], str]

_FETCH_SECONDS = 2.0
_ENGINE_SECONDS = 5.0
# A status has some 20 kB.
_LONGEST_BYTES = 4 << 20

_DOUBTFUL = ("paused", "created")


def worst(*levels: str) -> str:
    """The worst of them; unknown is no level and counts as healthy."""
    return LEVELS[max((LEVELS.index(level) for level in levels if level in LEVELS), default=0)]


def fetch(url: str, token: str) -> str:
    """The answer of the keeper within two seconds. A proxy of the environment is not for the loopback."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_FETCH_SECONDS) as answer:
        body: bytes = answer.read(_LONGEST_BYTES)
    return body.decode(errors="replace")


def observe(run: Run, layout: Layout, now: float, get: Fetch = fetch) -> dict[str, Any]:
    """The object of /status with two more keys.

    containers: {"server", "keeper", "pooler"} -> {"state", "health", "restarts", "started_at"}, state absent where
    there is none and unknown where the engine does not answer. silent: why the keeper gave no answer, None when it did.
    """
    containers, address, trouble = _engine(run, layout)
    silent: Optional[str] = None
    try:
        status = _status(layout, address, get)
    except (OSError, ValueError) as error:
        silent = _reason(error) if containers["keeper"]["state"] == "running" else _down(containers["keeper"], trouble)
        status = _unseen(layout, now, silent)
    # Its own key in case that the keeper learns the same word.
    checks = [each for each in status["checks"] if each["id"] != "container"]
    check = _container_check(containers["server"], trouble)
    reasons = list(status["reasons"])
    if check["status"] not in ("healthy", "unknown"):
        reasons.append("container: %s" % check["message"])
    return {
        **status,
        "status": worst(status["status"], check["status"]),
        "checks": [check, *checks],
        "reasons": reasons,
        "containers": containers,
        "silent": silent,
    }


def _status(layout: Layout, address: Optional[str], get: Fetch) -> dict[str, Any]:
    token = read(layout.client_dir + "/" + KEEPER_TOKEN)
    if address is None:
        raise ValueError("its endpoints are not published; postgres_server_keeper_http is what turns them on")
    if token is None:
        raise ValueError("there is no %s/%s; a deploy makes it" % (layout.client_dir, KEEPER_TOKEN))
    found = json.loads(get("http://%s/status" % address, token.strip()))
    if not isinstance(found, dict) or not isinstance(found.get("checks"), list) or found.get("status") not in LEVELS:
        raise ValueError("its answer is no status")
    # Whatever an older keeper does not know is null, as the shape of the answer promises.
    return {**present(None, 0.0, 1.0), **found}


def _unseen(layout: Layout, now: float, why: str) -> dict[str, Any]:
    status = present(None, now, 1.0)
    name = {**status["instance"], "name": layout.name}
    reasons = ["the keeper does not answer: %s" % why]
    return {**status, "instance": name, "checks": [], "reasons": reasons, "reasons_not_ready": reasons}


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return "it answers with %d %s" % (error.code, error.reason)
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _down(keeper: Mapping[str, Any], trouble: Optional[str]) -> str:
    return trouble or "its container is %s" % keeper["state"]


def _engine(run: Run, layout: Layout) -> tuple[dict[str, dict[str, Any]], Optional[str], Optional[str]]:
    """The containers, where the keeper is published, and why the engine does not answer."""
    names = {"server": layout.server, "keeper": layout.keeper, "pooler": layout.pooler}
    found: dict[str, Any] = {}
    trouble = None
    try:
        # Fails when one of them is absent, and prints the others.
        told = docker.attempt(run, ["container", "inspect", *names.values()], timeout=_ENGINE_SECONDS)
        with contextlib.suppress(ValueError):
            found = {each["Name"].lstrip("/"): each for each in json.loads(told.stdout or "[]")}
    except PgkeepError as error:
        trouble = "%s: %s" % (error.what, error.why)
    absent = _container(None, "absent" if trouble is None else "unknown")
    containers = {role: _container(found[name]) if name in found else absent for role, name in names.items()}
    return containers, _address(found.get(layout.keeper)), trouble


def _container(found: Optional[Mapping[str, Any]], state: str = "absent") -> dict[str, Any]:
    if found is None:
        return {"state": state, "health": None, "restarts": None, "started_at": None}
    told = found["State"]
    return {
        "state": told["Status"],
        "health": (told.get("Health") or {}).get("Status"),
        "restarts": found.get("RestartCount"),
        "started_at": told.get("StartedAt"),
    }


def _address(keeper: Optional[Mapping[str, Any]]) -> Optional[str]:
    bindings = ((keeper or {}).get("NetworkSettings", {}).get("Ports") or {}).get("%d/tcp" % KEEPER_PORT)
    if not bindings:
        return None
    host = reachable(bindings[0].get("HostIp") or "0.0.0.0")
    return "%s:%s" % ("[%s]" % host if ":" in host else host, bindings[0]["HostPort"])


def _container_check(server: Mapping[str, Any], trouble: Optional[str]) -> dict[str, Any]:
    value = "/".join(filter(None, (server["state"], server["health"])))
    if trouble is not None:
        level, message = "unknown", trouble
    elif server["state"] == "running" and server["health"] in (None, "healthy"):
        level, message = "healthy", value
    elif server["state"] in _DOUBTFUL or server["health"] == "starting":
        level, message = "warning", value
    else:
        level, message = "critical", value
    return {
        "id": "container",
        "status": level,
        "value": value,
        "message": message,
        "unit": "",
        "warn": None,
        "crit": None,
        "hint": "" if level in ("healthy", "unknown") else "read docker logs of the server, then restart it",
        "since": server["started_at"],
        "target": "",
    }
