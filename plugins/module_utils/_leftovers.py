# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drills, restores and copies leave behind when they are killed. Private to the collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from . import _docker as docker
from ._container import spec_from_dict
from ._copies import preview_of, remove_expired
from ._copy import PREVIEW
from ._errors import PgkeepError
from ._journal import pending
from ._layout import Layout
from ._lock import is_held
from ._pg_upgrade import ROLE as UPGRADE
from ._release import read_current
from ._restore_plan import RESTORE, data_directories
from ._run import Run
from ._swap import Directories
from ._throwaway import Place, discard, remove_leftovers

# Roles of what lives as long as one operation, in labels and in the names of folders.
ROLES = ("drill", RESTORE, UPGRADE)


def look(run: Run, layout: Layout) -> list[str]:
    """Containers, volumes and paths of operations that were killed; nothing while an operation runs, whose they may be.

    Cheap, and it takes no lock that an operation could stumble over.
    """
    found = _labelled(run, layout)
    directories = _directories(run, layout, RESTORE)
    if directories is not None:
        found += directories.named(RESTORE)
        # A preview that stands has a record; promoting it, and making it, are operations.
        found += directories.named(PREVIEW) if preview_of(layout) is None else []
    # The next deploy goes on with it, or takes it back.
    found += ["a deploy in the middle"] if pending(layout) else []
    return found if found and not _busy(layout) else []


def _busy(layout: Layout) -> bool:
    """Whether an operation holds the lock of the instance."""
    try:
        return is_held(layout.lock_file)
    except OSError:
        return False


def remove(run: Run, layout: Layout) -> list[str]:
    """Remove it all, and put data back that a kill left between two names; returns sentences.

    The lock of the instance has to be held. Never the data, never data that were replaced, no copy that stands.
    """
    steps = [
        "Removed %s, left by %s %s that was killed" % (name, "an" if role == UPGRADE else "a", role)
        for role in (ROLES if _labelled(run, layout) else ())
        for name in remove_leftovers(run, layout.name, role)
    ]
    directories = _directories(run, layout, RESTORE)
    if directories is not None:
        for kind in (RESTORE, PREVIEW):
            former = replace(directories, kind=kind).finish_swap(kind)
            if former is not None:
                steps.append("Put %s back in its place, which a restore that was killed had moved" % former)
        steps += ["Removed %s, left by a restore that was killed" % path for path in directories.remove_copies()]
    for role in ROLES:
        discard(Place("%s/%s" % (layout.home, role)))
    return steps + remove_expired(run, layout)


def _labelled(run: Run, layout: Layout) -> list[str]:
    return [name for kind in ("container", "volume") for name in docker.labelled(run, kind, layout.name, *ROLES)]


def _directories(run: Run, layout: Layout, kind: str) -> Optional[Directories]:
    """None before the first deploy and after the loss of the data volume."""
    release = read_current(layout)
    if release is None:
        return None
    try:
        return data_directories(run, spec_from_dict(release["server"]), int(release["major"]), kind, {})
    except PgkeepError:
        return None
