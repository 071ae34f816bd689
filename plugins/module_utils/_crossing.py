# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a deploy changes the major version, and what is left of a change that was killed. Private."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from . import _docker as docker
from . import _upgrade_record as records
from ._container import ContainerSpec, spec_from_dict
from ._copy import stanza_once_argv
from ._errors import PgkeepError
from ._files import put_back
from ._layout import DATA_MOUNT, Layout
from ._pg_upgrade import ROLE, WAYS
from ._release import read_current, utc_stamp
from ._run import Run
from ._swap import Directories
from ._throwaway import host_path, remove_leftovers, source_of

if TYPE_CHECKING:
    from ._declared import Declared

REFUSE = "refuse"
UNDO = "undo"
CHOICES = (REFUSE, *WAYS, UNDO)

# What pg_upgrade --link calls the control file of the old directory from the moment on when both share files.
CONTROL = "global/pg_control"
LINKED_CONTROL = CONTROL + ".old"


@dataclass(frozen=True)
class Crossing:
    """From one major version to another. way: one of WAYS to a newer one, UNDO back to the one before."""

    before: int
    after: int
    way: str

    @property
    def words(self) -> str:
        how = "with the data from before the upgrade" if self.way == UNDO else "pg_upgrade --" + self.way
        return "PostgreSQL %d -> %d, %s" % (self.before, self.after, how)


def find_crossing(declared: Declared, check_mode: bool = False) -> Optional[Crossing]:
    """None where the major stays. Raises PgkeepError for a change that nobody asked for or that cannot be.

    In check mode nobody has rehearsed it: the step before only said that it would.
    """
    layout, after = declared.layout, declared.major
    release = read_current(layout)
    before = records.serving_major(layout)
    record = records.load(layout)
    if release is None or before is None:
        return None
    if before == after:
        if int(release["major"]) == after or record is None:
            return None
        # The new server was started once, and whoever did that was killed: go on from there.
        if declared.upgrade not in WAYS:
            raise PgkeepError(
                "The upgrade of %s to PostgreSQL %d is not finished" % (layout.name, after),
                "whoever did it was killed after the start of the new server, which has the data now",
                "run playbooks/upgrade.yml with confirm=%s, which goes on from there" % layout.name,
            )
        return Crossing(record.before, after, record.way)
    if after < before:
        return _way_back(declared, before, record)
    _refuse_unasked(declared, before)
    if not check_mode:
        _require_rehearsal(declared, before)
    return Crossing(before, after, declared.upgrade)


def given_up(declared: Declared) -> Optional[Crossing]:
    """The upgrade under way that is not to be finished: its new server was started, and now it shall be undone."""
    record = records.load(declared.layout)
    if record is None or declared.upgrade != UNDO or declared.major != record.before:
        return None
    return Crossing(record.before, record.after, record.way) if records.crossed(declared.layout) else None


def _refuse_unasked(declared: Declared, before: int) -> None:
    if declared.upgrade not in WAYS:
        raise PgkeepError(
            "PostgreSQL %d of %s does not become %d by a deploy" % (before, declared.layout.name, declared.major),
            "the data have to be upgraded for a new major version",
            "run playbooks/upgrade.yml with confirm=%s, or set postgres_server_major to %d"
            % (declared.layout.name, before),
        )


def _way_back(declared: Declared, before: int, record: Optional[records.Record]) -> Crossing:
    name, after = declared.layout.name, declared.major
    if record is None or (record.before, record.after) != (after, before):
        raise PgkeepError(
            "PostgreSQL %d of %s cannot become %d" % (before, name, after),
            "no server reads data of a newer major version, and there is no upgrade from %d to undo" % after,
            "set postgres_server_major to %d, or move the data to a new instance with dumps" % before,
        )
    if declared.upgrade != UNDO:
        raise PgkeepError(
            "PostgreSQL %d of %s does not become %d by a deploy" % (before, name, after),
            "that would bring back the data of %s and lose what was written since" % record.at,
            "set postgres_server_major to %d; or, if that is what you want, run playbooks/upgrade.yml with confirm=%s"
            " and way=undo" % (before, name),
        )
    return Crossing(before, after, UNDO)


def _require_rehearsal(declared: Declared, before: int) -> None:
    passed = records.load_rehearsal(declared.layout)
    if passed is None or (passed.before, passed.after, passed.image) != (
        before,
        declared.major,
        declared.server.image,
    ):
        raise PgkeepError(
            "The upgrade of %s from %d to %d is not begun" % (declared.layout.name, before, declared.major),
            "no rehearsal with this image has passed",
            "run playbooks/upgrade.yml with confirm=%s, which rehearses it first" % declared.layout.name,
        )


def recover(run: Run, layout: Layout) -> list[str]:
    """Take back a change that was killed before the new server was started; returns sentences.

    The lock of the instance has to be held. Afterwards the old server can be started. One that was killed later is not
    touched: the new server may have written what applications count on.
    """
    record, release = records.load(layout), read_current(layout)
    if record is None or release is None:
        return []
    if record.phase == records.STARTED and int(release["major"]) == record.after:
        # Killed between the release and settle().
        records.advance(layout, records.DONE)
    if record.phase == records.DONE and int(release["major"]) == record.before:
        # The same of an undo.
        _forget_undone(run, layout, spec_from_dict(release["server"]), record.after)
    if record.phase != records.CROSSING:
        return []
    server, keeper = spec_from_dict(release["server"]), spec_from_dict(release["keeper"])
    remove_leftovers(run, layout.name, ROLE)
    container = docker.inspect(run, layout.server)
    if container is not None and container.get("Image") != server.image:
        # Made, and never started.
        docker.remove(run, layout.server)
    root = host_path(run, source_of(server, DATA_MOUNT))
    new = Directories(root, record.after, utc_stamp(), ROLE)
    new.remove_copies()
    if os.path.isdir(new.data):
        shutil.rmtree(new.data)
    give_back_control(Directories(root, record.before, "").data)
    for path in release["files"]:
        put_back(path, True)
    docker.attempt(run, stanza_once_argv(keeper, server, record.before))
    records.forget(layout)
    return ["Took back an upgrade from PostgreSQL %d to %d that was killed" % (record.before, record.after)]


def give_back_control(data: str) -> None:
    """Undo what pg_upgrade --link did to the old directory; only before the new server's first start."""
    linked, control = os.path.join(data, LINKED_CONTROL), os.path.join(data, CONTROL)
    if os.path.exists(linked) and not os.path.exists(control):
        os.rename(linked, control)


def settle(run: Run, declared: Declared, crossing: Crossing) -> None:
    """The release of the other major was recorded: remember how to go back, or that there is nothing left to undo."""
    layout = declared.layout
    remove_leftovers(run, layout.name, ROLE)
    if crossing.way != UNDO:
        records.advance(layout, records.DONE)
        return
    _forget_undone(run, layout, declared.server, crossing.before)


def _forget_undone(run: Run, layout: Layout, server: ContainerSpec, major: int) -> None:
    """An undo was committed: put the data of the major that was left aside, and forget its upgrade."""
    left = Directories(host_path(run, source_of(server, DATA_MOUNT)), major, utc_stamp())
    if left.has_data():
        os.rename(left.data, left.undone)
    records.forget(layout)
