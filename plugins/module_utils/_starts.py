# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts of the server, counted by the keeper itself. Pure. Private to the collection.

Docker's RestartCount falls back to 0 with a restart by hand and does not see that all sessions were lost in the crash
of one process. The server tells both: when its postmaster started, and since when it counts. Statistics outlive a clean
stop; after a crash they begin anew.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Mapping, Optional

from ._times import rfc3339

# Without one word of why. A restart that the audit trail or the maintenance explains is PLANNED and no trouble.
RESTART, CRASH, PLANNED = "restart", "crash", "planned"

_TEXTS = {
    RESTART: "the server was stopped and started again, and no operation of ours did that",
    CRASH: "the server crashed and recovered: every session was lost",
    PLANNED: "the server was restarted by an operation",
}
# Beyond the day that is judged, and no more than so many.
_KEPT_SECONDS = 7 * 86400.0
_KEPT = 200


@dataclass(frozen=True)
class Start:
    """at: seconds since the epoch. kind: one of the words above."""

    at: float
    kind: str

    @property
    def text(self) -> str:
        return _TEXTS[self.kind]


@dataclass(frozen=True)
class Seen:
    """What was known of the server when it last answered. session: number of the connection it answered on."""

    started_at: float
    reset_at: Optional[float]
    session: Optional[int] = None


@dataclass(frozen=True)
class Starts:
    """seen is None before the first answer ever."""

    seen: Optional[Seen] = None
    starts: tuple[Start, ...] = ()

    def look(self, now: float, found: Seen, planned: bool) -> tuple[Starts, Optional[Start]]:
        """After an answer of the server: the new state and what happened since the last one.

        planned: whether an operation worked on the instance meanwhile.
        """
        before, start = self.seen, None
        if before is not None:
            reset = before.reset_at != found.reset_at
            if abs(before.started_at - found.started_at) > 0.001:
                kind = PLANNED if planned else CRASH if reset else RESTART
                start = Start(found.started_at, kind)
            elif reset and before.session != found.session:
                # One process crashed and the postmaster threw out everybody, us too. pg_stat_reset_shared() looks the
                # same but for that, so that only a restart of the keeper in the same moment can confuse the two.
                start = Start(found.reset_at or now, CRASH)
        kept = tuple(each for each in self.starts if now - each.at < _KEPT_SECONDS)
        if start is not None:
            kept = (*kept, start)[-_KEPT:]
        return replace(self, seen=found, starts=kept), start

    def summary(self, now: float) -> dict[str, Any]:
        """The part restarts of the snapshot."""
        trouble = [each for each in self.starts if each.kind != PLANNED]
        day = [each for each in trouble if now - each.at < 86400]
        return {
            "last_hour": sum(now - each.at < 3600 for each in day),
            "last_day": len(day),
            "crashes_last_day": sum(each.kind == CRASH for each in day),
            "last_at": rfc3339(trouble[-1].at) if trouble else None,
        }

    def to_dict(self) -> dict[str, Any]:
        # A connection does not outlive the keeper.
        seen = None if self.seen is None else asdict(replace(self.seen, session=None))
        return {"seen": seen, "starts": [asdict(each) for each in self.starts]}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Starts:
        """The inverse of to_dict(). Raises KeyError, TypeError for anything else."""
        seen = found["seen"]
        return cls(None if seen is None else Seen(**seen), tuple(Start(**each) for each in found["starts"]))
