# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail: who did what to an instance, when, with which result. Private to the collection.

One JSON object a line, appended and flushed to disk; a start record before the work, an end record after it, so that a
start without an end is work that was killed. Each line carries the SHA-256 of the one before: a line that was changed
or taken out breaks the chain. Lines cut off at the end are seen only by whoever kept the last hash elsewhere.

It is bounded: a full file is kept beside the next one, whose first line goes on with its chain, and forgotten when that
one is full.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Collection, Iterator, Mapping, Optional, Sequence

from ._errors import PgkeepError
from ._layout import GID, UID
from ._times import epoch_of, rfc3339

FILE = "audit.jsonl"
# The one before.
FORMER = "audit.jsonl.1"

# Some 8000 operations each; twice that is kept.
_FULL_BYTES = 8 * 1024 * 1024

# Of the first line of a file that goes on with the chain of another one.
_CONTINUED = "continued"

# Operations of the host that may stop the server.
STOPPING = (
    "deploy",
    "rollback",
    "undo-upgrade",
    "finish-upgrade",
    "restore",
    "promote",
    "restart",
    "restart test",
    "remove",
)

_FIRST = "0" * 64

# Enough for the last line; doubled where it is not.
_TAIL_BYTES = 4096


@dataclass
class Outcome:
    """What the end record will say besides the result; the work fills it."""

    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What verify() found. broken is the number of the first line whose chain or form is wrong, None when all is well.

    unfinished: the start records without an end, oldest first. head: hash of the last line, to be kept elsewhere.
    """

    records: int
    broken: Optional[int]
    unfinished: tuple[Mapping[str, Any], ...]
    head: str


@contextlib.contextmanager
def recorded(
    state_dir: str, action: str, actor: str, parameters: Optional[Mapping[str, Any]] = None
) -> Iterator[Outcome]:
    """Record the block as action. parameters must hold no secret. An error of the block is its result and passes on."""
    identity = uuid.uuid4().hex
    began = time.monotonic()
    common = {"id": identity, "action": action, "actor": actor}
    append(state_dir, {**common, "phase": "start", "parameters": dict(parameters or {})})
    outcome = Outcome()
    result, error = "interrupted", None
    try:
        yield outcome
        result = "ok"
    except PgkeepError as failure:
        result, error = "busy" if failure.busy else "failed", failure.to_result()
        raise
    except Exception as failure:
        result, error = "failed", {"what": type(failure).__name__, "why": str(failure)}
        raise
    finally:
        end = {**common, "phase": "end", "result": result, "duration_seconds": round(time.monotonic() - began, 3)}
        append(state_dir, {**end, "details": outcome.details, "error": error})


def note(state_dir: str, action: str, actor: str) -> None:
    """Record what ends in another program. A trail that cannot be written keeps nobody out: the disk may be full."""
    with contextlib.suppress(OSError), recorded(state_dir, action, actor):
        pass


def append(state_dir: str, record: Mapping[str, Any]) -> None:
    """Add one record; at, host and previous are filled in."""
    path, former = (os.path.join(state_dir, name) for name in (FILE, FORMER))
    with _opened(path) as handle:
        last = _last_line(handle)
        if handle.seek(0, os.SEEK_END) < _FULL_BYTES:
            if not last and os.path.exists(former):
                with open(former, "r+b") as before:
                    _write(handle, {"phase": _CONTINUED}, _hash(_last_line(before)))
                last = _last_line(handle)
            _write(handle, record, _hash(last))
            return
        os.rename(path, former)
    append(state_dir, record)


def _write(handle: BinaryIO, record: Mapping[str, Any], previous: str) -> None:
    line = {"at": rfc3339(time.time()), "host": socket.gethostname(), **record, "previous": previous}
    handle.seek(0, os.SEEK_END)
    # In one write: a crash leaves the line or nothing of it.
    handle.write((json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n").encode(errors="replace"))
    handle.flush()
    os.fsync(handle.fileno())


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """The file, locked against other writers. Root and the keeper both write it, so it belongs to the keeper's user."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "r+b") as handle:
            if os.geteuid() == 0:
                os.fchown(descriptor, UID, GID)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is(path, descriptor):
                # Somebody else has begun the next file meanwhile.
                continue
            yield handle
            return


def _is(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _last_line(handle: BinaryIO) -> str:
    """The last line. What a crash left half written is ended, so that it breaks the chain visibly."""
    size = handle.seek(0, os.SEEK_END)
    tail_bytes = _TAIL_BYTES
    while True:
        begin = max(size - tail_bytes, 0)
        handle.seek(begin)
        tail = handle.read()
        # The line is whole when the end of the one before it is there too.
        if begin == 0 or b"\n" in tail[:-1]:
            break
        tail_bytes *= 2
    if tail and not tail.endswith(b"\n"):
        handle.write(b"\n")
    return tail.removesuffix(b"\n").rpartition(b"\n")[2].decode(errors="replace")


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest() if line else _FIRST


def records(state_dir: str) -> list[dict[str, Any]]:
    """All records that can be read, oldest first."""
    found = []
    for line in _lines(state_dir):
        with contextlib.suppress(ValueError, TypeError):
            found.append(dict(json.loads(line)))
    return found


def operations(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Start and end of each operation as one: at, host, actor, action, parameters, result, duration_seconds, details,
    error. Ordered by their starts; result is "unfinished" for one that runs or was killed."""
    pairs: dict[str, dict[str, Any]] = {}
    for record in found:
        if record.get("phase") == "start":
            pairs[str(record["id"])] = {
                **{name: record.get(name) for name in ("at", "host", "actor", "action", "parameters")},
                "result": "unfinished",
                "duration_seconds": None,
                "details": {},
                "error": None,
            }
        elif record.get("id") in pairs:
            ends = ("result", "duration_seconds", "details", "error")
            pairs[str(record["id"])].update((name, record.get(name)) for name in ends)
    return list(pairs.values())


def beside(state_dir: str, actions: Collection[str], since: float) -> Optional[dict[str, Any]]:
    """The newest operation of those called actions, unless it had ended before since (seconds since the epoch).

    Only the newest: one of before that has no end was killed.
    """
    found = [each for each in operations(records(state_dir)) if each["action"] in actions][-1:]
    for each in found:
        seconds = each["duration_seconds"]
        # Times are whole seconds.
        if seconds is None or (epoch_of(each["at"]) or 0) + seconds + 1 >= since:
            return each
    return None


def verify(state_dir: str) -> Verdict:
    """Follow the chain from the first line to the last."""
    previous, broken, open_ = "", None, {}
    lines = _lines(state_dir)
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            # The file before the oldest one is forgotten.
            forgotten = number == 1 and record.get("phase") == _CONTINUED
            intact = forgotten or record["previous"] == _hash(previous)
        except (ValueError, KeyError, TypeError):
            record, intact = {}, False
        if not intact and broken is None:
            broken = number
        if record.get("phase") == "start":
            open_[record.get("id")] = record
        elif record.get("phase") == "end":
            open_.pop(record.get("id"), None)
        previous = line
    return Verdict(len(lines), broken, tuple(open_.values()), _hash(previous))


def _lines(state_dir: str) -> list[str]:
    return [line for name in (FORMER, FILE) for line in _lines_of(os.path.join(state_dir, name))]


def _lines_of(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as handle:
            # Not splitlines(): a parameter may hold a line separator of Unicode, which JSON leaves as it is.
            text = handle.read()
        return text.removesuffix("\n").split("\n") if text else []
    except FileNotFoundError:
        return []
