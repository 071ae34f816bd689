# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The poller: every few seconds one look at everything, published as one snapshot. Private to the collection.

Whoever wants to know how the instance is gets the last snapshot and waits for nobody, so a poll has to end in time
whatever the server does: every wait has a deadline, and what may take long is read by another duty (_poll_evidence).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _audit as audit
from . import _backup_server as backup_server
from . import _poll_machine as machine
from . import _poll_memory as memories
from . import _poll_sql as sql
from . import _snapshot
from ._backup_repository import Keeper
from ._board import Board
from ._errors import PgkeepError
from ._health_check import CRITICAL, HEALTHY
from ._http_duty import INTERVAL_SECONDS, TOPIC, interval_seconds
from ._hysteresis import Hysteresis
from ._keeper_config import topic
from ._maintenance import Maintenance
from ._maintenance import current as maintenance_of
from ._poll_evidence import Evidence
from ._poll_link import HUNG
from ._poll_login import Login, Prober
from ._poll_pool import Pool
from ._poll_server import Answer, Server
from ._starts import PLANNED, Seen
from ._times import epoch_of

# How exact the interval is.
TICK_SECONDS = 0.5
# A server that is back is told well after two polls, one that is silent is told ill after three; nobody waits a whole
# interval for those after the first.
_CONFIRM_SECONDS = 1.0
# A part of the interval is left for what comes after the server.
_SHARE = 0.85

_SEVERITY = {"healthy": "info", "warning": "warning", "critical": "critical", "unknown": "info"}


@dataclass
class _Before:
    """What the last poll read, for what is a difference."""

    frequent: Optional[Mapping[str, Any]] = None
    cpu: Optional[Mapping[str, Any]] = None
    down_since: Optional[float] = None


class Poller:
    """tick() is the duty poll, look_beside() the duty evidence, look_at_pooler() the duty pool. Where the inventory
    wants no endpoints nobody looks."""

    def __init__(self, board: Board, clock: Callable[[], float] = time.time) -> None:
        self._evidence = Evidence(clock)
        self._board = board
        self._clock = clock
        self._due = 0.0
        self._server, self._prober = Server(), Prober()
        self._hysteresis, self._pool = Hysteresis(), Pool()
        self._memory: Optional[memories.Memory] = None
        self._before = _Before()

    def tick(self, keeper: Keeper) -> None:
        """Poll, if it is time for it; by the monotonic clock, so that no jump of the other one makes it pause."""
        if time.monotonic() < self._due:
            return
        wanted = topic(keeper, TOPIC)
        if not wanted:
            return
        seconds = interval_seconds(wanted)
        self._due = time.monotonic() + seconds
        if not self.poll(keeper, seconds):
            self._due = min(self._due, time.monotonic() + _CONFIRM_SECONDS)

    def look_beside(self, keeper: Keeper) -> None:
        """What may take longer than a poll; most times it only sees that nothing has changed."""
        if topic(keeper, TOPIC):
            self._evidence.look(keeper)

    def look_at_pooler(self, keeper: Keeper) -> None:
        """A pooler that is not there may take longer than a poll, too."""
        if topic(keeper, TOPIC):
            self._pool.look(keeper)

    def poll(self, keeper: Keeper, seconds: float = INTERVAL_SECONDS) -> bool:
        """One look and its snapshot, within seconds. False when what it found only wants confirming; see settled()."""
        end = time.monotonic() + seconds * _SHARE
        if self._memory is None:
            self._memory = memories.load(keeper, self._clock())
        memory = self._memory
        answer, login = self._ask(keeper, end)
        now = self._clock()
        facts = self._facts(keeper, memory, answer, login, now)
        snapshot, checks = _snapshot.make(facts, self._hysteresis)
        self._tell_changes(memory, checks, now)
        snapshot["events"] = _snapshot.events(memory.events, self._evidence.latest)
        memory.minutes.add(
            now,
            {
                "transactions_per_second": snapshot["rates"]["transactions_per_second"],
                "cache_hit_ratio": snapshot["rates"]["cache_hit_ratio"],
                "sessions_active": snapshot["sessions"]["active"],
                "response_ms": snapshot["latency"]["response_ms"],
                "disk_data_percent": next(
                    (each["used_percent"] for each in snapshot["storage"] if each["id"] == "data"), None
                ),
            },
        )
        snapshot["history"] = memory.minutes.summary()
        self._board.publish(snapshot)
        # After it is told: a disk that is full must not keep us from saying so.
        memories.save(keeper, memory)
        return settled(login.state, snapshot["checks"][0]["status"])

    def _ask(self, keeper: Keeper, end: float) -> tuple[Answer, Login]:
        """The server over its socket, then as an application would."""
        answer = self._server.ask(keeper, end)
        now = self._clock()
        if answer.state is not None:
            return answer, self._prober.not_there(now, answer.state, keeper, answer.state, answer.words)
        return answer, self._prober.probe(keeper, now, end, _around(answer.frequent))

    def _facts(
        self, keeper: Keeper, memory: memories.Memory, answer: Answer, login: Login, now: float
    ) -> dict[str, Any]:
        before, found = self._before, answer.frequent
        maintenance = _maintenance(keeper, now)
        cpu = None
        rates = sql.rates(None, {})
        if found is None:
            self._before = _Before(down_since=before.down_since or now)
        else:
            self._count_start(keeper, memory, found, answer.session, maintenance, now)
            rates = sql.rates(before.frequent, found)
            apart = found["now"] - before.frequent["now"] if before.frequent else 0.0
            cpu = machine.cpu(found["cgroup"], before.cpu, apart)
            self._before = _Before(found, cpu)
        waiting = backup_server.ready(keeper)
        self._evidence.archiver_since = None if found is None else _failing_since(keeper, found["archiver"], waiting)
        return {
            "instance": keeper.instance,
            "environment": topic(keeper, TOPIC).get("environment"),
            "now": now,
            "answer": answer,
            "login": login,
            "breaker": self._prober.breaker,
            "down_since": self._before.down_since,
            "rates": rates,
            "cpu": cpu,
            "maintenance": maintenance,
            "starts": memory.starts,
            "storage": memory.storage(now, machine.disks(keeper)),
            "archive_waiting": waiting,
            "archive_failing_since": self._evidence.archiver_since,
            "evidence": self._evidence.latest,
            "pooler": self._pool.seen(),
        }

    def _count_start(
        self,
        keeper: Keeper,
        memory: memories.Memory,
        found: Mapping[str, Any],
        session: int,
        maintenance: Optional[Maintenance],
        now: float,
    ) -> None:
        seen = Seen(found["started_at"], found["reset_at"], session)
        known = memory.starts.seen
        same = known is not None and (known.started_at, known.reset_at) == (seen.started_at, seen.reset_at)
        # The audit trail is read only when it has something to explain.
        planned = not same and (maintenance is not None or _operated(keeper, seen.started_at))
        memory.starts, start = memory.starts.look(now, seen, planned)
        if start is not None:
            memory.tell(start.at, "restart", "info" if start.kind == PLANNED else "critical", start.text)

    def _tell_changes(self, memory: memories.Memory, checks: Sequence[Mapping[str, Any]], now: float) -> None:
        for each in checks:
            if each["changed"]:
                text = "%s is %s: %s" % (each["id"], each["status"], each["message"])
                memory.tell(now, "check", _SEVERITY[each["status"]], text)


def settled(state: Optional[str], told: str) -> bool:
    """Whether the check database tells what a login found: all but an answer after trouble, and silence, it tells at
    once. state: of the login, told: the word of the check."""
    if state is None:
        return told == HEALTHY
    return state != HUNG or told == CRITICAL


def _around(found: Optional[Mapping[str, Any]]) -> Any:
    """What decides about a login: a new server, other settings or certificates, room for one more. For Breaker."""
    if found is None:
        return None
    return found["started_at"], found["loaded_at"], found["sessions"]["total"] < found["usable"]


def _failing_since(keeper: Keeper, archiver: Mapping[str, Any], waiting: list[float]) -> Optional[float]:
    """Since when the archiver fails, None while it works."""
    if not backup_server.waits(keeper, archiver["last_failed_wal"]):
        return None
    return backup_server.failing_since(waiting, archiver["failed_at"])


def _operated(keeper: Keeper, started_at: float) -> bool:
    """Whether the server's start at started_at was the work of an operation: it had begun and not yet ended."""
    done = audit.beside(keeper.state, audit.STOPPING, started_at)
    # Times are whole seconds.
    return done is not None and (epoch_of(done["at"]) or 0.0) <= started_at + 1


def _maintenance(keeper: Keeper, now: float) -> Optional[Maintenance]:
    try:
        return maintenance_of(keeper.state, now)
    except (OSError, PgkeepError):
        return None
