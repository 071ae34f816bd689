# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a restore has come, and the object that says so. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Optional

from . import _history as history
from ._copy import CopyFacts
from ._errors import PgkeepError
from ._restore_plan import CLONE, Plan
from ._run import Result
from ._swap import Directories
from ._target import LATEST, moment_of, rfc3339


class RestoreError(PgkeepError):
    """A restore that did not happen; rolled_back says whether everything is as before."""

    def __init__(self, error: PgkeepError, what: str, why: str, rolled_back: bool) -> None:
        super().__init__(what, why, error.next_step, busy=error.busy)
        self.rolled_back = rolled_back

    def to_result(self) -> dict[str, object]:
        return {**super().to_result(), "rolled_back": self.rolled_back}


@dataclass
class Progress:
    """How far a restore has come: what a roll-back has to undo and what the result tells. Moments are monotonic.

    until is the wall-clock moment up to which the old server took commits. noted: the history has the new timeline.
    """

    directories: Directories
    steps: list[str] = field(default_factory=list)
    stopped_at: Optional[float] = None
    until: Optional[datetime] = None
    created: list[str] = field(default_factory=list)
    facts: Optional[CopyFacts] = None
    noted: bool = False
    swapped: bool = False
    kept: Optional[str] = None
    rescued: int = 0
    waiting: tuple[str, ...] = ()

    def note_archived(self, names: tuple[str, ...], result: Result, *, last: bool) -> None:
        """What became of WAL that only the old data had. A failure is not a reason to stop: the copy gets the WAL all
        the same, see PGKEEP_RESCUE_WAL."""
        self.waiting = () if result.rc == 0 else names
        if result.rc == 0:
            self.steps.append("Archived WAL that only the old data had: %s" % ", ".join(names))
        elif last:
            errors = [line.split("ERROR: ")[1] for line in result.stdout.splitlines() if "ERROR: " in line]
            self.steps.append(
                "The archive did not take %s (%s): backups from before lead no further than there"
                % (", ".join(names), (errors or ["no message"])[-1].strip())
            )


def blank(instance: str, steps: list[str]) -> dict[str, Any]:
    """The object restore of an action that restores nothing."""
    return {
        "instance": instance,
        "target": None,
        "label": None,
        "repository": None,
        "timeline_before": None,
        "timeline_after": None,
        "reached_time": None,
        "lost": None,
        "rescued_segments": None,
        "previous_data": None,
        "rto_seconds": None,
        "interruption_seconds": None,
        "undo": None,
        "copies": [],
        "steps": steps,
    }


def planned(plan: Plan, steps: list[str], now: Optional[datetime] = None) -> dict[str, Any]:
    """What is known before the first change."""
    span = lost(plan, plan.choice.moment, now or datetime.now(timezone.utc))
    return {
        **blank(plan.layout.name, [*_words(plan, span), *steps]),
        "target": str(plan.choice.target),
        "label": plan.choice.label,
        "repository": plan.repository,
        "timeline_before": plan.timeline_before,
        "lost": span,
    }


def done(
    plan: Plan,
    progress: Progress,
    facts: CopyFacts,
    rto_seconds: float,
    interruption_seconds: Optional[float],
) -> dict[str, Any]:
    undo = None
    if progress.kept:
        note = history.append_command(plan.layout, facts.system_id, facts.timeline, plan.timeline_before)
        undo = progress.directories.undo_command(plan.layout.server, progress.kept, note)
    reached = facts.reached_time or str(plan.choice.backup["stopped_at"])
    until = progress.until or datetime.now(timezone.utc)
    span = lost(plan, plan.choice.moment or moment_of(reached), until)
    return {
        **planned(plan, []),
        "steps": [*progress.steps, *_words(plan, span)],
        "timeline_after": facts.timeline,
        "reached_time": reached,
        "lost": span,
        "rescued_segments": progress.rescued,
        "previous_data": progress.kept,
        "rto_seconds": round(rto_seconds, 3),
        "interruption_seconds": None if interruption_seconds is None else round(interruption_seconds, 3),
        "undo": undo,
    }


def lost(plan: Plan, since: Optional[datetime], until: datetime) -> Optional[dict[str, Any]]:
    """The time whose commits are not in what a restore brings back; None for the newest state and for an unknown one.

    The old data keep them: the undo brings them back.
    """
    if plan.choice.target.kind == LATEST or since is None:
        return None
    return {
        "from": rfc3339(since),
        "to": rfc3339(until.replace(microsecond=0)),
        "seconds": max(int((until - since).total_seconds()), 0),
    }


def _words(plan: Plan, span: Optional[dict[str, Any]]) -> list[str]:
    """What somebody has to know who chose this backup and this target."""
    words = []
    backup = plan.choice.backup
    if not backup.get("clean", True):
        reasons = "; ".join(backup.get("reasons") or ["its evidence is not complete"])
        words.append(
            "Backup %s is not clean: %s. A copy that starts may still lack data" % (plan.choice.label, reasons)
        )
    if span is not None and plan.role != CLONE:
        lost = "What was committed between %s and %s is not in the restored data; the old ones keep it"
        words.append(lost % (span["from"], span["to"]))
    return words
