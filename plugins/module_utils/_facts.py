# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All facts of the launch gate, each source read once. Reads only. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping

from . import _facts_catalog as catalog
from . import _facts_container as container
from . import _facts_host as machine
from . import _facts_prometheus as prometheus
from . import _facts_sql as sql
from ._alert_config import load as load_alerts
from ._audit import operations, records
from ._backup_repository import Keeper
from ._checks import AFTER
from ._deadman import summary as deadman
from ._drill_record import summary as drill
from ._errors import PgkeepError
from ._keeper import ask
from ._layout import MONITOR, Layout
from ._leftovers import look as leftovers
from ._pooler_facts import limits as limits_of_pooler
from ._pooler_facts import look as look_at_pooler
from ._probe import Target, certificate, published
from ._run import Run


def collect(run: Run, layout: Layout, declared: Mapping[str, Any], phase: str) -> dict[str, Any]:
    """declared (see _preflight.declared; None for what is not), phase, host, engine, port, pooler_port, keeper_port,
    majors, disks, keys; after a deploy container, sql, catalogs, files, repository, backup, certificate, leftovers,
    endpoints, pooler, pools, alerts, drill, dumps and monitoring too. exercises is empty: whoever asks for them adds
    them.

    A source that cannot be read is not in the result; why and next_step are in errors by the same name.
    """
    facts: dict[str, Any] = {"declared": declared, "phase": phase, "now": time.time(), "errors": {}, "exercises": {}}

    def read(name: str, reader: Callable[[], Any], *needs: str) -> None:
        gone = [need for need in needs if need in facts["errors"]]
        if gone:
            facts["errors"][name] = {**facts["errors"][gone[0]], "behind": True}
            return
        try:
            facts[name] = reader()
        except PgkeepError as error:
            why = error.what + (": " + error.why if error.why else "")
            facts["errors"][name] = {"why": why, "next_step": error.next_step}
        except OSError as error:
            facts["errors"][name] = {"why": str(error), "next_step": ""}

    read("host", lambda: machine.host(run))
    read("engine", lambda: machine.engine(run))
    read("port", lambda: _port(run, facts, "postgres_server_port"))
    read("pooler_port", lambda: _port(run, facts, "postgres_pooler_port"))
    read("keeper_port", lambda: _port(run, facts, "postgres_server_keeper_port"))
    read("majors", lambda: container.volume_majors(run, layout))
    read("disks", lambda: container.disks(run, layout))
    read("keys", lambda: container.keys(run, layout))
    if phase == AFTER:
        read("container", lambda: container.container(run, layout))
        read("sql", lambda: sql.collect(layout))
        read("catalogs", lambda: catalog.catalogs(layout, [each["name"] for each in facts["sql"]["databases"]]), "sql")
        read("files", lambda: container.files(layout))
        read("repository", lambda: container.repository(layout))
        read("backup", lambda: ask(run, layout, ["info"], timeout=60)["backup_info"])
        read("certificate", lambda: _certificate(layout, facts))
        read("leftovers", lambda: leftovers(run, layout))
        read("endpoints", lambda: container.endpoints(run, layout))
        read("pooler", lambda: look_at_pooler(run, layout))
        read("pools", lambda: limits_of_pooler(layout, (facts["pooler"] or {}).get("inspect")), "pooler")
        read("alerts", lambda: alerts(run, layout))
        read("drill", lambda: drill(layout.state_dir))
        read("dumps", lambda: container.dumps(layout, facts["engine"]["containers"]), "engine")
        read("monitoring", lambda: prometheus.look(declared["monitoring"]))
    return facts


def _port(run: Run, facts: Mapping[str, Any], word: str) -> Any:
    wants = facts["declared"]["wants"]
    if word not in wants["ports"]:
        return None
    containers = facts["engine"]["containers"] if "engine" in facts else []
    return machine.port(run, wants["addresses"][word], wants["ports"][word], containers)


def _certificate(layout: Layout, facts: Mapping[str, Any]) -> dict[str, Any]:
    address = published(facts["container"]["inspect"]) if "container" in facts else None
    if address is None:
        raise PgkeepError("The certificate cannot be seen", "the server publishes no port")
    return certificate(Target(*address, MONITOR, "", layout.client_dir + "/ca.crt"), facts["now"])


def alerts(run: Run, layout: Layout) -> dict[str, Any]:
    """receivers (names), deadman (None when none is declared), and when a test alert last arrived everywhere."""
    keeper = Keeper(layout.name, run, "", state=layout.state_dir, config=layout.keeper_config_dir)
    config = load_alerts(keeper)
    tests = [done for done in operations(records(layout.state_dir)) if done["action"] == "alert-test"]
    return {
        "receivers": [receiver.name for receiver in config.receivers] if config else [],
        "deadman": deadman(keeper) if config and config.deadman else None,
        "proven_at": next((str(done["at"]) for done in reversed(tests) if done["result"] == "ok"), None),
    }
