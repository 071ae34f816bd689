# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launch gate: collect facts, run every check, report, decide. Private to the collection."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _exercise as exercise
from ._checklist import checklist
from ._checks import AFTER, FAIL, NOT_READY, WARNING, check_waivers, evaluate, score, summary, verdict
from ._checks_backup import BACKUP
from ._checks_capacity import CAPACITY
from ._checks_config import CONFIG
from ._checks_container import CONTAINER, IMAGE
from ._checks_docker import DOCKER
from ._checks_host import HOST
from ._checks_monitoring import MONITORING
from ._checks_pooler import POOLER
from ._checks_security import SECURITY
from ._clients import check_objects, check_scripts
from ._errors import PgkeepError
from ._facts import collect
from ._host_budget import host_budget, wants
from ._layout import Layout
from ._majors import known_major
from ._report import publish, write
from ._restart_test import restart_test
from ._rules import refuse_port
from ._run import Run
from ._times import rfc3339
from ._tune import tune
from ._window import parse as parse_window

AREAS = (
    ("host", HOST),
    ("docker", DOCKER),
    ("image", IMAGE),
    ("container", (*CONTAINER, *POOLER)),
    ("config", CONFIG),
    ("security", SECURITY),
    ("backup", BACKUP),
    ("monitoring", MONITORING),
    ("capacity", CAPACITY),
)
# Whoever fails one of these wants to see the whole sum.
_BUDGET = ("H04", "H05", "H14")
SCHEMA = 1
# What K03 asks for unless the inventory says otherwise.
LOAD = {"clients": 4, "seconds": 5, "tps": 50.0, "p95_ms": 100.0}
CHECKS = tuple((area, check) for area, checks in AREAS for check in checks)


def preflight(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """params are the options of the module; returns what it returns, a failure included."""
    layout, phase, waivers = Layout(params["name"]), params["phase"], params["waivers"]
    check_waivers(waivers, CHECKS)
    facts = collect(run, layout, declared(params), phase)
    if phase == AFTER and not check_mode and {"sql", "container"} <= facts.keys():
        _exercise(run, layout, facts, params)
    result = judge(facts, phase, waivers)
    if params["report_dir"] and not check_mode:
        write(params["report_dir"], result)
        publish(layout, result)
    return answer(result, params["enforce"], host_budget(facts).table() if "engine" in facts else "")


def _exercise(run: Run, layout: Layout, facts: dict[str, Any], params: Mapping[str, Any]) -> None:
    """What somebody asked for, the restart last: whatever comes of it is the finding of a check."""
    asked, mount = params["exercise"], facts["container"]["mount"]
    if "disk" in asked and mount is not None:
        facts["exercises"]["disk"] = _found(lambda: exercise.disk(mount["Source"]))
    if "load" in asked:
        facts["exercises"]["load"] = _found(
            lambda: exercise.load(
                run, layout, {name: type(LOAD[name])(params["load"].get(name, LOAD[name])) for name in LOAD}
            )
        )
    if "restart" in asked or params["restart_test"]:
        facts["restart_test"] = _found(lambda: restart_test(run, layout))


def _found(exercised: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A server that does not come back is a finding, beside all others; one that is busy was not tested."""
    try:
        return exercised()
    except PgkeepError as error:
        if error.busy:
            raise
        return {"error": "%s: %s" % (error.what, error.why) if error.why else error.what}


def declared(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be deployed, as numbers: name, major, keys, settings, memory_bytes, wants and neighbours (see
    _host_budget.wants), memory_overcommit and cpu_overcommit, disk, goals (rpo_seconds and rto_seconds, None where
    nobody named any) and monitoring (see _facts_prometheus.look).

    Raises PgkeepError for anything that no machine could make good.

    Here and not only where it is used: a filter that fails inside an argument is told by Ansible in four lines of its
    own words, and some of it would come out only after the instance was changed.
    """
    if params["port"] is not None:
        refuse_port(params["port"], params["name"])
    _refuse_load(params["load"])
    if params["restart_window"]:
        parse_window(params["restart_window"])
    check_objects(params["users"], params["databases"])
    check_scripts(params["init_sql"])
    major = known_major(params["major"]) if params["major"] else None
    tuned = _tuned(params, major)
    return {
        "name": params["name"],
        "memory_bytes": tuned.get("memory_bytes"),
        "wants": wants(params),
        "neighbours": [wants(instance) for instance in params["neighbours"]],
        "memory_overcommit": params["memory_overcommit"],
        "cpu_overcommit": params["cpu_overcommit"],
        "major": major,
        "disk": params["disk"],
        "goals": {name: params[name] for name in ("rpo_seconds", "rto_seconds")},
        "monitoring": {
            "prometheus_url": params["prometheus_url"],
            "alertmanager_url": params["alertmanager_url"],
            "selector": params["prometheus_selector"] or 'instance="%s"' % params["name"],
            "panels": params["panels"],
        },
        "keys": params["keys"],
        # The inventory's own settings win, as they do in the server.
        "settings": {**tuned.get("settings", {}), **(params["settings"] or {})},
    }


def _refuse_load(load: Mapping[str, Any]) -> None:
    """Raises PgkeepError for what cannot be wanted of a load test."""
    for name, value in load.items():
        number = str(value).replace(".", "", 1) if name in ("tps", "p95_ms") else str(value)
        if name not in LOAD or not number.isdigit() or float(value) <= 0:
            raise PgkeepError(
                "The load test cannot be made",
                "%s is %r" % (name, value),
                "give numbers above 0 for %s in postgres_preflight_load" % ", ".join(LOAD),
            )


def _tuned(params: Mapping[str, Any], major: Optional[int]) -> dict[str, Any]:
    """What the filter tune makes of the declared limits; empty without a declared memory limit."""
    if not params["memory"]:
        return {}
    limits = {"cpus": params["cpus"], "pg_major": major}
    return tune(
        params["memory"],
        profile=params["profile"],
        disk=params["disk"],
        connections=params["connections"] or None,
        **{name: value for name, value in limits.items() if value is not None},
    )


def judge(facts: Mapping[str, Any], phase: str, waivers: Mapping[str, Any]) -> dict[str, Any]:
    """The object preflight from facts. Pure."""
    today = datetime.fromtimestamp(facts["now"], timezone.utc).date()
    findings = evaluate(CHECKS, facts, phase, waivers, today)
    return {
        "schema": SCHEMA,
        "instance": facts["declared"]["name"],
        "phase": phase,
        "generated_at": rfc3339(facts["now"]),
        "verdict": verdict(findings),
        "score": score(findings),
        "summary": summary(findings),
        "checklist": checklist(findings) if phase == AFTER else [],
        "measured": measured(facts) if phase == AFTER else {},
        "checks": findings,
    }


def measured(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that a report of many instances compares: version, disks, backup and drill; None for what is unknown."""
    backup, drill = facts.get("backup") or {}, facts.get("drill") or {}
    stopped = {each["label"]: each["stopped_at"] for each in backup.get("backups", ())}
    proven = {each["label"]: each["proven_at"] for each in backup.get("backups", ())}
    return {
        "version": facts["sql"]["version"] if "sql" in facts else None,
        "backup_at": stopped.get(backup.get("newest_clean")),
        "proven_at": proven.get(backup.get("newest_proven")),
        "rto_seconds": drill.get("last_rto_seconds"),
        "rpo_seconds": drill.get("last_rpo_seconds"),
        "goals": facts["declared"]["goals"],
        "disks": {
            name: {"used_percent": disk["used_percent"], "free_bytes": disk["free_bytes"]}
            for name, disk in facts.get("disks", {}).items()
        },
    }


def answer(result: Mapping[str, Any], enforce: bool, budget: str = "") -> dict[str, Any]:
    """budget: the table of the machine, for whoever does not fit."""
    answer: dict[str, Any] = {"changed": False, "preflight": result}
    if enforce and result["verdict"] == NOT_READY:
        error = not_ready(result["instance"], result["checks"])
        if any(check["id"] in _BUDGET and check["result"] == FAIL for check in result["checks"]):
            error.why += "\n%s" % budget
        answer.update(failed=True, msg=str(error), error=error.to_result())
    return answer


def not_ready(instance: str, findings: Sequence[Mapping[str, Any]]) -> PgkeepError:
    """One message for all failed checks."""
    found = [finding for finding in findings if finding["result"] == FAIL and finding["severity"] != WARNING]
    # Most fixes are the same deploy; it is told once.
    fixes: dict[str, list[str]] = {}
    for finding in found:
        fixes.setdefault(finding["fix"], []).append(finding["id"])
    return PgkeepError(
        "The instance %s is not ready: %d check%s failed" % (instance, len(found), "" if len(found) == 1 else "s"),
        "; ".join("%(id)s (%(title)s) %(evidence)s" % finding for finding in found),
        "; ".join("%s: %s" % (", ".join(ids), fix) for fix, ids in fixes.items()),
    )
