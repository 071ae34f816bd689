# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A circuit breaker: who failed again and again is left alone for a while. Pure. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"

_FAILURES = 5
_SUCCESSES = 2
_FIRST_SECONDS = 30.0
_LONGEST_SECONDS = 300.0


@dataclass(frozen=True)
class Breaker:
    """failures are in a row. around: what was known around the last failure; see allows()."""

    state: str = CLOSED
    failures: int = 0
    successes: int = 0
    opened_at: Optional[float] = None
    open_seconds: float = _FIRST_SECONDS
    around: Any = None

    def allows(self, now: float, around: Any) -> bool:
        """Whether to try now. around: anything comparable that tells what success depends on.

        The breaker keeps us from asking the same question again when nothing has changed: wrong passwords fill the log
        of the server, logins that hang fill its queue. Where something has changed, waiting would only delay the news:
        a server that began anew, a password that was written, a connection that became free. So then
        one try is due at once, whatever the time; that it fails too is paid with one line in a log.
        """
        if self.state != OPEN or self.opened_at is None or around != self.around:
            return True
        # Before opened_at: the clock was set back.
        return not 0 <= now - self.opened_at < self.open_seconds

    def failed(self, now: float, around: Any) -> Breaker:
        failures = self.failures + 1
        if self.state == CLOSED:
            if failures < _FAILURES:
                return replace(self, failures=failures, successes=0, around=around)
            return Breaker(OPEN, failures, 0, now, _FIRST_SECONDS, around)
        return Breaker(OPEN, failures, 0, now, min(self.open_seconds * 2, _LONGEST_SECONDS), around)

    def succeeded(self) -> Breaker:
        if self.state == CLOSED:
            return Breaker()
        successes = self.successes + 1
        if successes < _SUCCESSES:
            return replace(self, state=HALF_OPEN, successes=successes)
        return Breaker()
