# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody works on an instance, so that what stands still on purpose alarms nobody. Private to the collection.

There are two kinds. An operation that may stop the server holds a lock in the state folder, which the kernel gives back
however the operation ends. A person announces work of their own for some minutes; meanwhile the instance also says that
it is not ready, so that traffic goes elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Iterator, Mapping, Optional

from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._errors import PgkeepError
from ._files import File, read, write
from ._layout import GID, UID, Layout
from ._lock import hold, is_held
from ._run import Run
from ._times import epoch_of, rfc3339

LOCK = "maintenance.lock"
FILE = "maintenance.json"

LONGEST_MINUTES = 24 * 60

# Whoever looks whether the lock is held has it for an instant.
_WAIT_SECONDS = 2


@dataclass(frozen=True)
class Maintenance:
    """since and until are RFC 3339; until is None for an operation, which ends when it ends. drains: whether traffic
    is to go elsewhere."""

    reason: str
    who: str
    since: str
    until: Optional[str]
    drains: bool


@contextlib.contextmanager
def working(layout: Layout, what: str, who: str) -> Iterator[None]:
    """Say while the block runs that what, such as "restart of shop", is being done.

    Whatever is wrong with the note is no reason to leave the work undone: then the alarms are heard.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(PgkeepError, OSError):
            path = os.path.join(layout.state_dir, LOCK)
            stack.enter_context(hold(path, what, _WAIT_SECONDS, owner=(UID, GID), who=who))
        yield


def current(state_dir: str, now: float) -> Optional[Maintenance]:
    """What is being done at now (seconds since the epoch), None for nothing; asked on the host and in the keeper."""
    path = os.path.join(state_dir, LOCK)
    try:
        held = is_held(path)
    except OSError:
        held = False
    if held:
        note = _content(path)
        # Missing in the instant between the lock and the note.
        words = str(note.get("action") or "an operation"), str(note.get("who") or ""), str(note.get("since") or "")
        return Maintenance(*words, until=None, drains=False)
    note = _content(os.path.join(state_dir, FILE))
    try:
        until = epoch_of(str(note.get("until") or "")) or 0.0
    except ValueError:
        return None
    # One that ends later than any may is from a clock that was set back.
    if not now < until <= now + LONGEST_MINUTES * 60:
        return None
    return Maintenance(
        str(note.get("reason")), str(note.get("who")), str(note.get("since")), rfc3339(until), drains=True
    )


def order(layout: Layout, minutes: int, reason: str, who: str, check_mode: bool) -> dict[str, Any]:
    """Announce work of so many minutes from now on, in place of what was announced before; 0 takes that back.

    Returns changed and the object maintenance, which is None when nothing is announced then. Raises PgkeepError.
    """
    if not os.path.isdir(layout.state_dir):
        raise PgkeepError(
            "Maintenance of %s cannot be announced" % layout.name,
            "there is no %s: the instance was never deployed here" % layout.state_dir,
            "run the playbook deploy.yml, or correct the name",
        )
    path = os.path.join(layout.state_dir, FILE)
    if minutes == 0:
        there = os.path.exists(path)
        if there and not check_mode:
            with recorded(layout.state_dir, "end of maintenance", who):
                os.remove(path)
        return {"changed": there, "maintenance": None}
    if not 1 <= minutes <= LONGEST_MINUTES or not reason.strip():
        raise PgkeepError(
            "Maintenance of %s is not announced" % layout.name,
            "it takes a reason, and 1 to %d minutes, after which somebody hears of trouble again" % LONGEST_MINUTES,
            "give both; what takes longer can be announced again",
        )
    now = time.time()
    made = Maintenance(reason.strip(), who, rfc3339(now), rfc3339(now + minutes * 60), drains=True)
    if not check_mode:
        with recorded(layout.state_dir, "maintenance", who, {"reason": made.reason, "minutes": minutes}):
            write(File(path, json.dumps(asdict(made)) + "\n", 0o640, UID, GID))
    return {"changed": True, "maintenance": asdict(made)}


def ask(run: Run, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """For the module maintenance; its options are name, minutes and reason."""
    layout = Layout(options["name"])
    return order(layout, options["minutes"], options["reason"] or "", actor(ANSIBLE), check_mode)


def _content(path: str) -> dict[str, Any]:
    try:
        return dict(json.loads(read(path) or "{}"))
    except (ValueError, TypeError, OSError):
        return {}
