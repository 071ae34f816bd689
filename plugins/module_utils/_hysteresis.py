# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flickers is not told: a check changes its word only when it has been so for some polls. Pure. Private."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._health_check import CRITICAL, HEALTHY, UNKNOWN, WARNING

# In a row, as Patroni, CloudNativePG and Kubernetes count.
_POLLS = {WARNING: 2, CRITICAL: 3}
_RECOVERED_POLLS = 2

_RANK = {HEALTHY: 0, WARNING: 1, CRITICAL: 2}


@dataclass
class _Memory:
    status: str
    since: float
    # So many polls in a row said at least this, or something better than what is told.
    warning: int = 0
    critical: int = 0
    better: int = 0


@dataclass
class Hysteresis:
    """The words of all checks that are told; since is seconds since the epoch."""

    known: dict[str, _Memory] = field(default_factory=dict)

    def settle(self, identity: str, found: str, now: float, *, at_once: bool = False) -> tuple[str, float, bool]:
        """What is told of a check that was just judged as found, since when, and whether that is news.

        at_once: what is worse needs no repetition, such as a server that is not there. That nothing could be measured,
        and the first word after that, is told at once too; neither is news, unless what is then measured is bad.
        """
        memory = self.known.get(identity)
        if memory is None or UNKNOWN in (found, memory.status):
            changed = memory is not None and memory.status != found
            if memory is None or changed:
                self.known[identity] = memory = _Memory(found, now)
            memory.warning, memory.critical = int(_rank(found) >= 1), int(_rank(found) >= 2)
            return memory.status, memory.since, changed and _rank(found) > 0
        memory.warning = memory.warning + 1 if _rank(found) >= 1 else 0
        memory.critical = memory.critical + 1 if _rank(found) >= 2 else 0
        memory.better = memory.better + 1 if _rank(found) < _rank(memory.status) else 0
        told = memory.status
        if memory.better >= _RECOVERED_POLLS:
            told = found
        elif _rank(found) > _rank(told):
            if found == CRITICAL and (at_once or memory.critical >= _POLLS[CRITICAL]):
                told = CRITICAL
            elif told == HEALTHY and (at_once or memory.warning >= _POLLS[WARNING]):
                told = WARNING
        changed = told != memory.status
        if changed:
            memory.status, memory.since, memory.better = told, now, 0
        return memory.status, memory.since, changed


def _rank(status: str) -> int:
    return _RANK.get(status, 0)
