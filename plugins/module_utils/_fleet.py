# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One report of all instances of an inventory, worst first. Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._checks import FAIL, NOT_READY, READY, READY_WITH_WARNINGS, WAIVED, WARNING
from ._html import Child, Element, element, page, table
from ._report import check_table
from ._times import epoch_of, hours, rfc3339
from ._units import human

SCHEMA = 1
# A host that nobody reaches, and one whose judgement failed: nothing is known of either, which is worse than bad news.
UNREACHABLE = "UNREACHABLE"
NOT_JUDGED = "NOT_JUDGED"
_ORDER = (UNREACHABLE, NOT_JUDGED, NOT_READY, READY_WITH_WARNINGS, READY)
_HEALTH = ("critical", "warning", "healthy", "unknown")
_HEADS = (
    "instance",
    "verdict",
    "score",
    "health",
    "fails",
    "backup",
    "proven",
    "RTO",
    "RPO",
    "data",
    "repository",
    "version",
)


def fleet(found: Mapping[str, Mapping[str, Any]], now: float) -> dict[str, Any]:
    """found: instance -> preflight and health (the objects of the modules, or None) and error (words, where there is no
    judgement) with unreachable. Returns schema, generated_at, summary (verdict -> number) and instances, worst first.
    """
    instances = sorted((_instance(name, each) for name, each in found.items()), key=_badness)
    return {
        "schema": SCHEMA,
        "generated_at": rfc3339(now),
        "summary": {verdict: sum(each["verdict"] == verdict for each in instances) for verdict in _ORDER},
        "instances": instances,
    }


def _instance(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    judged, health = found.get("preflight") or {}, found.get("health") or {}
    checks = judged.get("checks", [])
    unknown = UNREACHABLE if found.get("unreachable") else NOT_JUDGED
    return {
        "instance": name,
        "verdict": judged.get("verdict", unknown),
        "score": judged.get("score"),
        "error": None if judged else found.get("error") or "nobody told why",
        "health": health.get("status", "unknown"),
        "reasons": health.get("reasons", []),
        "generated_at": judged.get("generated_at"),
        "summary": judged.get("summary"),
        "checklist": judged.get("checklist", []),
        "measured": judged.get("measured", {}),
        "failed": [check for check in checks if check["result"] == FAIL],
        "waived": [check for check in checks if check["result"] == WAIVED],
    }


def _badness(each: Mapping[str, Any]) -> tuple[Any, ...]:
    serious = sum(check["severity"] != WARNING for check in each["failed"])
    health = _HEALTH.index(each["health"]) if each["health"] in _HEALTH else len(_HEALTH)
    return (_ORDER.index(each["verdict"]), -serious, health, -len(each["failed"]), each["instance"])


def fleet_page(report: Mapping[str, Any]) -> str:
    """One page: a line for each instance, and behind it, folded, what is wrong with it."""
    counts = ", ".join("%d %s" % (count, verdict) for verdict, count in report["summary"].items() if count)
    now = epoch_of(report["generated_at"]) or 0.0
    title = "%d instances of PostgreSQL" % len(report["instances"])
    return page(
        title,
        element("h1", title),
        element("p", "%s. %s." % (report["generated_at"], counts or "No instance")),
        table(_HEADS, [_row(each, now) for each in report["instances"]]),
        *(_details(each) for each in report["instances"] if _has_details(each)),
    )


def _row(each: Mapping[str, Any], now: float) -> Element:
    measured = each["measured"]
    goals = measured.get("goals") or {}
    cells: list[tuple[Child, Optional[str]]] = [
        (each["instance"], "id"),
        (each["verdict"], each["verdict"]),
        ("" if each["score"] is None else "%d %%" % each["score"], "number"),
        (each["health"], each["health"]),
        (", ".join(check["id"] for check in each["failed"] if check["severity"] != WARNING), "bad"),
        (_ago(measured.get("backup_at"), now), None),
        (_ago(measured.get("proven_at"), now), None),
        _seconds(measured.get("rto_seconds"), goals.get("rto_seconds")),
        _seconds(measured.get("rpo_seconds"), goals.get("rpo_seconds")),
        _disk(measured, "data"),
        _disk(measured, "repository"),
        (measured.get("version") or "", "number"),
    ]
    return element("tr", *(element("td", cell, kind=kind) for cell, kind in cells))


def _ago(moment: Optional[str], now: float) -> str:
    return "%s ago" % hours(now - (epoch_of(moment) or 0)) if moment else ""


def _seconds(value: Optional[float], goal: Optional[float]) -> tuple[str, Optional[str]]:
    if value is None:
        return "", None
    if not goal:
        return "%g s" % value, "number"
    return "%g of %g s" % (value, goal), "number" if value <= goal else "bad"


def _disk(measured: Mapping[str, Any], name: str) -> tuple[str, Optional[str]]:
    disk = (measured.get("disks") or {}).get(name)
    if disk is None:
        return "", None
    words = "%s %%, %s free" % (disk["used_percent"], human(disk["free_bytes"]))
    return words, "bad" if disk["used_percent"] >= 85 else "warn" if disk["used_percent"] >= 70 else None


def _has_details(each: Mapping[str, Any]) -> bool:
    return bool(each["error"] or each["failed"] or each["waived"] or each["reasons"])


def _details(each: Mapping[str, Any]) -> Element:
    """Open where nobody may go live; the rest is for whoever wants to know."""
    parts: list[Element] = []
    if each["error"]:
        parts.append(element("p", each["error"]))
    if each["reasons"]:
        parts.append(element("ul", *(element("li", reason) for reason in each["reasons"])))
    todo = [step["step"] for step in each["checklist"] if not step["done"]]
    if todo:
        parts.append(element("p", "Before going live: %s." % "; ".join(todo)))
    if each["failed"]:
        parts.append(check_table(each["failed"]))
    if each["waived"]:
        parts += [element("p", element("b", "Waived")), check_table(each["waived"])]
    summary = element(
        "summary", element("b", each["instance"]), " ", element("span", each["verdict"], kind=each["verdict"])
    )
    folded = None if each["verdict"] in (READY, READY_WITH_WARNINGS) else "open"
    return element("details", summary, *parts, open=folded)
