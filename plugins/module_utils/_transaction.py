# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan so that a failure leaves the instance as it was. Private to the collection."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Callable, Optional

from . import _archive_worker as archive_worker
from . import _docker as docker
from ._container import ContainerSpec, create_argv
from ._declared import Declared
from ._errors import PgkeepError
from ._files import File, forget, keep, make, put_back, write
from ._judge_settings import judge_settings
from ._layout import Layout
from ._network import ensure_network
from ._passage import Passage
from ._plan import ContainerChange, Plan
from ._rules import is_stranger
from ._run import Run
from ._server import accepts_writes, checkpoint, wait_until_serving
from ._sql import query
from ._timers import end_timers, is_unit, start_timers
from ._upgrade_record import crossed

# A container that is being replaced waits under this name until everything else has succeeded.
_OLD = "-replaced"

# The server that is brought back has served before; its recovery after a kill is the longest wait.
_BACK_SECONDS = 300


_LOADED = "select pg_conf_load_time()"
_RELOAD_SECONDS = 5


@dataclass
class Done:
    """What has been done so far and an undo has to take back."""

    files: list[File] = field(default_factory=list)
    containers: list[ContainerChange] = field(default_factory=list)
    # Whether systemd was told of new timers.
    units: bool = False
    # A change of the major version, which takes its data back by itself.
    passage: Optional[Passage] = None


def apply(run: Run, declared: Declared, plan: Plan, start_timeout_seconds: float) -> float:
    """Do what plan says; returns the measured seconds without a server that accepts writes.

    Any PgkeepError puts files and containers back, starts what ran before and is raised with how things stand now.
    """
    done = Done(passage=Passage(run, declared, plan.crossing) if plan.crossing else None)
    try:
        for folder in plan.folders:
            make(folder)
        if done.passage is not None:
            done.passage.leave()
        for change in plan.files:
            keep(change.file)
            done.files.append(change.file)
            write(change.file)
        judge_settings(run, declared, plan)
        _volumes_and_network(run, declared, plan)
        interruption = _server(run, declared.layout, plan, done, start_timeout_seconds)
        # Also where nothing had to change: a deploy that succeeds leaves a server that serves.
        wait_until_serving(run, declared.layout, start_timeout_seconds)
        if plan.end_worker:
            archive_worker.end(run, declared.layout.server)
            query(declared.layout.socket_dir, archive_worker.WAKE)
        if plan.keeper is not None:
            _put(run, plan.keeper, done)
        _remove_files(run, declared.layout, plan, done)
    except (PgkeepError, OSError) as error:
        raise _undone(run, declared.layout, plan, done, error) from error
    for put in done.containers:
        docker.remove(run, put.spec.name + _OLD)
    for file in done.files:
        forget(file)
    return interruption


def _remove_files(run: Run, layout: Layout, plan: Plan, done: Done) -> None:
    """Remove what is no longer declared; systemd hears of timers that came, changed or go."""
    units = [change.file.path for change in plan.files if is_unit(change.file.path)]
    gone = [path for path in plan.removals if is_unit(path)]
    done.units = bool(units or gone)
    end_timers(run, layout, gone)
    for path in plan.removals:
        file = File(path, "")
        keep(file)
        done.files.append(file)
        os.unlink(path)
    if done.units:
        start_timers(run, layout, units)


def _former_timers(run: Run, layout: Layout, plan: Plan) -> None:
    """The former files are back: systemd reads them, and no longer those that were new."""
    former = [change.file.path for change in plan.files if is_unit(change.file.path) and change.before is not None]
    start_timers(run, layout, [*former, *(path for path in plan.removals if is_unit(path))])


def _volumes_and_network(run: Run, declared: Declared, plan: Plan) -> None:
    for name in plan.volumes:
        docker.create_volume(run, name, declared.layout.name, declared.volumes[name])
    if plan.network:
        ensure_network(run, declared.layout, plan.network)


def _server(run: Run, layout: Layout, plan: Plan, done: Done, timeout_seconds: float) -> float:
    """Replace, start, restart or reload the server as planned; returns the seconds of interruption."""
    if plan.server is None:
        if plan.reload:
            _reload(layout)
        if not plan.restart_settings:
            return 0.0
    checkpoint(layout)
    began = time.monotonic()
    if done.passage is not None and done.passage.stopped_at is not None:
        began = done.passage.stopped_at
    if plan.server is not None:
        _put(run, plan.server, done)
    else:
        docker.docker(run, ["restart", layout.server], what="The server of %s could not be restarted" % layout.name)
    wait_until_serving(run, layout, timeout_seconds)
    # Nobody was interrupted by a server that did not run before.
    return time.monotonic() - began if plan.server is None or plan.server.action == "replace" else 0.0


def _reload(layout: Layout) -> None:
    """Reload and wait until it is in force: it reaches the server as a signal, and new sessions see its result."""
    before = query(layout.socket_dir, _LOADED)
    query(layout.socket_dir, "select pg_reload_conf()")
    end = time.monotonic() + _RELOAD_SECONDS
    while query(layout.socket_dir, _LOADED) == before and time.monotonic() < end:
        time.sleep(0.02)


def _put(run: Run, change: ContainerChange, done: Done) -> None:
    name = change.spec.name
    done.containers.append(change)
    if change.action == "replace":
        docker.stop(run, name)
        docker.rename(run, name, name + _OLD)
    if done.passage is not None and change.spec.role == "server":
        done.passage.cross()
    if change.action in ("create", "replace"):
        create(run, change.spec)
    if change.action == "restart":
        docker.docker(run, ["restart", name], what="The container %s could not be restarted" % name)
    else:
        if done.passage is not None and change.spec.role == "server":
            done.passage.embark()
        docker.start(run, name)


def create(run: Run, spec: ContainerSpec) -> None:
    docker.docker(run, create_argv(spec), what="The container %s could not be created" % spec.name)


def _undone(run: Run, layout: Layout, plan: Plan, done: Done, error: Exception) -> PgkeepError:
    """Take back what was done, and tell error together with how things stand now."""
    cause = error if isinstance(error, PgkeepError) else PgkeepError("The plan could not be carried out", str(error))
    state: list[str] = []
    # Containers first and files second: what ran before starts on its own files.
    for change in reversed(done.containers):
        _attempt(state, partial(_withdraw, run, change, state))
    if done.units:
        new = [change.file.path for change in plan.files if is_unit(change.file.path) and change.before is None]
        _attempt(state, partial(end_timers, run, layout, new))
    for file in reversed(done.files):
        _attempt(state, partial(put_back, file))
    if plan.end_worker:
        # One may have begun with the settings that are taken back.
        _attempt(state, partial(archive_worker.end, run, layout.server))
    if done.units:
        _attempt(state, partial(_former_timers, run, layout, plan))
    if done.passage is not None:
        _attempt(state, partial(_return_data, run, layout, done.passage, state))
    for change in done.containers:
        if change.action == "replace":
            _attempt(state, partial(docker.start, run, change.spec.name))
    if done.passage is not None or any(
        change.action == "replace" and change.spec.role == "server" for change in done.containers
    ):
        _attempt(state, partial(_await, run, layout, state, "the previous container serves again"))
    elif plan.server is None and (plan.reload or plan.restart_settings):
        _attempt(state, partial(_former_settings, run, layout, state))
    how = "; ".join(state) or "nothing else was changed"
    return PgkeepError(cause.what, "%s; %s" % (cause.why, how), cause.next_step or "correct the cause and run again")


def _attempt(state: list[str], action: Callable[[], object]) -> None:
    """A step of an undo that fails must not keep the next one from being tried."""
    try:
        action()
    except (PgkeepError, OSError) as error:
        state.append("but going back failed: %s" % error)


def _withdraw(run: Run, change: ContainerChange, state: list[str]) -> None:
    name = change.spec.name
    if change.action == "start":
        docker.stop(run, name)
    elif change.action == "create":
        # It goes, so that the next run starts clean; volumes stay, whatever is in them.
        docker.remove(run, name)
        state.append("the new container %s was removed, volumes were kept" % name)
    elif change.action == "replace" and docker.inspect(run, name + _OLD) is not None:
        docker.remove(run, name)
        docker.rename(run, name + _OLD, name)


def _return_data(run: Run, layout: Layout, passage: Passage, state: list[str]) -> None:
    """Data of the former major version, then what was stopped for the crossing; its files are back."""
    state.append(passage.take_back())
    for name in (layout.server, layout.keeper):
        if docker.inspect(run, name) is not None:
            docker.start(run, name)


def _former_settings(run: Run, layout: Layout, state: list[str]) -> None:
    """Bring the old files into force: by a reload, or by a restart where the server went down with the new ones or
    already runs on them."""
    if accepts_writes(layout):
        _reload(layout)
    if not accepts_writes(layout) or pending_restart(layout):
        docker.docker(run, ["restart", layout.server])
    _await(run, layout, state, "the previous settings are back")


def _await(run: Run, layout: Layout, state: list[str], words: str) -> None:
    wait_until_serving(run, layout, _BACK_SECONDS)
    state.append(words)


def pending_restart(layout: Layout) -> list[str]:
    """Settings whose value in the files is not the one in force."""
    found = query(layout.socket_dir, "select name from pg_settings where pending_restart order by name")
    return [name for (name,) in found]


def finish_interrupted(run: Run, layout: Layout) -> None:
    """A run that was killed between rename and removal left two containers of a name: keep the server that serves."""
    for name in (layout.server, layout.keeper):
        old = docker.inspect(run, name + _OLD)
        if old is None or is_stranger(layout, old):
            # Another instance may be called so.
            continue
        if crossed(layout):
            _keep_new(run, name)
            continue
        if docker.running(docker.inspect(run, name)) and (name == layout.keeper or accepts_writes(layout)):
            docker.remove(run, name + _OLD)
            continue
        docker.remove(run, name)
        docker.rename(run, name + _OLD, name)
        docker.start(run, name)


def _keep_new(run: Run, name: str) -> None:
    """The old container must not run again; where there is no new one yet, it is what that will replace."""
    if docker.inspect(run, name) is None:
        docker.rename(run, name + _OLD, name)
    else:
        docker.remove(run, name + _OLD)
