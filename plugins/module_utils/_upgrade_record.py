# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a change of the major version: how it was done, how far it came. Private to the collection.

On disk before each step that matters, so that after a power cut the next run knows what it finds.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional

from ._errors import PgkeepError
from ._files import File, read, write
from ._layout import Layout
from ._release import read_current

_FILE = "upgrade.json"
_REHEARSED = "rehearsed.json"

# The old server can simply be started again. Its data may be without pg_control, which pg_upgrade --link renames.
CROSSING = "crossing"
# The new server may have written: data files that both share are no longer the old server's.
STARTED = "started"
# A release of the new major was recorded.
DONE = "done"


@dataclass(frozen=True)
class Record:
    """way is link, clone or copy. label, timeline and system_id: from which backup, along which timeline the old
    server's data can be restored as they were when it was stopped."""

    before: int
    after: int
    way: str
    phase: str
    at: str
    label: str
    timeline: int
    system_id: str


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal that passed: from and to which major, with which image of the new server."""

    before: int
    after: int
    image: str
    at: str


def load(layout: Layout) -> Optional[Record]:
    found = _read(layout, _FILE)
    return Record(**found) if found else None


def save(layout: Layout, record: Record) -> None:
    write(File(os.path.join(layout.home, _FILE), json.dumps(asdict(record), sort_keys=True) + "\n", 0o600, gid=0))


def advance(layout: Layout, phase: str) -> None:
    record = load(layout)
    if record is not None:
        save(layout, replace(record, phase=phase))


def forget(layout: Layout) -> None:
    path = os.path.join(layout.home, _FILE)
    if os.path.exists(path):
        os.unlink(path)


def load_rehearsal(layout: Layout) -> Optional[Rehearsal]:
    found = _read(layout, _REHEARSED)
    return Rehearsal(**found) if found else None


def save_rehearsal(layout: Layout, passed: Rehearsal) -> None:
    write(File(os.path.join(layout.home, _REHEARSED), json.dumps(asdict(passed), sort_keys=True) + "\n", 0o600, gid=0))


def _read(layout: Layout, name: str) -> dict[str, Any]:
    path = os.path.join(layout.home, name)
    text = read(path)
    try:
        return dict(json.loads(text)) if text else {}
    except (ValueError, TypeError) as error:
        raise PgkeepError(
            "The upgrade of %s cannot be followed" % layout.name,
            "%s: %s" % (path, error),
            "move the file aside when the instance serves and no upgrade runs",
        ) from error


def crossed(layout: Layout) -> bool:
    """Whether a new server was started whose release nobody recorded: then its data count, and never again the old."""
    record, release = load(layout), read_current(layout)
    if record is None or record.phase != STARTED:
        return False
    return release is not None and int(release["major"]) == record.before


def serving_major(layout: Layout) -> Optional[int]:
    """The major version whose data count, None before the first release: a new server that was started once has them,
    also when nobody came to record it."""
    release = read_current(layout)
    record = load(layout)
    if record is not None and record.phase == STARTED:
        return record.after
    return int(release["major"]) if release else None
