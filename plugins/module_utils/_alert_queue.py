# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of alerts on disk: what waits, who has what already, what was dropped. Private to the collection.

Anybody may put a file into the queue; only the duty alerts takes one out. Its memory, delivery.json, is written after
every attempt, so that a crash repeats at most the attempt that was under way. A receiver knows a repeat by its id.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Mapping, Optional, Sequence

from . import _alert as alerts
from ._files import File, read, write
from ._times import epoch_of, rfc3339

MAXIMUM = 500
SENT_MAXIMUM = 200

# The least important first: what is dropped when the queue is full.
_ORDER = (alerts.INFO, alerts.WARNING, alerts.CRITICAL)


@dataclass(frozen=True)
class Entry:
    """A file of the queue and the alert in it."""

    path: str
    alert: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.alert["id"])


@dataclass
class Memory:
    """delivery.json. Times in it are seconds since the epoch.

    receivers: name -> failures (in a row), failing_since, next_at, error, delivered_at.
    progress: id of an alert -> receiver -> at, seconds, answer, or refused with the words why it will never take it.
    repeats: key of an alert -> id and told_at of the one that was told, count of those that were not, last_at, before
    (how many were not told when this one was new).
    counters: sent, dropped, collapsed, refused, unreadable; since the instance exists.
    """

    receivers: dict[str, dict[str, Any]] = field(default_factory=dict)
    progress: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    repeats: dict[str, dict[str, Any]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + by


def _memory_path(state_dir: str) -> str:
    return state_dir + "/alerts/delivery.json"


def sent_dir(state_dir: str) -> str:
    return state_dir + "/alerts/sent"


def load(state_dir: str) -> Memory:
    """What cannot be read is forgotten: alerts are then told twice rather than never."""
    try:
        content = json.loads(read(_memory_path(state_dir)) or "{}")
        return Memory(**{name: dict(content.get(name) or {}) for name in Memory.__dataclass_fields__})
    except (ValueError, TypeError, AttributeError):
        return Memory()


def save(state_dir: str, memory: Memory) -> None:
    content = json.dumps(asdict(memory), ensure_ascii=False, sort_keys=True) + "\n"
    if read(_memory_path(state_dir)) != content:
        _write(_memory_path(state_dir), content)


def _write(path: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    write(File(path, content, 0o640, os.getuid(), os.getgid()))


def entries(state_dir: str, memory: Optional[Memory] = None) -> list[Entry]:
    """What waits, oldest first. With memory a file that holds no alert is put aside and counted."""
    folder = alerts.queue_dir(state_dir)
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if not name.endswith(".json"):
            continue
        try:
            content = json.loads(read(path) or "null")
            missing = not isinstance(content, dict) or not {"id", "action", "what", "severity"} <= content.keys()
        except (ValueError, PermissionError):
            missing = True
        if not missing:
            found.append(Entry(path, content))
        elif memory is not None and os.path.exists(path):
            os.replace(path, path + ".unreadable")
            memory.count("unreadable")
    return found


def remove(entry: Entry) -> None:
    """Take it out; whoever put it may have done so first."""
    if os.path.exists(entry.path):
        os.unlink(entry.path)


def archive(state_dir: str, entry: Entry, memory: Memory) -> None:
    """Move a finished alert to the sent ones, with who took it when, and keep those bounded."""
    folder = sent_dir(state_dir)
    delivered = memory.progress.get(entry.id, {})
    content = json.dumps({**entry.alert, "delivered": delivered}, ensure_ascii=False) + "\n"
    _write(os.path.join(folder, os.path.basename(entry.path)), content)
    remove(entry)
    memory.progress.pop(entry.id, None)
    memory.count("sent")
    for name in sorted(os.listdir(folder))[:-SENT_MAXIMUM]:
        os.unlink(os.path.join(folder, name))


def sent(state_dir: str, identity: str) -> Optional[Mapping[str, Any]]:
    """The record of a finished alert."""
    folder = sent_dir(state_dir)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.endswith("-%s.json" % identity):
            return dict(json.loads(read(os.path.join(folder, name)) or "{}"))
    return None


def recent(state_dir: str, count: int) -> list[Mapping[str, Any]]:
    """The newest alerts, sent or waiting, oldest first."""
    paths = [
        os.path.join(folder, name)
        for folder in (sent_dir(state_dir), alerts.queue_dir(state_dir))
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if name.endswith(".json")
    ]
    found: list[Mapping[str, Any]] = []
    for path in sorted(paths, key=os.path.basename)[-count:]:
        with contextlib.suppress(ValueError, PermissionError):
            content = json.loads(read(path) or "null")
            if isinstance(content, dict) and {"at", "severity", "what"} <= content.keys():
                found.append(content)
    return found


def overflow(waiting: Sequence[Entry], maximum: int = MAXIMUM) -> list[Entry]:
    """Which of them go when there are more than maximum: of the lowest severity the oldest."""
    by_weight = sorted(waiting, key=lambda entry: _weight(entry.alert))
    return by_weight[: max(len(waiting) - maximum, 0)]


def _weight(alert: Mapping[str, Any]) -> int:
    severity = alert["severity"]
    return _ORDER.index(severity) if severity in _ORDER else len(_ORDER)


def collapse(waiting: Sequence[Entry], memory: Memory, now: float, repeat_seconds: float) -> list[Entry]:
    """Which of them repeat one that was told within repeat_seconds; they are counted in memory.

    The end of a trouble is never a repeat, and what comes after it is new.
    """
    repeated = []
    for entry in waiting:
        alert = entry.alert
        status = alert.get("status", alerts.FIRING)
        if status == alerts.RESOLVED:
            # Only those told before it: this one may wait for long and be looked at again.
            for key in [key for key, told in memory.repeats.items() if told["action"] == alert["action"]]:
                if memory.repeats[key]["at"] <= alert["at"] and memory.repeats[key]["id"] != entry.id:
                    del memory.repeats[key]
        if status != alerts.FIRING:
            continue
        key = json.dumps([alert["action"], alert["severity"], alert["what"]], ensure_ascii=False)
        told = memory.repeats.get(key)
        if told is not None and told["id"] == entry.id:
            continue
        if told is not None and 0 <= now - told["told_at"] < repeat_seconds:
            told.update(count=told["count"] + 1, last_at=now)
            memory.count("collapsed")
            repeated.append(entry)
        else:
            before = told["count"] if told else 0
            times = {"at": alert["at"], "told_at": now, "last_at": now}
            memory.repeats[key] = {"id": entry.id, "action": alert["action"], **times, "count": 0, "before": before}
    forget = max(repeat_seconds, 1) * 10
    memory.repeats = {key: told for key, told in memory.repeats.items() if now - told["last_at"] < forget}
    return repeated


def repeated(memory: Memory, identity: str) -> int:
    """How many like it were not told, so far or when it was new."""
    return sum(told["count"] + told["before"] for told in memory.repeats.values() if told["id"] == identity)


def summary(state_dir: str, names: Sequence[str], now: float) -> dict[str, Any]:
    """The queue for people: queued, oldest_at, counters, and each receiver with what it waits for and why it fails."""
    memory = load(state_dir)
    waiting = entries(state_dir)
    return {
        "queued": len(waiting),
        "oldest_at": waiting[0].alert["at"] if waiting else None,
        **{name: memory.counters.get(name, 0) for name in ("sent", "dropped", "collapsed", "refused", "unreadable")},
        "receivers": [_receiver(name, memory, waiting, now) for name in names],
    }


def _receiver(name: str, memory: Memory, waiting: Sequence[Entry], now: float) -> dict[str, Any]:
    known = memory.receivers.get(name, {})
    failing_since = known.get("failing_since")
    return {
        "name": name,
        "waiting": sum(1 for entry in waiting if name not in memory.progress.get(entry.id, {})),
        "delivered_at": rfc3339(known["delivered_at"]) if known.get("delivered_at") else None,
        "failing_since": rfc3339(failing_since) if failing_since else None,
        "failures": known.get("failures", 0),
        "error": known.get("error"),
        "next_attempt_at": rfc3339(max(known["next_at"], now)) if failing_since else None,
    }


def stuck(state_dir: str, now: float, seconds: float) -> bool:
    """Whether something waits, or a receiver fails, for longer than seconds."""
    memory = load(state_dir)
    if any(now - known["failing_since"] > seconds for known in memory.receivers.values() if known.get("failing_since")):
        return True
    return any(now - (epoch_of(entry.alert.get("at")) or now) > seconds for entry in entries(state_dir)[:1])


def give_up(state_dir: str, identity: str) -> None:
    """Take one alert out of the queue, whoever waits for it."""
    for entry in entries(state_dir):
        if entry.id == identity:
            remove(entry)
