# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Space on a full disk, from what nobody needs to serve or to recover. Private to the collection."""

from __future__ import annotations

import os
from typing import Any

from . import _docker as docker
from ._audit import recorded
from ._container import spec_from_dict
from ._errors import PgkeepError
from ._keeper import ask
from ._layout import DATA_MOUNT, Layout
from ._lock import hold
from ._release import utc_stamp
from ._restore_plan import require_release
from ._run import Run
from ._swap import Directories
from ._throwaway import Place, discard, host_path, remove_leftovers, source_of

# Data that were replaced by a restore or by its undo, and copies that a killed restore left half made.
_KINDS = ("previous", "undone", "restore")

# Roles of containers and volumes that live as long as one operation, and their folders.
_ROLES = ("drill", "restore")


def free(run: Run, layout: Layout, who: str, check: bool) -> dict[str, Any]:
    """Remove what is listed; with check only list it. Never a backup that is needed, never WAL, never the data.

    The lock is held: what an operation that runs now has made is no leftover. The keeper comes last, since it may need
    some of the space to write down which backups are gone.
    """
    release = require_release(layout)
    with hold(layout.lock_file, "freeing of space of %s" % layout.name, who=who):
        server = spec_from_dict(release["server"])
        root = host_path(run, source_of(server, DATA_MOUNT))
        directories = Directories(root, int(release["major"]), utc_stamp())
        if not directories.has_data():
            # After a kill between two renames the only data lie under another name.
            raise PgkeepError(
                "No space of %s was freed" % layout.name,
                "%s is not there, so what lies beside it may be the only data" % directories.data,
                "pgkeep %s restore --confirm %s, then repeat" % (layout.name, layout.name),
            )
        found = {path: _size(path) for kind in _KINDS for path in directories.named(kind)}
        if check:
            return _result(layout, found, _leftovers(run, layout), _expire(run, layout, who, check))
        with recorded(layout.state_dir, "free", who, {"directories": found}) as outcome:
            for kind in _KINDS:
                directories.remove(kind)
            leftovers = [name for role in _ROLES for name in remove_leftovers(run, layout.name, role)]
            for role in _ROLES:
                discard(Place("%s/%s" % (layout.home, role)))
            backups = _expire(run, layout, who, check)
            outcome.details.update(leftovers=leftovers, backups=backups)
    return _result(layout, found, leftovers, backups)


def _leftovers(run: Run, layout: Layout) -> list[str]:
    return [name for kind in ("container", "volume") for name in docker.labelled(run, kind, layout.name, *_ROLES)]


def _expire(run: Run, layout: Layout, who: str, check: bool) -> dict[str, Any]:
    """What the keeper removes; error says why it could not, which must not hide what was freed."""
    try:
        answer = ask(run, layout, ["expire", "--check"] if check else ["expire"], who=who)
    except PgkeepError as error:
        return {"removed": [], "error": str(error)}
    return {"removed": list(answer["expire"]["removed"]), "error": None}


def _result(
    layout: Layout, directories: dict[str, int], leftovers: list[str], backups: dict[str, Any]
) -> dict[str, Any]:
    return {
        "free": {
            "instance": layout.name,
            "directories": [{"path": path, "size_bytes": size} for path, size in directories.items()],
            "leftovers": leftovers,
            "backups": backups["removed"],
            "error": backups["error"],
            "freed_bytes": sum(directories.values()),
        }
    }


def _size(path: str) -> int:
    """Bytes on disk; a file that vanishes meanwhile counts nothing."""
    total = 0
    for folder, _folders, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
