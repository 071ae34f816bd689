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

from ._files import File, write
from ._times import rfc3339

CRITICAL, WARNING, INFO = "critical", "warning", "info"


@dataclass(frozen=True)
class Alert:
    """action is what was being done (backup, drill, …), what/why/next_step as in PgkeepError; at is RFC 3339 UTC."""

    instance: str
    severity: str
    action: str
    what: str
    why: str
    next_step: str
    at: str
    details: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def queue_dir(state_dir: str) -> str:
    return state_dir + "/alerts/queue"


def put(state_dir: str, alert: Alert, now: float) -> str:
    """Queue the alert and return the path of its file; names sort by time."""
    folder = queue_dir(state_dir)
    os.makedirs(folder, mode=0o750, exist_ok=True)
    path = "%s/%s-%s.json" % (folder, rfc3339(now).replace(":", ""), alert.id)
    write(File(path, json.dumps(alert.to_dict(), ensure_ascii=False) + "\n", 0o640, os.getuid(), os.getgid()))
    return path
