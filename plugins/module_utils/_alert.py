# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has to hear about, on its way out. Private to the collection.

An alert is written to the queue on disk first and delivered from there, so that neither a crash nor a network that is
away loses it. The payload holds no secret: it names the instance, what happened, why, and what to do.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any, Mapping

from ._files import File, Folder, make, write
from ._layout import GID, UID
from ._times import rfc3339

CRITICAL, WARNING, INFO = "critical", "warning", "info"
# Something is wrong, it is over, or somebody tries the way out.
FIRING, RESOLVED, TEST = "firing", "resolved", "test"


@dataclass(frozen=True)
class Alert:
    """action is what was being done (backup, drill, …), what/why/next_step as in PgkeepError; at is RFC 3339 UTC.

    A resolved alert has the action of those it ends.
    """

    instance: str
    severity: str
    action: str
    what: str
    why: str
    next_step: str
    at: str
    details: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = FIRING

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def queue_dir(state_dir: str) -> str:
    return state_dir + "/alerts/queue"


def put(state_dir: str, alert: Alert, now: float) -> str:
    """Queue the alert and return the path of its file; names sort by time."""
    folder = queue_dir(state_dir)
    # Root on the host may be the first to tell something; the keeper has to be able to take it out again.
    uid, gid = (UID, GID) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    for needed in (os.path.dirname(folder), folder):
        if not os.path.isdir(needed):
            make(Folder(needed, 0o750, uid, gid))
    moment = "%s.%06d" % (rfc3339(now).replace(":", "").rstrip("Z"), now % 1 * 1e6)
    path = "%s/%sZ-%s.json" % (folder, moment, alert.id)
    write(File(path, json.dumps(alert.to_dict(), ensure_ascii=False) + "\n", 0o640, uid, gid))
    return path
