# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change so that an instance is as declared: read everything, touch nothing. Private to the collection."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional

from . import _archive_worker as archive_worker
from . import _collation as collation
from . import _docker as docker
from . import _pooler as pooling
from ._container import ContainerSpec, differences
from ._crossing import UNDO, Crossing, find_crossing
from ._declared import Declared, Later
from ._errors import PgkeepError
from ._files import File, FileChange, Folder, changes, folder_changes, read
from ._layout import SPOOL_MOUNT, Layout
from ._probe import mounted_from
from ._release import read_current
from ._rules import is_stranger, refuse_impossible, refuse_stranger, refuse_taken_port
from ._run import Run
from ._server import accepts_writes
from ._sql import query
from ._times import epoch_of

# Seconds an application is expected to be without its database: a clean stop with its checkpoint and a start on
# a small machine. The real figure is measured and returned by the module.
_RESTART_SECONDS = 5

# A container that came up has lived longer than this.
_LOOP_SECONDS = 5

_SETTING = re.compile(r"^([a-z_.0-9]+) = (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class ContainerChange:
    """action is create, replace, start, remove or, for one that fails again and again, restart; fields are the names
    that force a replacement, with (actual, wanted)."""

    spec: ContainerSpec
    action: str
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Plan:
    """Everything apply() will do, in its order."""

    folders: tuple[Folder, ...]
    files: tuple[FileChange, ...]
    removals: tuple[str, ...]
    volumes: tuple[str, ...]
    network: Optional[str]
    server: Optional[ContainerChange]
    keeper: Optional[ContainerChange]
    changed_settings: tuple[str, ...]
    restart_settings: tuple[str, ...]
    reload: bool
    crossing: Optional[Crossing] = None
    collations: tuple[collation.Change, ...] = ()
    # Why the archiver's worker is ended: it keeps the settings it began with.
    end_worker: Optional[str] = None
    pooler: Optional[ContainerChange] = None
    pooler_reload: bool = False
    # Settings that are written and wait for a restart, and what waits for the maintenance window.
    waiting_settings: tuple[str, ...] = ()
    later: Optional[Later] = None

    @property
    def containers(self) -> tuple[ContainerChange, ...]:
        return tuple(change for change in (self.server, self.keeper, self.pooler) if change is not None)

    @property
    def changed(self) -> bool:
        return bool(self.steps())

    @property
    def interrupts_server(self) -> bool:
        return bool(self.restart_settings) or (self.server is not None and self.server.action == "replace")

    @property
    def interruption_seconds(self) -> int:
        return sum(int(step["interruption_seconds"]) for step in self.steps())

    def steps(self) -> list[dict[str, Any]]:
        """The plan for people and for the result: action, target, reason, interruption_seconds."""
        steps = [_step("create", "folder " + folder.path, "absent or with other rights") for folder in self.folders]
        steps += [_step("write", "file " + change.file.path, change.reason) for change in self.files]
        steps += [_step("remove", "file " + path, "no longer declared") for path in self.removals]
        steps += [_step("create", "volume " + name, "absent") for name in self.volumes]
        if self.network:
            steps.append(_step("create", "network " + self.network, "absent"))
        if self.crossing is not None:
            steps.append(_step("upgrade", "data", self.crossing.words, True))
        for change in self.containers:
            interrupts = change.action == "replace" and change.spec.role != "keeper"
            steps.append(_step(change.action, "container " + change.spec.name, _why(change), interrupts))
        if self.restart_settings:
            steps.append(_step("restart", "server", "settings " + ", ".join(self.restart_settings), True))
        elif self.reload:
            names = ", ".join(self.changed_settings)
            steps.append(_step("reload", "server", "settings " + names if names else "files changed"))
        if self.pooler_reload:
            steps.append(_step("reload", "pooler", "files changed"))
        for sorted_anew in self.collations:
            indexes = ", ".join(sorted_anew.collation.indexes) or "nothing"
            steps.append(_step("reindex", indexes, "collation " + sorted_anew.words))
        if self.end_worker:
            steps.append(_step("end", "worker of the archiver", self.end_worker))
        return steps

    def waiting(self) -> list[dict[str, Any]]:
        """What is declared and not done now, in the form of steps()."""
        later = self.later or Later("")
        steps = [
            _step("replace", "container " + name, _fields(fields), True) for name, fields in later.containers.items()
        ]
        settings = sorted({*self.waiting_settings, *later.settings})
        return steps + ([_step("restart", "server", "settings " + ", ".join(settings), True)] if settings else [])

    def words(self) -> list[str]:
        """The plan as sentences without any content of a file, for the audit trail."""
        return ["%(action)s %(target)s: %(reason)s" % step for step in self.steps()]

    def diff(self) -> list[dict[str, str]]:
        """For Ansible's diff mode: each file, and each container as its differing fields."""
        found = [change.diff() for change in self.files]
        for change in self.containers:
            lines = [
                "".join("%s: %s\n" % (name, values[side]) for name, values in change.fields.items()) for side in (0, 1)
            ]
            header = "container %s (%s)" % (change.spec.name, change.action)
            found.append({"before_header": header, "after_header": header, "before": lines[0], "after": lines[1]})
        return found


def _step(action: str, target: str, reason: str, interrupts: bool = False) -> dict[str, Any]:
    seconds = _RESTART_SECONDS if interrupts else 0
    return {"action": action, "target": target, "reason": reason, "interruption_seconds": seconds}


def _why(change: ContainerChange) -> str:
    if change.action == "replace":
        return _fields(change.fields)
    reasons = {"create": "absent", "start": "stopped", "restart": "it does not come up", "remove": "no longer declared"}
    return reasons[change.action]


def _fields(fields: Mapping[str, tuple[Any, Any]]) -> str:
    return "; ".join("%s: %s -> %s" % (name, *values) for name, values in fields.items())


def make_plan(run: Run, declared: Declared, restart_allowed: bool = True, check_mode: bool = False) -> Plan:
    """Compare declared with the machine. Raises PgkeepError where the plan could not be carried out anyway."""
    layout = declared.layout
    existing = docker.inspect(run, layout.server)
    refuse_impossible(run, declared, existing)
    crossing = find_crossing(declared, check_mode)
    existing_keeper = docker.inspect(run, layout.keeper)
    refuse_stranger(layout, existing_keeper)
    if declared.keeper.ports:
        words = "postgres_server_keeper_port", "postgres_server_keeper_bind_address"
        refuse_taken_port(declared.keeper, existing_keeper, *words)
    existing_pooler = docker.inspect(run, layout.pooler)
    server = _container_change(declared.server, existing)
    keeper = _container_change(declared.keeper, existing_keeper)
    pooler = _pooler_change(declared, existing_pooler)
    if not restart_allowed:
        for change, container in ((server, existing), (pooler, existing_pooler)):
            # Nobody is interrupted where nothing comes up.
            if container is not None and docker.running(container) and not is_looping(container):
                _refuse_replacement(declared, change)
    answers = docker.running(existing) and accepts_writes(layout)
    # An undo brings data that the former image has sorted.
    asks = answers and (crossing is None or crossing.way != UNDO)
    collations = _collations(run, declared, server) if asks else ()
    files = tuple(changes(declared.files))
    names = changed_settings(declared)
    serving = answers and server is None
    restarts = _needing_restart(layout, names) if serving else ()
    return Plan(
        folders=tuple(folder_changes(declared.folders)),
        files=files,
        removals=_removals(declared),
        volumes=tuple(name for name in declared.volumes if docker.volume(run, name) is None),
        network=declared.server.network if docker.network(run, declared.server.network) is None else None,
        server=server,
        keeper=keeper,
        changed_settings=names if existing else (),
        restart_settings=restarts if restart_allowed else (),
        reload=serving and _reload_due(declared, files),
        pooler=pooler,
        pooler_reload=declared.pooler is not None and pooler is None and _pooler_reload_due(run, layout, files),
        crossing=crossing,
        collations=collations,
        end_worker=_end_worker(layout, existing, files) if serving else None,
        waiting_settings=() if restart_allowed else restarts,
        later=declared.later,
    )


def _end_worker(
    layout: Layout, existing: Optional[Mapping[str, Any]], changed: tuple[FileChange, ...]
) -> Optional[str]:
    """Also when a run before wrote the settings and was killed before it could end the worker."""
    if any(change.file.path == layout.archive_config for change in changed):
        return "its settings change"
    spool = mounted_from(existing or {}, SPOOL_MOUNT)
    found = archive_worker.hanging(spool, layout.name, layout.archive_config) if spool else None
    return "it hangs with stale configuration" if found and found.stale else None


def _removals(declared: Declared) -> tuple[str, ...]:
    """Files that the last release wrote, that are still there and that nobody declares any more."""
    release = read_current(declared.layout)
    wanted = {file.path for file in declared.files}
    before = release["files"] if release else {}
    return tuple(path for path in sorted(before) if path not in wanted and os.path.exists(path))


def _container_change(spec: ContainerSpec, existing: Optional[Mapping[str, Any]]) -> Optional[ContainerChange]:
    if existing is None:
        return ContainerChange(spec, "create", {})
    fields = differences(spec, existing)
    if fields:
        return ContainerChange(spec, "replace", fields)
    if is_looping(existing):
        return ContainerChange(spec, "restart", {})
    return None if docker.running(existing) else ContainerChange(spec, "start", {})


def _collations(run: Run, declared: Declared, server: Optional[ContainerChange]) -> tuple[collation.Change, ...]:
    """What has to be reindexed: for another image what that says, else what an earlier change left to be done. Raises
    PgkeepError for what is not accepted."""
    socket_dir = declared.layout.socket_dir
    if server is None or "image" not in server.fields:
        pending = collation.load_pending(declared.layout)
        return (*pending, *(collation.running(socket_dir) if declared.collation == collation.REINDEX else ()))
    known = collation.recorded(socket_dir)
    if docker.image(run, declared.server.image) is None:
        # In check mode it may not be there yet.
        return ()
    found = collation.changes(known, collation.ask_image(run, declared.server, known))
    collation.refuse(declared.layout.name, found, declared.collation)
    return tuple(found)


def _pooler_change(declared: Declared, existing: Optional[Mapping[str, Any]]) -> Optional[ContainerChange]:
    """Also where none is declared any more and one of ours is there."""
    layout = declared.layout
    if declared.pooler is not None:
        refuse_stranger(layout, existing)
        refuse_taken_port(declared.pooler, existing, "postgres_pooler_port")
        return _container_change(declared.pooler, existing)
    if existing is None or is_stranger(layout, existing):
        return None
    # Only the names matter to a removal.
    return ContainerChange(replace(declared.keeper, name=layout.pooler, role="pooler"), "remove", {})


def _pooler_reload_due(run: Run, layout: Layout, changed: tuple[FileChange, ...]) -> bool:
    """Also when a run before wrote a file and was killed before the reload."""
    if any(change.file.path.startswith(layout.pooler_config_dir + "/") for change in changed):
        return True
    return pooling.stale(run, layout)


def _refuse_replacement(declared: Declared, change: Optional[ContainerChange]) -> None:
    """A setting can wait for the next restart, a limit or an image cannot: half of a release is none. What can wait for
    the maintenance window is not declared yet, see _later."""
    if change is not None and change.action in ("replace", "remove"):
        later = declared.later
        until = "wait for the maintenance window, which opens at %s" % later.opens_at if later else "are refused"
        raise PgkeepError(
            "The %s of %s would be interrupted" % (change.spec.role, declared.layout.name),
            "its container must be %sd (%s) and restarts %s" % (change.action, _why(change), until),
            "deploy then, or with postgres_server_restart=allowed when an interruption is convenient,"
            " or put the old values back"
            if later
            else "deploy with postgres_server_restart=allowed when an interruption is convenient,"
            " or put the old values back",
        )


def is_looping(container: Mapping[str, Any], now: Optional[float] = None) -> bool:
    """Whether the container fails and is restarted again and again: it waits for its next try, or was just restarted.

    Waiting for the engine's next try, up to a minute away, is no way to find out whether new files help.
    """
    state = container["State"]
    started = epoch_of(state.get("StartedAt")) or 0
    just_now = (time.time() if now is None else now) - started < _LOOP_SECONDS
    return bool(state["Restarting"] or (state["Running"] and container["RestartCount"] > 1 and just_now))


def changed_settings(declared: Declared) -> tuple[str, ...]:
    """Names of PostgreSQL settings whose effective text differs between the files on disk and the declared ones."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for file in declared.settings_files():
        before.update(_SETTING.findall(read(file.path) or ""))
        after.update(_SETTING.findall(file.content))
    return differing(before, after)


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the settings that are not the same in both, those of one side included; sorted."""
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def _needing_restart(layout: Layout, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of names that a reload cannot bring into force, and those that wait from a run before."""
    found = query(
        layout.socket_dir,
        "select name from pg_settings where pending_restart or (context = 'postmaster' and name = any(%s))",
        (list(names),),
    )
    return tuple(sorted(name for (name,) in found))


def _reload_due(declared: Declared, changed: tuple[FileChange, ...]) -> bool:
    """Also when a run before wrote a file and was killed before the reload."""
    if any(_is_reloaded(declared.layout, change.file) for change in changed):
        return True
    loaded = query(declared.layout.socket_dir, "select extract(epoch from pg_conf_load_time())::float8")[0][0]
    return any(os.stat(file.path).st_mtime > loaded for file in declared.files if _is_reloaded(declared.layout, file))


def _is_reloaded(layout: Layout, file: File) -> bool:
    """Files that a running server reads again on reload; the rest matters at the next start or to others."""
    return file.path.startswith(layout.server_config_dir + "/") and not file.path.endswith(
        ("/initdb.args", "/on_empty")
    )
