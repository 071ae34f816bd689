# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the poller remembers when the keeper is restarted: state/poller.json. Private to the collection."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from . import _trend as trend
from ._backup_repository import Keeper
from ._files import File, read, write
from ._starts import Starts
from ._times import rfc3339

EVENTS = 20


@dataclass
class Memory:
    """disks: volume -> samples of _trend. events: as the snapshot has them, newest first. minutes: its history."""

    starts: Starts = field(default_factory=Starts)
    disks: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    minutes: trend.Minutes = field(default_factory=trend.Minutes)

    def tell(self, now: float, kind: str, severity: str, text: str) -> None:
        event = {"at": rfc3339(now), "kind": kind, "severity": severity, "text": text}
        self.events = [event, *self.events][:EVENTS]

    def storage(self, now: float, disks: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """The part storage of the snapshot; disks are those of _poll_machine."""
        found = []
        for name, disk in disks.items():
            used = disk["size_bytes"] - disk["free_bytes"]
            samples = trend.sampled(self.disks.get(name, []), now, used)
            self.disks[name] = samples
            growth = trend.growth_per_day(samples)
            found.append(
                {
                    "id": name,
                    **{key: disk[key] for key in ("path", "size_bytes", "free_bytes")},
                    **{key: disk[key] for key in ("used_percent", "inodes_percent")},
                    "growth_bytes_per_day": growth,
                    "days_to_full": trend.days_to_full(disk["free_bytes"], growth),
                }
            )
        return found


def _path(keeper: Keeper) -> str:
    return keeper.state + "/poller.json"


def load(keeper: Keeper, now: float) -> Memory:
    """What cannot be read is forgotten: the past is then unknown, and the present is told all the same."""
    memory = Memory()
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        found = json.loads(read(_path(keeper)) or "{}")
        memory = Memory(
            Starts.from_dict(found["starts"]),
            {name: [(float(at), float(used)) for at, used in samples] for name, samples in found["disks"].items()},
            [dict(event) for event in found["events"]],
        )
        # Apart: of another version of the keeper it may be other lines.
        memory.minutes = trend.Minutes.from_dict(found["minutes"], now)
    return memory


def save(keeper: Keeper, memory: Memory) -> None:
    """Written only when something is new, which the lines are once a minute."""
    content = json.dumps(
        {
            "starts": memory.starts.to_dict(),
            "disks": memory.disks,
            "events": memory.events,
            "minutes": memory.minutes.to_dict(),
        },
        sort_keys=True,
    )
    if read(_path(keeper)) != content + "\n":
        write(File(_path(keeper), content + "\n", 0o640, os.getuid(), os.getgid()))
