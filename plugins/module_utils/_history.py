# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instance's history file: one line each time its data directory was made. Private to the collection.

``<RFC 3339 UTC> <initialised|restored|noticed> system-id=<id>``, from the keeper (noticed) also ``timeline=<timeline>``
and from the module restore ``from=<timeline> timeline=<timeline>``. The entrypoint takes its existence for a proof that
the instance existed, and restores to the timeline of its last line.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional

from ._files import read
from ._layout import GID, UID, Layout
from ._target import moment_of, rfc3339

FILE = "history"


@dataclass(frozen=True)
class Entry:
    """One line. left and entered are the timelines before and after, None where the line does not say."""

    at: datetime
    system_id: Optional[str]
    left: Optional[int]
    entered: Optional[int]


def path(layout: Layout) -> str:
    return layout.state_dir + "/" + FILE


def entries(layout: Layout) -> list[Entry]:
    """All lines that can be read, oldest first."""
    return parse(read(path(layout)) or "")


def parse(text: str) -> list[Entry]:
    found = []
    for line in text.splitlines():
        words = line.split()
        values = dict(word.split("=", 1) for word in words[2:] if "=" in word)
        if len(words) >= 2 and words[0].endswith("Z"):
            found.append(
                Entry(
                    moment_of(words[0]),
                    values.get("system-id"),
                    _number(values.get("from")),
                    _number(values.get("timeline")),
                )
            )
    return found


def _number(text: Optional[str]) -> Optional[int]:
    return int(text) if text and text.isdigit() else None


def following(known: list[Entry]) -> Optional[int]:
    """The timeline in production as the last line tells it; None when that line does not."""
    return known[-1].entered if known else None


def timeline_at(moment: datetime, known: list[Entry], current: int) -> int:
    """The timeline that was in production at moment: the one that the first change after it left.

    Without it, going back to a time before an earlier restore would follow the wrong branch and end, without an error,
    at the state that the earlier restore had chosen.
    """
    for entry in known:
        if entry.left is not None and entry.at > moment:
            return entry.left
    return current


def append(layout: Layout, system_id: str, left: int, entered: int) -> None:
    write_line(path(layout), "restored", system_id, left, entered)


def write_line(file: str, event: str, system_id: str, left: Optional[int], entered: int) -> None:
    now = rfc3339(datetime.now(timezone.utc).replace(microsecond=0))
    with open(file, "a", encoding="utf-8") as handle:
        if os.geteuid() == 0:
            os.fchown(handle.fileno(), UID, GID)
        handle.write("%s %s\n" % (now, _rest(event, system_id, left, entered)))
        handle.flush()
        os.fsync(handle.fileno())


def append_command(layout: Layout, system_id: str, left: int, entered: int) -> str:
    """append() as a command for a shell, for the moment when it is run."""
    line = shlex.quote("+%Y-%m-%dT%H:%M:%SZ " + _rest("restored", system_id, left, entered))
    return "date -u %s >> %s" % (line, shlex.quote(path(layout)))


def _rest(event: str, system_id: str, left: Optional[int], entered: int) -> str:
    before = "" if left is None else "from=%d " % left
    return "%s system-id=%s %stimeline=%d" % (event, system_id, before, entered)
