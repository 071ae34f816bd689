# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check of the launch gate is, and what follows from all of them. Pure. Private to the collection.

A check is one small function from the facts to an outcome, in a table with its id, severity and fix. The tables are
_checks_<area>.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence

from ._errors import PgkeepError

BLOCKER = "blocker"
CRITICAL = "critical"
WARNING = "warning"

PASS = "pass"
FAIL = "fail"
SKIP = "skip"
WAIVED = "waived"
# Half a failure: the row has a milder severity for this case (B/W in the list of checks).
WARN = "warn"

READY = "READY"
READY_WITH_WARNINGS = "READY_WITH_WARNINGS"
NOT_READY = "NOT_READY"

BEFORE = "before"
AFTER = "after"
BOTH = (BEFORE, AFTER)

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """result is PASS, WARN, FAIL or SKIP; evidence is what was seen, with its numbers, never a secret."""

    result: str
    evidence: str


@dataclass(frozen=True)
class Check:
    """One row of the list. needs names the facts it reads (keys of the facts and of their errors).

    What cannot be read (errors: name -> why, next_step, behind) makes a check skip, with the reason; root names the
    source whose loss makes it fail instead. Every source of facts has one root, so that its loss is one failure and not
    thirty. behind is true of what was not tried because of another source.
    """

    id: str
    title: str
    severity: str
    test: Callable[[Facts], Outcome]
    fix: str
    needs: tuple[str, ...] = ()
    phases: tuple[str, ...] = (AFTER,)
    root: str = ""


def passed(evidence: str) -> Outcome:
    return Outcome(PASS, evidence)


def warned(evidence: str) -> Outcome:
    return Outcome(WARN, evidence)


def failed(evidence: str) -> Outcome:
    return Outcome(FAIL, evidence)


def skipped(evidence: str) -> Outcome:
    return Outcome(SKIP, evidence)


def verdict_of(good: bool, evidence: str) -> Outcome:
    return passed(evidence) if good else failed(evidence)


def evaluate(
    checks: Iterable[tuple[str, Check]], facts: Facts, phase: str, waivers: Mapping[str, Mapping[str, Any]], today: date
) -> list[dict[str, Any]]:
    """Findings of all checks of the phase, in their order: id, area, title, severity, result, evidence, fix, waiver."""
    return [
        _finding(area, check, facts, waivers.get(check.id), today) for area, check in checks if phase in check.phases
    ]


def _finding(area: str, check: Check, facts: Facts, waiver: Optional[Mapping[str, Any]], today: date) -> dict[str, Any]:
    outcome, fix, seen = _outcome(check, facts)
    severity = WARNING if outcome.result == WARN else check.severity
    result, evidence = (FAIL if outcome.result == WARN else outcome.result), outcome.evidence
    if waiver and result == FAIL and not seen:
        # It accepts what the check is about, and not that nobody could look.
        evidence += "; its waiver does not cover that"
    elif waiver and result == FAIL:
        until = _until(check.id, waiver)
        if until is None or today <= until:
            result = WAIVED
        else:
            evidence += "; the waiver ended on %s" % until
    return {
        "id": check.id,
        "area": area,
        "title": check.title,
        "severity": severity,
        "result": result,
        "evidence": evidence,
        "fix": fix if result in (FAIL, WAIVED) else "",
        "waiver": waiver["reason"] if waiver and result == WAIVED else None,
        "waived_until": _until_words(check.id, waiver) if waiver and result == WAIVED else None,
    }


def _outcome(check: Check, facts: Facts) -> tuple[Outcome, str, bool]:
    """The outcome, what to do about it, and whether the facts could be read."""
    errors = facts["errors"]
    missing = [errors[need] for need in check.needs if need in errors]
    if not missing:
        return check.test(facts), check.fix, True
    lost = errors.get(check.root)
    # Without an engine nothing behind it can be read; that is one failure, the engine's.
    fails = lost and not lost.get("behind") and (check.root == "engine" or "engine" not in errors)
    why = lost if fails else missing[0]
    return (failed if fails else skipped)("cannot be read: %s" % why["why"]), why["next_step"] or check.fix, False


def check_waivers(waivers: Mapping[str, Any], checks: Iterable[tuple[str, Check]]) -> None:
    """Raises PgkeepError for a waiver that names no check, gives no reason or whose date cannot be read."""
    known = {check.id for _area, check in checks}
    for id, waiver in waivers.items():
        if id not in known:
            raise PgkeepError(
                "There is no check %s to waive" % id, "known are %s" % ", ".join(sorted(known)), "correct the id"
            )
        if not isinstance(waiver, Mapping) or not str(waiver.get("reason") or "").strip():
            raise PgkeepError(
                "The waiver of %s is not accepted" % id,
                "it gives no reason",
                "write {%s: {reason: why it is accepted, until: 2027-01-31}}" % id,
            )
        _until(id, waiver)


def _until(id: str, waiver: Mapping[str, Any]) -> Optional[date]:
    text = str(waiver.get("until") or "")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        why = "its date %r: %s" % (text, error)
        raise PgkeepError("The waiver of %s is not accepted" % id, why, "write until as 2027-01-31") from error


def _until_words(id: str, waiver: Mapping[str, Any]) -> Optional[str]:
    until = _until(id, waiver)
    return until.isoformat() if until else None


def summary(findings: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Number of findings: pass, warn (failed with severity warning), fail, skip, waived."""
    counts = dict.fromkeys(("pass", "warn", "fail", "skip", "waived"), 0)
    for finding in findings:
        counts["warn" if _is_warning(finding) else finding["result"]] += 1
    return counts


def score(findings: Sequence[Mapping[str, Any]]) -> int:
    """How many percent of the checks that could be made passed. It decides nothing: see verdict()."""
    made = [finding for finding in findings if finding["result"] != SKIP]
    return 100 * sum(finding["result"] == PASS for finding in made) // len(made) if made else 0


def verdict(findings: Sequence[Mapping[str, Any]]) -> str:
    """NOT_READY with any failed blocker or critical check. READY only when every check passed: what was waived, or what
    nobody looked at, is not ready."""
    if any(finding["result"] == FAIL and not _is_warning(finding) for finding in findings):
        return NOT_READY
    return READY if all(finding["result"] == PASS for finding in findings) else READY_WITH_WARNINGS


def _is_warning(finding: Mapping[str, Any]) -> bool:
    return bool(finding["result"] == FAIL and finding["severity"] == WARNING)
