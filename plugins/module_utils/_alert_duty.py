# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering alerts as a duty of the keeper: in order, to everyone, until each receiver has them. Private.

A receiver that fails delays nobody but itself: its next attempt waits 1, 2, 4 … up to 300 seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Mapping, Optional, Sequence, Union

from . import _alert as alerts
from . import _alert_queue as queue
from ._alert_config import Config, Receiver, load
from ._alert_queue import Entry, Memory
from ._alert_send import Undelivered, payload, send
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._layout import PGBACKREST_CONFIG_MOUNT
from ._redact import redact, secrets

LONGEST_WAIT_SECONDS = 300.0
# A receiver that says of one alert that it will never take it, is believed after this many times.
HOPELESS_TRIES = 3

# What could not be written down, by state folder: a disk may be full, and what was forgotten would be sent every tick.
_unsaved: dict[str, Memory] = {}

Send = Callable[[Receiver, Mapping[str, Any]], str]


def check(keeper: Keeper) -> None:
    load(keeper)


def tick(keeper: Keeper, clock: Callable[[], float] = time.time, deliver: Send = send) -> None:
    """Look through the queue once and deliver all that can be delivered now.

    Raises PgkeepError, after its work, when that cannot be written down.
    """
    config = load(keeper)
    receivers = config.receivers if config else ()
    memory = _unsaved.get(keeper.state) or queue.load(keeper.state)
    now = clock()
    waiting = queue.entries(keeper.state, memory)
    if config is not None:
        _thin_out(waiting, memory, now, config.repeat_seconds)
    _forget(memory, waiting, receivers)
    # Who tests the way wants to know now how it is.
    for entry in waiting:
        if entry.alert.get("status") == alerts.TEST and entry.id not in memory.progress:
            memory.progress[entry.id] = {}
            for known in memory.receivers.values():
                known["next_at"] = 0.0
    # Before anybody is asked, who may take ten seconds to answer: whoever waits for a test sees that it is looked at.
    _save(keeper, memory)
    known_secrets = secrets(keeper.config, PGBACKREST_CONFIG_MOUNT + "/pgbackrest.conf") if waiting else ()
    while True:
        waiting = _archive(keeper, memory, receivers, waiting)
        work = _work(waiting, memory, receivers, clock())
        if not work or config is None:
            break
        _round(config, memory, work, known_secrets, clock, deliver)
        _save(keeper, memory)
    error = _save(keeper, memory)
    if error is not None:
        raise error


def _save(keeper: Keeper, memory: Memory) -> Optional[Exception]:
    """Write memory down, or keep it here; returns why it could not be written."""
    try:
        queue.save(keeper.state, memory)
    except (PgkeepError, OSError) as error:
        _unsaved[keeper.state] = memory
        return error
    _unsaved.pop(keeper.state, None)
    return None


def _thin_out(waiting: list[Entry], memory: Memory, now: float, repeat_seconds: float) -> None:
    for entry in queue.collapse(waiting, memory, now, repeat_seconds):
        queue.remove(entry)
        waiting.remove(entry)
    for entry in queue.overflow(waiting):
        queue.remove(entry)
        waiting.remove(entry)
        memory.count("dropped")
        # The next one like it is no repeat of something that was told.
        memory.repeats = {key: told for key, told in memory.repeats.items() if told["id"] != entry.id}


def _forget(memory: Memory, waiting: Sequence[Entry], receivers: Sequence[Receiver]) -> None:
    """What was withdrawn from the queue, and who is no receiver any more."""
    there, names = {entry.id for entry in waiting}, {receiver.name for receiver in receivers}
    memory.progress = {identity: done for identity, done in memory.progress.items() if identity in there}
    memory.receivers = {name: known for name, known in memory.receivers.items() if name in names}


def _archive(keeper: Keeper, memory: Memory, receivers: Sequence[Receiver], waiting: Sequence[Entry]) -> list[Entry]:
    """Move what everybody has to the sent ones; returns the rest, without what was withdrawn meanwhile.

    Where nobody is to be told, every alert is finished at once: who is told later wants no old ones.
    """
    names = {receiver.name for receiver in receivers}
    rest = []
    for entry in waiting:
        if names <= _finished(memory, entry):
            # Where it cannot be moved it stays, and everybody still has it.
            with contextlib.suppress(PgkeepError, OSError):
                queue.archive(keeper.state, entry, memory)
        elif os.path.exists(entry.path):
            rest.append(entry)
    return rest


def _finished(memory: Memory, entry: Entry) -> set[str]:
    """The receivers that have it or will never take it."""
    return {
        name
        for name, done in memory.progress.get(entry.id, {}).items()
        if "at" in done or done.get("tries", 0) >= HOPELESS_TRIES
    }


def _work(
    waiting: Sequence[Entry], memory: Memory, receivers: Sequence[Receiver], now: float
) -> list[tuple[Receiver, Entry]]:
    """For each receiver that may be tried now, the oldest alert that it does not have."""
    work = []
    for receiver in receivers:
        next_at = memory.receivers.get(receiver.name, {}).get("next_at", 0.0)
        # A moment further ahead than any wait is left from a clock that was set back.
        if now < next_at <= now + LONGEST_WAIT_SECONDS:
            continue
        oldest = next((entry for entry in waiting if receiver.name not in _finished(memory, entry)), None)
        if oldest is not None:
            work.append((receiver, oldest))
    return work


def _round(
    config: Config,
    memory: Memory,
    work: Sequence[tuple[Receiver, Entry]],
    known_secrets: Sequence[str],
    clock: Callable[[], float],
    deliver: Send,
) -> None:
    """One attempt for each receiver, side by side, and what came of it."""

    def attempt(receiver: Receiver, entry: Entry) -> Union[str, Undelivered]:
        content = redact(payload(entry.alert, config.host, queue.repeated(memory, entry.id)), known_secrets)
        try:
            return deliver(receiver, content)
        except Undelivered as error:
            return error

    began = clock()
    with ThreadPoolExecutor(max_workers=len(work)) as pool:
        outcomes = list(pool.map(lambda pair: attempt(*pair), work))
    ended = clock()
    for (receiver, entry), outcome in zip(work, outcomes):
        if isinstance(outcome, Undelivered):
            _failed(memory, receiver, entry, outcome, redact(str(outcome), known_secrets), ended)
        else:
            done = {"at": ended, "seconds": round(ended - began, 3), "answer": redact(outcome, known_secrets)}
            memory.progress.setdefault(entry.id, {})[receiver.name] = done
            memory.receivers[receiver.name] = {"delivered_at": ended, "failures": 0, "next_at": 0.0}


def _failed(memory: Memory, receiver: Receiver, entry: Entry, error: Undelivered, words: str, now: float) -> None:
    known = memory.receivers.setdefault(receiver.name, {})
    failures = known.get("failures", 0) + 1
    known.update(
        failures=failures,
        failing_since=known.get("failing_since") or now,
        next_at=now + wait_seconds(failures),
        error=words,
    )
    if error.hopeless:
        done = memory.progress.setdefault(entry.id, {}).setdefault(receiver.name, {"tries": 0})
        done.update(tries=done["tries"] + 1, refused=words)
        if done["tries"] >= HOPELESS_TRIES:
            memory.count("refused")


def wait_seconds(failures: int) -> float:
    """How long a receiver that failed so many times in a row is left alone."""
    return min(2.0 ** min(failures - 1, 20), LONGEST_WAIT_SECONDS)


def state_of(keeper: Keeper, identity: str) -> Optional[Mapping[str, Mapping[str, Any]]]:
    """Receiver -> how it took the alert, as far as it is known. None when nobody has looked at it yet."""
    record = queue.sent(keeper.state, identity)
    if record is not None:
        return dict(record["delivered"])
    return queue.load(keeper.state).progress.get(identity)
