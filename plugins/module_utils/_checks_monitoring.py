# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of monitoring and alerts (M). Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ._checks import BLOCKER, CRITICAL, WARNING, Check, Facts, Outcome, failed, passed, skipped, verdict_of, warned
from ._facts_prometheus import NEEDED
from ._times import epoch_of

_NOT_DECLARED = "no %s is declared: set postgres_preflight_%s_url"
# From these on PostgreSQL no longer writes down its errors (PostgreSQL manual, log_min_messages).
_SILENT = ("log", "fatal", "panic")
# The playbook monthly.yml sends one, and may be some days late.
MAX_PROOF_DAYS = 35


def _asked(
    name: str, root: bool = False
) -> Callable[[Callable[[Mapping[str, Any]], Outcome]], Callable[[Facts], Outcome]]:
    """A test over the answers of one service: without a URL it is skipped, and without an answer, which the root of the
    service tells."""

    def decorate(test: Callable[[Mapping[str, Any]], Outcome]) -> Callable[[Facts], Outcome]:
        def asked(facts: Facts) -> Outcome:
            found = (facts["monitoring"] or {}).get(name)
            if found is None:
                return skipped(_NOT_DECLARED % (name.capitalize(), name))
            if "error" in found:
                return failed(found["error"]) if root else skipped("%s does not answer, see M01" % name.capitalize())
            return test(found)

        return asked

    return decorate


@_asked("prometheus", root=True)
def m01(found: Mapping[str, Any]) -> Outcome:
    if found["up"] is None:
        return failed("Prometheus has no pgkeep_up of this instance")
    return verdict_of(found["up"] == 1, "pgkeep_up is %g" % found["up"])


@_asked("prometheus")
def m02(found: Mapping[str, Any]) -> Outcome:
    bad = ["%(name)s is %(health)s %(error)s" % rule for rule in found["rules"] if rule["health"] != "ok"]
    if bad or not found["rules"]:
        return failed("; ".join(bad) or "Prometheus has no rule")
    return passed("%d rules, all evaluated" % len(found["rules"]))


@_asked("prometheus")
def _sends(found: Mapping[str, Any]) -> Outcome:
    urls = found["alertmanagers"]
    return verdict_of(bool(urls), "Prometheus sends alerts to %s" % (", ".join(urls) or "nobody"))


@_asked("alertmanager", root=True)
def _receives(found: Mapping[str, Any]) -> Outcome:
    names = found["receivers"]
    return verdict_of(bool(names), "Alertmanager %s tells %s" % (found["version"], ", ".join(names) or "nobody"))


def m03(facts: Facts) -> Outcome:
    """Both ends of the way; the worse one decides."""
    ends = (_sends(facts), _receives(facts))
    worst = min(ends, key=lambda end: _WORST.index(end.result))
    return Outcome(worst.result, "; ".join(end.evidence for end in ends))


_WORST = ("fail", "skip", "pass")


def m04(facts: Facts) -> Outcome:
    found = facts["alerts"]
    if not found["receivers"]:
        return failed("no receiver is declared: nobody hears of a failure that they do not look for")
    names, proven = ", ".join(found["receivers"]), epoch_of(found["proven_at"] or "")
    if proven is None:
        return failed("%s: no test alert ever arrived there" % names)
    evidence = "%s: a test alert arrived at %s" % (names, found["proven_at"])
    return verdict_of(facts["now"] - proven < MAX_PROOF_DAYS * 86400, evidence)


def m05(facts: Facts) -> Outcome:
    found = facts["alerts"]["deadman"]
    if found is None:
        return warned("no dead-man URL is declared: a keeper that is dead tells nobody")
    if found["error"] or not found["arrived_at"]:
        return warned("the last sign of life arrived %s: %s" % (found["arrived_at"] or "never", found["error"]))
    return passed("the last sign of life arrived at %s" % found["arrived_at"])


@_asked("prometheus")
def m06(found: Mapping[str, Any]) -> Outcome:
    missing = [name for name in NEEDED if name not in found["series"]]
    return failed("missing: %s" % ", ".join(missing)) if missing else passed("all %d are there" % len(NEEDED))


@_asked("prometheus")
def m07(found: Mapping[str, Any]) -> Outcome:
    """The number of series of each panel; a text is the error in the place of one."""
    panels = found["panels"]
    if not panels:
        return skipped("no panel is named in postgres_preflight_panels")
    empty = [
        "%s: %s" % (name, count or "no data") for name, count in panels.items() if not count or isinstance(count, str)
    ]
    return failed("; ".join(empty)) if empty else passed("%d panels, all with data" % len(panels))


def m08(facts: Facts) -> Outcome:
    """An error is only found where it is written down and not pushed out by a full disk."""
    problems = [
        "the log of %s grows without end" % each["name"]
        for each in facts["engine"]["containers"]
        if each["instance"] == facts["declared"]["name"]
        and each["log"]["type"] in ("json-file", "")
        and not each["log"]["max_size"]
    ]
    level = facts["sql"]["settings"]["log_min_messages"]["setting"]
    if level in _SILENT:
        problems.append("log_min_messages is %s: errors are not logged" % level)
    return failed("; ".join(problems)) if problems else passed("every log is bounded, from %s on" % level)


_ALERTS = ("alerts",)
_PROVE = "set postgres_backup_alerts, run test_alerts.yml"
_ASKED = ("monitoring",)
_SCRAPE = "run the playbook monitoring.yml, or add the keeper to the targets of your Prometheus"
_TELL = "name receivers, run the playbook monitoring.yml, or correct your Prometheus and Alertmanager"
_RULES = "run promtool check rules and correct what it names"

MONITORING = (
    Check("M01", "The server is scraped", BLOCKER, m01, _SCRAPE, _ASKED),
    Check("M02", "Alert rules load", CRITICAL, m02, _RULES, _ASKED),
    Check("M03", "Alerts reach Alertmanager", CRITICAL, m03, _TELL, _ASKED),
    Check("M04", "A test alert arrived", BLOCKER, m04, _PROVE, _ALERTS, root="alerts"),
    Check("M05", "Signs of life arrive", WARNING, m05, "set deadman_url in postgres_backup_alerts", _ALERTS),
    Check("M06", "The needed metrics are there", CRITICAL, m06, _SCRAPE, _ASKED),
    Check("M07", "Every panel shows something", WARNING, m07, "correct the panel or its metric", _ASKED),
    Check("M08", "Logs are bounded and hold errors", WARNING, m08, "run the playbook deploy.yml", ("engine", "sql")),
)
