# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole upgrade of a restored copy: what it will do to the server, without touching it. Private to the collection."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _docker as docker
from . import _upgrade_record as records
from ._amcheck import argv as amcheck_argv
from ._amcheck import some, verdict
from ._backup_repository import Keeper
from ._collation import Change, ask_image, changes, recorded, refuse, repair
from ._container import ContainerSpec, spec_from_dict
from ._copy import copy_memory
from ._counts import Reading
from ._drill_checks import TOPIC, Wanted, parse, run_check
from ._drill_record import Check
from ._drill_rows import closed, find_canary, production_timeline, read_copy
from ._errors import PgkeepError
from ._files import File, write
from ._interrupt import Interrupted
from ._keeper import ask
from ._keeper_config import topic
from ._layout import CONFIG_MOUNT, GID, SOCKET_MOUNT, STATE_MOUNT, UID, Layout, pgdata
from ._passage import newest_clean, refuse_left_behind, require_serving
from ._pg_upgrade import ROLE, Upgrader
from ._render import base_settings, settings_conf
from ._run import Run
from ._sandbox import Recovery, access_settings, write_access
from ._sql import guarded, query
from ._throwaway import Place, derive, discard, prepare, remove_leftovers, require_space, start, wait_until_open
from ._times import rfc3339
from ._units import postgres_size

_BACKUP_SECONDS = 24 * 3600

_SERVER = """
select current_setting('shared_preload_libraries'), (select sum(pg_database_size(oid)) from pg_database)::bigint
"""


@dataclass(frozen=True)
class Request:
    """image is the id of the new server's image; tuned and settings are those of the new server. collation: whether
    that image may sort text otherwise, see _collation. way: link, clone or copy."""

    image: str
    major: int
    collation: str
    tuned: Mapping[str, object]
    settings: Mapping[str, object]
    initdb_args: Sequence[str]
    timeout_seconds: float
    way: str = "link"

    @property
    def copies(self) -> bool:
        """A clone takes as long as a link, and the copy may lie on another file system than the data."""
        return self.way == "copy"


class RehearsalError(PgkeepError):
    """A rehearsal that did not pass; rehearsal is the object with every step of it."""

    def __init__(self, done: Rehearsal, why: str, next_step: str) -> None:
        what = "The rehearsal of the upgrade of %s from %d to %d failed" % (done.layout.name, done.before, done.after)
        super().__init__(what, why + "; the server was not touched", next_step)
        self.rehearsal = done


@dataclass
class Rehearsal:
    """One rehearsal under way. Container, volume and folder carry the role's name and are always removed."""

    run: Run
    layout: Layout
    release: Mapping[str, Any]
    request: Request
    checks: list[Check] = field(default_factory=list)
    label: str = ""
    sorted_anew: list[Change] = field(default_factory=list)
    # What applications will miss the server for, without the stop and its checkpoint, as far as it was measured.
    interruption_seconds: Optional[float] = None

    @property
    def before(self) -> int:
        return int(self.release["major"])

    @property
    def after(self) -> int:
        return self.request.major

    @property
    def name(self) -> str:
        return "%s-%s" % (self.layout.name, ROLE)

    @property
    def place(self) -> Place:
        return Place("%s/%s" % (self.layout.home, ROLE))

    @property
    def server(self) -> ContainerSpec:
        return spec_from_dict(self.release["server"])

    @property
    def memory_bytes(self) -> int:
        return copy_memory(self.server, beside_server=True)

    def clear(self) -> None:
        remove_leftovers(self.run, self.layout.name, ROLE)
        discard(self.place)

    def perform(self) -> None:
        """All steps in their order. Raises RehearsalError at the first that fails; nothing of it is left."""
        require_serving(self.layout)
        refuse_left_behind(self.layout)
        new = replace(self.server, image=self.request.image, memory_bytes=self.memory_bytes)
        # Refused before hours are spent on a copy.
        known = recorded(self.layout.socket_dir)
        self.sorted_anew = changes(known, ask_image(self.run, new, known))
        refuse(self.layout.name, self.sorted_anew, self.request.collation)
        # Also what the server's data come back from, if it comes to that: the younger, the less WAL has to follow.
        ask(self.run, self.layout, ["backup", "--repo", "1", "--type", "incr", "--max-age", str(_BACKUP_SECONDS)])
        self.label = newest_clean(self.run, self.layout)
        preload, size = query(self.layout.socket_dir, _SERVER)[0]
        timeline = production_timeline(self.layout.socket_dir)
        # With it everything up to now is in the repository, so the copy is the newest state.
        canary = ask(self.run, self.layout, ["canary"])["canary"]
        wanted = parse(self.layout.name, topic(self._keeper, TOPIC))
        self.clear()
        root = str(docker.engine(self.run)["DockerRootDir"])
        times = 2.2 if self.request.copies else 1.2
        require_space(root, int(size * times), "rehearsal of the upgrade of %s" % self.layout.name)
        upgrader = Upgrader(self.run, self.layout, new, self.name, self.before, preload)
        rows: list[Reading] = []
        try:
            prepare(self.place)
            write_access(self.place.state_dir, UID, GID)
            docker.create_volume(self.run, self.name, self.layout.name, ROLE)
            self._step("restore", partial(self._restore, timeline, canary, rows))
            self._step("upgrade", partial(self._upgrade, upgrader))
            self._step("start", self._start)
            self._step("rows", partial(self._rows, rows))
            self._step("collation", self._collation)
            self._step("amcheck", self._amcheck)
            self._checks(wanted)
        finally:
            self.clear()

    @property
    def _keeper(self) -> Keeper:
        """The keeper's files as the host sees them."""
        layout = self.layout
        return Keeper(layout.name, self.run, "", state=layout.state_dir, config=layout.keeper_config_dir)

    def _step(self, identity: str, function: Callable[[], tuple[bool, str]]) -> None:
        began = time.monotonic()
        step = "correct what it names, then repeat"
        try:
            passed, detail = function()
        except Interrupted:
            raise
        except PgkeepError as error:
            passed, detail, step = False, "%s: %s" % (error.what, error.why), error.next_step or step
        self.checks.append(Check(identity, passed, detail, round(time.monotonic() - began, 3)))
        if not passed:
            raise RehearsalError(self, "%s: %s" % (identity, detail), step)

    def _restore(self, timeline: int, canary: Mapping[str, Any], rows: list[Reading]) -> tuple[bool, str]:
        """With the old image, as a lost data volume would be."""
        recovery = Recovery(self.label, timeline, {})
        self._launch(self.server, {"PGKEEP_RESTORE_ARGS": recovery.words})
        found, detail = find_canary(self.place.socket_dir, canary)
        rows.append(read_copy(self.place.socket_dir))
        docker.stop(self.run, self.name)
        docker.remove(self.run, self.name)
        return found, "backup %s and the WAL since; %s" % (self.label, detail)

    def _upgrade(self, upgrader: Upgrader) -> tuple[bool, str]:
        upgrader.fetch_old(self.server.image)
        upgrader.initialise(pgdata(self.before), pgdata(self.after), self.request.initdb_args)
        began = time.monotonic()
        upgrader.upgrade(pgdata(self.before), pgdata(self.after), "copy" if self.request.copies else "link")
        self.interruption_seconds = time.monotonic() - began
        return True, "pg_upgrade with its checks took %.1f s" % self.interruption_seconds

    def _start(self) -> tuple[bool, str]:
        """With the settings that the new server will have."""
        began = time.monotonic()
        folder = self._config()
        spec = replace(
            self.server,
            image=self.request.image,
            mounts=tuple(
                "%s:%s:ro" % (folder, CONFIG_MOUNT) if mount.split(":")[1] == CONFIG_MOUNT else mount
                for mount in self.server.mounts
            ),
        )
        self._launch(spec, {"PGDATA": pgdata(self.after)})
        self.interruption_seconds = (self.interruption_seconds or 0) + time.monotonic() - began
        version = query(self.place.socket_dir, "select current_setting('server_version')")[0][0]
        return True, "PostgreSQL %s accepts writes" % version.split()[0]

    def _config(self) -> str:
        """The folder of the server's settings with those of the new major in place of the old ones."""
        folder, name = self.place.home + "/config", self.layout.name
        shutil.copytree(self.layout.server_config_dir, folder)
        for path, _folders, files in os.walk(folder):
            for entry in (path, *(os.path.join(path, file) for file in files)):
                os.chown(entry, UID, GID)
        for file, values in (
            ("10-base.conf", base_settings(name, self.after)),
            ("20-tuned.conf", self.request.tuned),
            ("90-user.conf", self.request.settings),
        ):
            write(File("%s/conf.d/%s" % (folder, file), settings_conf(name, "for a rehearsal", values), 0o640, UID))
        return folder

    def _launch(self, server: ContainerSpec, environment: Mapping[str, str]) -> None:
        spec = derive(
            server,
            self.place,
            name=self.name,
            role=ROLE,
            data=self.name,
            environment=environment,
            settings={
                "archive_mode": "off",
                "maintenance_work_mem": postgres_size(self.memory_bytes // 8),
                **access_settings(STATE_MOUNT),
            },
            memory_bytes=self.memory_bytes,
            cpus=self.server.cpus,
        )
        start(self.run, spec)
        wait_until_open(self.run, self.name, self.place.socket_dir, self.request.timeout_seconds)

    def _rows(self, before: list[Reading]) -> tuple[bool, str]:
        """Nobody else writes here, so every table has exactly the rows that it had."""
        after = read_copy(self.place.socket_dir)
        return compare(before[0], after)

    def _collation(self) -> tuple[bool, str]:
        """In the old order amcheck would find the indexes bad."""
        done = repair(self.place.socket_dir, self.sorted_anew)
        return True, "; ".join(done) or "no index is sorted otherwise"

    def _amcheck(self) -> tuple[bool, str]:
        words = amcheck_argv(SOCKET_MOUNT, max(int(self.server.cpus), 1), True, guarded(self.place.socket_dir))
        found = docker.execute(self.run, self.name, words, timeout=self.request.timeout_seconds)
        return verdict(found, True, closed(self.place.socket_dir))

    def _checks(self, wanted: Wanted) -> None:
        for check in wanted.checks:
            self._step("check " + check.name, partial(run_check, self.place.socket_dir, check))

    def to_result(self) -> dict[str, Any]:
        return {
            "label": self.label or None,
            "checks": [asdict(check) for check in self.checks],
            "interruption_seconds": self.interruption_seconds and round(self.interruption_seconds, 3),
        }


def compare(before: Reading, after: Reading) -> tuple[bool, str]:
    """(passed, detail) of the rows in all tables before and after."""
    old = {table.key: table.rows for table in before.tables}
    new = {table.key: table.rows for table in after.tables}
    wrong = [
        "%s.%s.%s had %s rows and has %s" % (*key, old.get(key, "no"), new.get(key, "no"))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    unread = [*before.damaged, *after.damaged, *before.skipped, *after.skipped]
    if wrong or unread:
        return False, some(wrong + ["%s cannot be read" % name for name in unread])
    return True, "%d tables with %d rows, as before" % (len(new), after.rows or 0)


def rehearse(run: Run, layout: Layout, release: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Perform a rehearsal and remember that it passed; the lock of the instance has to be held."""
    done = Rehearsal(run, layout, release, request)
    done.perform()
    at = rfc3339(time.time())
    records.save_rehearsal(layout, records.Rehearsal(done.before, done.after, request.image, at))
    return done.to_result()
