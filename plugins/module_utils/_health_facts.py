# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the health of one instance is judged by, read once and changed nowhere. Private to the collection."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Mapping, Optional

from . import _docker as docker
from ._backup_repository import Keeper
from ._drill_record import records
from ._drill_turn import Proof, proofs
from ._errors import PgkeepError
from ._keeper import ask
from ._layout import DATA_MOUNT, MONITOR, REPO_MOUNT, Layout
from ._leftovers import look as look_for_leftovers
from ._off_site import look as look_off_site
from ._pooler_facts import look as look_at_pooler
from ._probe import Target, certificate, disk, login, mounted_from, published
from ._retry import retry, retryable
from ._run import Run
from ._sql import driver
from ._times import epoch_of

WINDOW_SECONDS = 3600

# The postmaster's first words at every start, and what it says when a crash of one backend threw out all others.
# The first words of a start after an end that nobody asked for, that of a single backend's crash included.
_INTERRUPTED = re.compile(r"LOG:  database system was interrupted")


def collect(run: Run, layout: Layout, host: Optional[str] = None, port: Optional[int] = None) -> dict[str, Any]:
    """Facts for judge(). What cannot be read is None and its reason stands in errors, by the same key.

    host and port replace the published ones of the container.
    """
    now = time.time()
    facts: dict[str, Any] = {"instance": layout.name, "now": now, "errors": {}}
    container = _container(run, layout, facts)
    target = _target(layout, container, host, port, facts)
    facts["answers"] = True
    facts["login"] = _login(target, facts) if target else None
    facts["certificate"] = _certificate(target, now, facts) if target and facts["answers"] else None
    facts["starts"] = _starts(run, container, facts) if container else None
    for key, destination in (("data", DATA_MOUNT), ("repository", REPO_MOUNT)):
        facts[key] = _disk(container, destination, key, facts)
    facts["backup"] = _backup(run, layout, facts)
    facts["off_site"] = _off_site(run, layout, container, facts)
    facts["drills"] = _drills(run, layout, facts)
    facts["leftovers"] = _leftovers(run, layout, facts)
    facts["pooler"] = _pooler(run, layout, facts)
    return facts


def _container(run: Run, layout: Layout, facts: dict[str, Any]) -> Optional[dict[str, Any]]:
    found = None
    try:
        found = docker.inspect(run, layout.server)
        if found is None:
            facts["errors"]["container"] = "there is no container %s" % layout.server
    except PgkeepError as error:
        facts["errors"]["container"] = "%s: %s" % (error.what, error.why)
    facts["container"] = described(found, facts["now"]) if found else None
    return found


def described(container: Mapping[str, Any], now: float) -> dict[str, Any]:
    """State of a container from docker inspect; ages in seconds, None for what never happened."""
    state = container["State"]
    started, created = epoch_of(state["StartedAt"]), epoch_of(container["Created"])
    return {
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status"),
        "exit_code": state["ExitCode"],
        "error": state.get("Error") or "",
        "restart_count": container["RestartCount"],
        "started_age_seconds": None if started is None else now - started,
        "created_age_seconds": None if created is None else now - created,
    }


def _target(
    layout: Layout,
    container: Optional[Mapping[str, Any]],
    host: Optional[str],
    port: Optional[int],
    facts: dict[str, Any],
) -> Optional[Target]:
    """Where to log in; None, with the reason, when nobody can listen there."""
    errors = facts["errors"]
    if not (host and port):
        if container is None or not docker.running(container) or container["State"]["Paused"]:
            errors["login"] = "not tried: the server's container does not run"
            return None
        address = published(container)
        if address is None:
            errors["login"] = "the container publishes no port; give host and port"
            return None
        host, port = host or address[0], port or address[1]
    path = layout.client_dir + "/monitor.password"
    try:
        with open(path, encoding="utf-8") as handle:
            password = handle.read().strip()
    except OSError as error:
        errors["login"] = "the password of %s cannot be read: %s: %s" % (MONITOR, path, error.strerror)
        return None
    return Target(host, port, MONITOR, password, layout.client_dir + "/ca.crt")


def _login(target: Target, facts: dict[str, Any]) -> Optional[dict[str, Any]]:
    try:
        return retry(lambda: login(target))
    except driver().Error as error:
        facts["errors"]["login"] = " ".join(str(error).split())
        # Who did not answer in all that time need not be asked for a certificate.
        facts["answers"] = not retryable(error)
        return None


def _certificate(target: Target, now: float, facts: dict[str, Any]) -> Optional[dict[str, Any]]:
    try:
        return certificate(target, now)
    except OSError as error:
        facts["errors"]["certificate"] = str(error)
        return None


def _starts(run: Run, container: Mapping[str, Any], facts: dict[str, Any]) -> Optional[int]:
    """Restarts within the last hour. Docker keeps no times of them: RestartCount has none and falls back to 0 with a
    manual restart, and its events are the last 256, which health checks fill in minutes. The log of the container has
    them: so it is read, but only when something started within the hour at all."""
    known = facts["container"]
    young = (known["started_age_seconds"], (facts["login"] or {}).get("statistics_age_seconds"))
    if not any(age is not None and age < WINDOW_SECONDS for age in young):
        return 0
    try:
        result = docker.attempt(run, ["logs", "--since", "%ds" % WINDOW_SECONDS, container["Name"].lstrip("/")])
    except PgkeepError as error:
        facts["errors"]["starts"] = error.why
        return None
    return restarts(known, result.stdout + result.stderr)


def restarts(container: Mapping[str, Any], log: str) -> int:
    """How often the server of the container (see described()) began anew within the hour that log covers although
    nobody had stopped it: after a clean stop it was a deploy, a restore or a person."""
    counted = len(_INTERRUPTED.findall(log))
    # A server that dies before its first words, or whose messages are translated, leaves only what Docker counts, and
    # of a container older than the hour only that there was one.
    age = container["started_age_seconds"]
    young = age is not None and age < WINDOW_SECONDS
    new = (container["created_age_seconds"] or 0) < WINDOW_SECONDS
    certain = int(container["restart_count"]) if new else min(int(container["restart_count"]), int(young))
    return max(counted, certain)


def _disk(
    container: Optional[Mapping[str, Any]], destination: str, key: str, facts: dict[str, Any]
) -> Optional[dict[str, Any]]:
    path = mounted_from(container, destination) if container else None
    if path is None:
        facts["errors"][key] = "nothing is mounted at %s" % destination if container else facts["errors"]["container"]
        return None
    try:
        return disk(path)
    except OSError as error:
        facts["errors"][key] = "%s: %s" % (path, error.strerror)
        return None


def _backup(run: Run, layout: Layout, facts: dict[str, Any]) -> Optional[dict[str, Any]]:
    try:
        # The first one alone: another one that is down would take half a minute to say so.
        found: dict[str, Any] = ask(run, layout, ["info", "--repo", "1"], timeout=60)["backup_info"]
    except PgkeepError as error:
        facts["errors"]["backup"] = "%s: %s" % (error.what, error.why)
        return None
    return found


def _off_site(
    run: Run, layout: Layout, container: Optional[Mapping[str, Any]], facts: dict[str, Any]
) -> Optional[list[dict[str, Any]]]:
    try:
        return look_off_site(run, layout, mounted_from(container, REPO_MOUNT) if container else None, facts["now"])
    except OSError as error:
        facts["errors"]["off_site"] = str(error)
        return None


def _pooler(run: Run, layout: Layout, facts: dict[str, Any]) -> Optional[dict[str, Any]]:
    try:
        return look_at_pooler(run, layout)
    except (PgkeepError, OSError) as error:
        facts["errors"]["pooler"] = str(error)
        return None


def _drills(run: Run, layout: Layout, facts: dict[str, Any]) -> Optional[list[Proof]]:
    keeper = Keeper(
        layout.name,
        run,
        "",
        state=layout.state_dir,
        config=layout.keeper_config_dir,
        tool_config=layout.pgbackrest_config_dir,
    )
    try:
        if not os.path.exists(layout.pgbackrest_config_dir + "/pgbackrest.conf"):
            raise PgkeepError("The instance has no repository", "its settings are not there")
        facts["drill_record"] = next(records(layout.state_dir), None)
        return proofs(keeper)
    except (PgkeepError, OSError) as error:
        facts["errors"]["drills"] = str(error)
        return None


def _leftovers(run: Run, layout: Layout, facts: dict[str, Any]) -> Optional[list[str]]:
    try:
        return look_for_leftovers(run, layout)
    except (PgkeepError, OSError) as error:
        facts["errors"]["leftovers"] = str(error)
        return None
