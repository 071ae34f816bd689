# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data from before an upgrade: whether they can be had back, and how they come out of the repository. Private.

Only those of a linked upgrade have to be restored. Whatever is interrupted here is done by doing it again.
"""

from __future__ import annotations

import os
from typing import Optional

from . import _docker as docker
from . import _history as history
from ._container import ContainerSpec
from ._copy import prove, require_complete, restored_spec
from ._crossing import CONTROL, LINKED_CONTROL
from ._errors import PgkeepError
from ._layout import Layout
from ._pgfiles import Control, read_control, unarchived
from ._release import utc_stamp
from ._restore_choice import make_tool, read_info
from ._restore_plan import RESTORE
from ._run import Run
from ._swap import Directories
from ._target import LATEST, Target
from ._target_choice import Choice
from ._throwaway import Place, discard, prepare, remove_leftovers, require_space, start, wait_until_open
from ._upgrade_record import Record

LINK = "link"
# Of the data's size: with the WAL that its recovery writes.
SPACE = 1.1
_RESTORE_SECONDS = 86400.0


def require_way_back(run: Run, layout: Layout, keeper: ContainerSpec, root: str, record: Record) -> None:
    """Raise PgkeepError where the data from before the upgrade cannot be had back. Nothing has to be stopped for it."""
    directories = Directories(root, record.before, "")
    if _own_control(directories, record) is not None:
        return
    if record.way != LINK:
        raise _no_way(layout, "there are no data in %s" % directories.data)
    _find_linked(layout, directories)
    backups = read_info(make_tool(run, layout, keeper), layout)["backups"]
    backup = next((one for one in backups if one["label"] == record.label), None)
    if backup is None or not backup["clean"]:
        raise _no_way(
            layout,
            "the backup %s, from which the data come back, is %s"
            % (record.label, "not in the repository any more" if backup is None else "not clean"),
        )
    require_space(root, int(backup["size_bytes"] * SPACE), "undo of the upgrade of %s" % layout.name)


def restore_former(run: Run, layout: Layout, server: ContainerSpec, root: str, record: Record) -> None:
    """Bring the data from before a linked upgrade back from the repository; server is of that major. Nothing happens
    where an earlier run has done it.

    The linked directory is kept under another name. Raises PgkeepError, and leaves it in its place, when the repository
    does not have everything that was there when the old server was stopped.
    """
    directories = Directories(root, record.before, utc_stamp())
    remove_leftovers(run, layout.name, RESTORE)
    directories.finish_swap(RESTORE)
    directories.remove_copies()
    restored = _own_control(directories, record)
    if restored is not None:
        history.append(layout, record.system_id, record.timeline, restored.timeline)
        return
    control = _put_linked_in_place(layout, directories)
    place = Place("%s/%s" % (layout.home, RESTORE))
    prepare(place)
    spec = restored_spec(
        server,
        place,
        directories,
        Choice(Target(LATEST), {"label": record.label}, record.timeline),
        fetching={},
        rescue=directories.lay_aside(unarchived(directories.data, control).names),
        beside_server=False,
    )
    try:
        start(run, spec)
        wait_until_open(run, spec.name, place.socket_dir, _RESTORE_SECONDS)
        facts = prove(place.socket_dir)
        require_complete(facts, control)
        docker.stop(run, spec.name)
    finally:
        docker.remove(run, spec.name)
        discard(place)
    history.append(layout, facts.system_id, record.timeline, facts.timeline)
    directories.swap()
    directories.remove_copies()


def _own_control(directories: Directories, record: Record) -> Optional[Control]:
    """The control file of data that can serve: those of a linked directory have none, so these were restored."""
    control = read_control(directories.data, CONTROL)
    return control if control is not None and str(control.system_id) == record.system_id else None


def _find_linked(layout: Layout, directories: Directories) -> tuple[str, Control]:
    """The directory that pg_upgrade left, and its control file, which knows how far the old server had come."""
    for path in [directories.data, *reversed(directories.named("previous"))]:
        control = read_control(path, LINKED_CONTROL)
        if control is not None:
            return path, control
    raise _no_way(layout, "no directory beside %s has %s" % (directories.data, LINKED_CONTROL))


def _put_linked_in_place(layout: Layout, directories: Directories) -> Control:
    """Its control file; whatever was in its place is kept under another name."""
    linked, control = _find_linked(layout, directories)
    if linked != directories.data:
        if os.path.isdir(directories.data):
            os.rename(directories.data, directories.undone)
        os.rename(linked, directories.data)
    return control


def _no_way(layout: Layout, why: str) -> PgkeepError:
    return PgkeepError(
        "The upgrade of %s cannot be taken back" % layout.name, why, "move the data to a new instance with dumps"
    )
