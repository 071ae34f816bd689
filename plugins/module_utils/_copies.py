# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews and clones of an instance: what stands, until when, and how it goes. Private to the collection.

A copy ends by itself when its time is over, and takes its data with it (passing() of _copy). What it cannot remove,
its container, its volume and its folders on the host, goes with the next command of the module restore.
"""

from __future__ import annotations

import glob
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Mapping, Optional

from . import _docker as docker
from ._container import spec_from_dict
from ._copy import PREVIEW
from ._errors import PgkeepError
from ._files import File, read, write
from ._layout import Layout
from ._release import read_current
from ._restore_plan import CLONE, data_directories
from ._run import Run
from ._target import Target, moment_of
from ._throwaway import Place, discard, remove_leftovers


@dataclass(frozen=True)
class Copy:
    """One copy; times are RFC 3339 UTC. backup and timeline are those of the choice, stamp the directory's.

    name is the clone's own, None for a preview. port: where a clone listens, None for its socket alone.
    """

    kind: str
    source: str
    name: Optional[str]
    container: str
    home: str
    target: Mapping[str, Any]
    backup: Mapping[str, Any]
    timeline: Optional[int]
    moment: Optional[str]
    stamp: str
    created_at: str
    expires_at: str
    port: Optional[int] = None
    masked: bool = False
    reached_time: Optional[str] = None

    def to_result(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "container": self.container,
            "target": str(Target(**_target_words(self.target))),
            "label": self.backup["label"],
            "reached_time": self.reached_time,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "port": self.port,
            "masked": self.masked,
            "psql": "docker exec -it %s psql -U postgres" % self.container,
        }

    def restored_target(self) -> Target:
        return Target(**_target_words(self.target))


def _target_words(words: Mapping[str, Any]) -> dict[str, Any]:
    return {**words, "moment": moment_of(words["moment"]) if words["moment"] else None}


def preview_home(layout: Layout) -> str:
    return "%s/%s" % (layout.home, PREVIEW)


def save(copy: Copy) -> None:
    write(File(copy.home + "/copy.json", json.dumps(asdict(copy)) + "\n", 0o600, gid=0))


def load(home: str) -> Optional[Copy]:
    """The copy whose folder home is, None when there is none or it was interrupted before it was written down."""
    try:
        return Copy(**json.loads(read(home + "/copy.json") or ""))
    except (ValueError, TypeError):
        return None


def preview_of(layout: Layout) -> Optional[Copy]:
    return load(preview_home(layout))


def clones_of(layout: Layout) -> list[Copy]:
    homes = sorted(os.path.dirname(path) for path in glob.glob(os.path.dirname(layout.home) + "/*/copy.json"))
    return [copy for copy in map(load, homes) if copy and copy.kind == CLONE and copy.source == layout.name]


def standing(run: Run, layout: Layout, now: Optional[datetime] = None) -> list[Copy]:
    """The copies whose time is not over and whose container runs."""
    preview = preview_of(layout)
    found = [*([preview] if preview else []), *clones_of(layout)]
    return [copy for copy in found if stands(run, copy, now)]


def stands(run: Run, copy: Copy, now: Optional[datetime] = None) -> bool:
    over = moment_of(copy.expires_at) <= (now or datetime.now(timezone.utc))
    return not over and docker.running(docker.inspect(run, copy.container))


def remove_expired(run: Run, layout: Layout, now: Optional[datetime] = None) -> list[str]:
    """Remove every copy that does not stand any more, also what an interrupted one left; returns sentences."""
    steps = []
    preview = preview_of(layout)
    if (preview is None or not stands(run, preview, now)) and remove_preview(run, layout):
        steps.append("Removed the preview, whose time was over")
    for copy in clones_of(layout):
        if not stands(run, copy, now):
            remove_clone(run, copy)
            steps.append("Removed the clone %s, whose time was over" % copy.name)
    return steps


def remove_preview(run: Run, layout: Layout) -> bool:
    """Whether there was anything of one."""
    removed = remove_leftovers(run, layout.name, PREVIEW)
    release = read_current(layout)
    if release is not None:
        server = spec_from_dict(release["server"])
        try:
            directories = data_directories(run, server, int(release["major"]), PREVIEW, {})
        except PgkeepError:
            # The data volume is lost, and the preview's data with it.
            directories = None
        removed += directories.remove_copies() if directories else []
    there = os.path.isdir(preview_home(layout))
    discard(Place(preview_home(layout)))
    return bool(removed) or there


def remove_clone(run: Run, copy: Copy) -> None:
    docker.remove(run, copy.container)
    volume = "%s-data" % copy.name
    if docker.volume(run, volume) is not None:
        docker.remove_volume(run, volume)
    discard(Place(copy.home))


def abandon(run: Run, layout: Layout, name: Optional[str]) -> list[str]:
    """Remove the clone of that name, or without one the preview. Raises PgkeepError when there is none."""
    if name is None:
        if not remove_preview(run, layout):
            raise _none("The preview of %s" % layout.name, layout)
        return ["Removed the preview"]
    copy = next((copy for copy in clones_of(layout) if copy.name == name), None)
    if copy is None:
        raise _none("The clone %s" % name, layout)
    remove_clone(run, copy)
    return ["Removed the clone %s with its volume" % name]


def _none(what: str, layout: Layout) -> PgkeepError:
    names = ", ".join(str(copy.name) for copy in clones_of(layout)) or "none"
    why = "there is none; clones of %s are: %s" % (layout.name, names)
    return PgkeepError(what + " cannot be removed", why, "nothing, if it was to go: it may have ended by itself")
