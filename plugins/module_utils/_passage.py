# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the data between the stop of a server of one major version and the start of one of another, and how
it is taken back. Private to the collection.

With link the two data directories share their files. So there are two ways back: until the new server is started for
the first time the old directory is as it was, but for the name of its control file; afterwards the old data are
restored from the repository, to the last transaction before the stop. With clone and copy the old directory stays as
it is for good.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from . import _docker as docker
from . import _history as history
from . import _upgrade_record as records
from ._amcheck import some
from ._container import ContainerSpec, spec_from_dict
from ._copy import archive_once_argv, stanza_once_argv
from ._crossing import UNDO, Crossing, give_back_control
from ._declared import Declared
from ._errors import PgkeepError
from ._interrupt import finish_what_began
from ._keeper import ask, require_readable
from ._layout import DATA_MOUNT, Layout, pgdata
from ._pg_upgrade import ROLE, Upgrader
from ._pgfiles import read_control, unarchived
from ._release import read_current, utc_stamp
from ._run import Run
from ._server import accepts_writes, checkpoint
from ._sql import query
from ._swap import Directories
from ._throwaway import host_path, remove_leftovers, require_space, source_of
from ._times import rfc3339
from ._units import MB
from ._way_back import LINK, SPACE, require_way_back, restore_former

# A catalogue, and the first segments of WAL.
_NEW_BYTES = 256 * MB
# Space of the data that a way needs: one copies them, the other has a restored copy as its way back.
_COPIES = {"copy": 1.0, LINK: SPACE}
_FIRST_TIMELINE = 1

_OLD_SERVER = """
select current_setting('shared_preload_libraries'), (select sum(pg_database_size(oid)) from pg_database)::bigint,
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
       (select system_identifier::text from pg_control_system())
"""
# No rehearsal shows them: a restored copy has no slots.
_LEFT_BEHIND = """
select 'tablespace ' || spcname from pg_tablespace where spcname !~ '^pg_'
union all select 'prepared transaction ' || gid from pg_prepared_xacts
union all select 'logical replication slot ' || slot_name from pg_replication_slots where slot_type = 'logical'
order by 1
"""


@dataclass
class Passage:
    """One crossing under way; the booleans say how far it came."""

    run: Run
    declared: Declared
    crossing: Crossing
    stamp: str = field(default_factory=utc_stamp)
    preload: str = ""
    swapped: bool = False
    registered: bool = False
    started: bool = False
    # Killed after the start of the new server: its data are there already, and clients may have written to them.
    resumed: bool = False

    def __post_init__(self) -> None:
        release = read_current(self.layout)
        if release is None:
            raise _unknown(self.layout, "there is no release")
        self.former: dict[str, Any] = release
        self.root = host_path(self.run, source_of(self.declared.server, DATA_MOUNT))
        known = records.load(self.layout)
        self.known = known
        self._record = known
        self.started = self.resumed = self.upgrades and known is not None and known.phase == records.STARTED

    @property
    def layout(self) -> Layout:
        return self.declared.layout

    @property
    def upgrades(self) -> bool:
        return self.crossing.way != UNDO

    @property
    def record(self) -> records.Record:
        """Of this upgrade, or of the one that is undone."""
        if self._record is None:
            raise _unknown(self.layout, "there is no record of it")
        return self._record

    @property
    def server(self) -> ContainerSpec:
        """The one that is left."""
        return spec_from_dict(self.former["server"])

    @property
    def upgrader(self) -> Upgrader:
        data = source_of(self.declared.server, DATA_MOUNT)
        return Upgrader(self.run, self.layout, self.declared.server, data, self.crossing.before, self.preload)

    @property
    def new(self) -> Directories:
        return Directories(self.root, self.crossing.after, self.stamp, ROLE)

    @property
    def old(self) -> Directories:
        return Directories(self.root, self.crossing.before, self.stamp)

    def leave(self, stopping: Callable[[], None]) -> None:
        """Make ready all that can be while the server serves, then stop it and the keeper; stopping is called when only
        the stop of the server is left.

        Their files are written afterwards: pgBackRest would not archive the rest of the old server's WAL with those of
        the new one.
        """
        if not self.upgrades:
            self.require_way_back()
        elif not self.started:
            self._prepare()
        self._stop(self.layout.keeper)
        checkpoint(self.layout)
        stopping()
        self._stop(self.layout.server)

    def _stop(self, name: str) -> None:
        if docker.running(docker.inspect(self.run, name)):
            docker.stop(self.run, name)

    def _prepare(self) -> None:
        require_serving(self.layout)
        refuse_left_behind(self.layout)
        self.preload, size, timeline, system_id = query(self.layout.socket_dir, _OLD_SERVER)[0]
        label = newest_clean(self.run, self.layout)
        needed = _NEW_BYTES + int(int(size) * _COPIES.get(self.crossing.way, 0))
        require_space(self.root, needed, "upgrade of %s" % self.layout.name)
        if self.new.has_data():
            raise PgkeepError(
                "The upgrade of %s cannot begin" % self.layout.name,
                "there is a data directory of PostgreSQL %d already: %s" % (self.crossing.after, self.new.data),
                "move it aside",
            )
        remove_leftovers(self.run, self.layout.name, ROLE)
        self.new.remove_copies()
        self.upgrader.fetch_old(self.server.image)
        self.upgrader.initialise(pgdata(self.crossing.before), self.new.inside_beside, self.declared.initdb_args)
        at = rfc3339(time.time())
        ways = (self.crossing.before, self.crossing.after, self.crossing.way)
        self._record = records.Record(*ways, records.CROSSING, at, label, timeline, system_id)

    def cross(self) -> None:
        """Bring the data to the other side."""
        if self.started:
            return
        if not self.upgrades:
            self._go_back()
            self._register()
            return
        records.save(self.layout, self.record)
        self._archive_rest()
        self.upgrader.upgrade(pgdata(self.crossing.before), self.new.inside_beside, self.crossing.way)
        # From here to the start a signal would only cost the time of taking it back.
        finish_what_began()
        self.new.swap()
        self.swapped = True
        self._register()

    def embark(self) -> None:
        """The new server is started next; from then on it may write."""
        if self.upgrades and not self.started:
            self._note()
            records.advance(self.layout, records.STARTED)
            self.started = True

    def _archive_rest(self) -> None:
        """Nothing may be on this disk only: the way back may be the repository."""
        control = read_control(self.old.data)
        if control is None or not control.shut_down:
            raise PgkeepError(
                "The data of %s cannot be upgraded" % self.layout.name,
                "the server was not stopped cleanly",
                "give it more time with postgres_server_stop_timeout_seconds, then repeat",
            )
        found = unarchived(self.old.data, control)
        if not found.complete:
            return
        keeper = spec_from_dict(self.former["keeper"])
        argv = archive_once_argv(keeper, self.server, found.complete, self.crossing.before)
        archived = docker.attempt(self.run, argv)
        if archived.rc != 0:
            raise PgkeepError(
                "The upgrade of %s is not begun" % self.layout.name,
                "WAL of the old server does not reach the repository: %s" % ", ".join(found.complete),
                "look at the archiver with playbooks/health.yml, then repeat",
            )

    def _register(self) -> None:
        """Tell the first repository whose WAL comes. Once the server runs, its archiver fails and holds the lock."""
        register(self.run, self.declared.keeper, self.declared.server, self.crossing.after)
        self.registered = True

    def _go_back(self) -> None:
        """Undo of an upgrade that had succeeded."""
        self.bring_back(self.declared.server)

    def _note(self) -> None:
        """The history follows before the server does: recovery goes along what it says."""
        control = read_control(self.new.data)
        if control is None:
            raise _unknown(self.layout, "%s has no control file" % self.new.data)
        left, entered = self.record.timeline, control.timeline
        history.write_line(history.path(self.layout), "upgraded", str(control.system_id), left, entered)

    def require_way_back(self) -> None:
        """Raise where the data from before the upgrade cannot be had back; the servers may run."""
        require_way_back(self.run, self.layout, spec_from_dict(self.former["keeper"]), self.root, self.record)

    def bring_back(self, server: ContainerSpec) -> None:
        """Make the data from before the upgrade those that server, which is of their major, can serve."""
        if self.record.way == LINK:
            restore_former(self.run, self.layout, server, self.root, self.record)
        else:
            history.append(self.layout, self.record.system_id, _FIRST_TIMELINE, self.record.timeline)

    def take_back(self) -> str:
        """The other side failed; the files of the former release are back and its server is stopped. Makes the data as
        they were and returns how."""
        remove_leftovers(self.run, self.layout.name, ROLE)
        if not self.upgrades:
            how = self._stay()
        elif self.started:
            how = self._return_after_start()
        else:
            how = self._return_before_start()
        if self.upgrades:
            self.new.remove_copies()
            if self.known is not None and self.known.phase == records.DONE:
                records.save(self.layout, self.known)
            else:
                records.forget(self.layout)
        if self.started and self.new.has_data():
            # Last, when nothing is needed of them any more.
            os.rename(self.new.data, self.new.undone)
            how += "; what was committed to the new server meanwhile lies in %s" % self.new.undone
        if self.registered or self.started:
            register(self.run, spec_from_dict(self.former["keeper"]), self.server, self.crossing.before)
        return how

    def _return_before_start(self) -> str:
        if self.swapped:
            self.new.swap_back(None)
        give_back_control(self.old.data)
        return "its data are as they were"

    def _return_after_start(self) -> str:
        self.bring_back(self.server)
        if self.record.way == LINK:
            how = "its data were restored from backup %s, to the last transaction; take a full backup now"
            return how % self.record.label
        return "its data are as they were"

    def _stay(self) -> str:
        """An undo failed: the data that were left were not touched."""
        control = read_control(self.old.data)
        if control is not None and self.registered:
            history.append(self.layout, str(control.system_id), self.record.timeline, control.timeline)
        return "its data are as they were"


def _unknown(layout: Layout, why: str) -> PgkeepError:
    return PgkeepError("The upgrade of %s cannot be followed" % layout.name, why, "look into %s" % layout.home)


def require_serving(layout: Layout) -> None:
    if not accepts_writes(layout):
        raise PgkeepError(
            "The upgrade of %s cannot begin" % layout.name,
            "its server does not serve, so nobody knows that its data are whole",
            "bring it back first: docker logs %s says what it lacks" % layout.server,
        )


def newest_clean(run: Run, layout: Layout) -> str:
    """Label of the newest clean backup in the first repository: the way back, and what is rehearsed on."""
    info = ask(run, layout, ["info", "--repo", "1"])["backup_info"]
    require_readable(info)
    if not info["newest_clean"]:
        raise PgkeepError(
            "The upgrade of %s cannot begin" % layout.name,
            "no backup is clean, so there would be no way back (%s)" % info["status_text"],
            "run the playbook backup.yml, then repeat",
        )
    return str(info["newest_clean"])


def refuse_left_behind(layout: Layout) -> None:
    """Raise for what would not be there afterwards."""
    found = [name for (name,) in query(layout.socket_dir, _LEFT_BEHIND)]
    if found:
        raise PgkeepError(
            "The upgrade of %s cannot begin" % layout.name,
            "it does not bring along %s" % some(found),
            "move tables to pg_default and drop their tablespace, end prepared transactions, let subscribers read to"
            " the end and drop their slots; then repeat",
        )


def register(run: Run, keeper: ContainerSpec, server: ContainerSpec, major: int) -> None:
    """stanza-upgrade in the first repository for the data of a stopped server of that major."""
    done = docker.attempt(run, stanza_once_argv(keeper, server, major))
    if done.rc != 0:
        errors = [line.split("ERROR: ")[1] for line in done.stdout.splitlines() if "ERROR: " in line]
        raise PgkeepError(
            "The repository of %s does not take PostgreSQL %d" % (server.instance, major),
            (errors or [done.stderr.strip() or "no message"])[-1],
            "repair the repository, then repeat",
        )
