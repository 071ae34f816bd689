# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan so that a failure leaves the instance as it was. Private to the collection."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable, Optional

from . import _archive_worker as archive_worker
from . import _docker as docker
from . import _pooler as pooler
from ._container import ContainerSpec, create_argv
from ._declared import Declared
from ._errors import PgkeepError
from ._files import keep, make, put_back, write
from ._gates import at_once, has_archive, pass_gates, targets
from ._interrupt import Interrupted, finish_what_began
from ._journal import Journal, begun, close_committed, containers, drop, former, successor
from ._judge_settings import judge_settings
from ._keeper import ask
from ._layout import Layout
from ._network import ensure_network
from ._outage import Outage
from ._plan import ContainerChange, Plan
from ._probe import published
from ._release import in_force, utc_stamp
from ._run import Run
from ._server import accepts_writes, checkpoint, wait_until_serving
from ._sql import connect, query
from ._terms import Terms
from ._timers import end_timers, is_unit, start_timers

# The server that is brought back has served before; its recovery after a kill is the longest wait.
_BACK_SECONDS = 300

_LOADED = "select pg_conf_load_time()"
_RELOAD_SECONDS = 5


@dataclass
class Applied:
    """What an applied plan cost and proved. interruption_ms: how long clients were without the server. restore_point:
    the name of the moment before, None where nobody was interrupted. gates: their evidence."""

    interruption_ms: int = 0
    restore_point: Optional[str] = None
    gates: list[dict[str, Any]] = field(default_factory=list)


def apply(
    run: Run,
    declared: Declared,
    plan: Plan,
    terms: Terms,
    commit: Callable[[Applied], None],
    who: Optional[str] = None,
) -> Applied:
    """Do what plan says, let the result pass the gates, and call commit; from there on nothing is taken back.

    Any PgkeepError before puts files and containers back as they were when the deploy began (the killed one that this
    one goes on with, where there is one), starts what ran before and is raised with how things stand now.
    """
    layout = declared.layout
    journal = begun(layout) or Journal(in_force(layout), accepts_writes(layout))
    # Whom a killed run left waiting.
    _resume(run, layout, journal)
    with _watched(run, declared, plan, journal) as outage:
        try:
            applied = _applied(run, declared, plan, terms, journal, who)
            if journal.served and (plan.changed or journal.killed):
                applied.gates = pass_gates(run, declared, terms)
            applied.interruption_ms = outage.stop()
            # Between a record and its journal nothing may take back what is committed.
            finish_what_began()
            commit(applied)
        except (PgkeepError, OSError) as error:
            failure = take_back(run, layout, journal, error)
            if outage.stop():
                failure.why += "; clients were without the server for %d ms" % outage.milliseconds
            raise failure from error
    journal.close(run, layout)
    return applied


def _watched(run: Run, declared: Declared, plan: Plan, journal: Journal) -> Outage:
    """Clients as the instance knows them: the health check's role over TLS, or before that one is there a superuser."""
    layout = declared.layout
    if not journal.served or not (plan.server or plan.reload or plan.restart_settings or journal.killed):
        return Outage([])
    container = docker.inspect(run, layout.server)
    address = published(container) if container else None
    places = (address,) if address else ()
    return Outage([lambda: at_once(targets(declared, places)), lambda: connect(layout.socket_dir)])


def _applied(run: Run, declared: Declared, plan: Plan, terms: Terms, journal: Journal, who: Optional[str]) -> Applied:
    layout = declared.layout
    for folder in plan.folders:
        make(folder)
    files = {change.file.path: change.before is not None for change in plan.files}
    actions = {change.spec.name: change.action for change in plan.containers}
    journal.note(run, layout, {**files, **dict.fromkeys(plan.removals, True)}, actions)
    for change in plan.files:
        keep(change.file.path)
        write(change.file)
    judge_settings(run, declared, plan)
    _volumes_and_network(run, declared, plan)
    if journal.served and plan.interrupts_server:
        _make_restore_point(run, layout, terms, journal, who)
    _server(run, layout, plan, journal)
    # Also where nothing had to change: a deploy that succeeds leaves a server that serves.
    wait_until_serving(run, layout, terms.start_timeout_seconds)
    # Before the gates and not after them: a pause ends by itself sooner than they may take.
    _resume(run, layout, journal)
    if plan.end_worker:
        archive_worker.end(run, layout.server)
        query(layout.socket_dir, archive_worker.WAKE)
    if plan.keeper is not None:
        _put(run, layout, plan.keeper)
    _pooler(run, declared, plan, journal)
    _remove_files(run, layout, plan, journal)
    return Applied(restore_point=journal.restore_point)


def _make_restore_point(run: Run, layout: Layout, terms: Terms, journal: Journal, who: Optional[str]) -> None:
    """The moment before, by name. Without a keeper or a repository there can be none; an archive that does not work is
    told before anybody is interrupted and not after."""
    if journal.restore_point is not None or not docker.running(docker.inspect(run, layout.keeper)):
        return
    name = "deploy-" + utc_stamp()
    try:
        ask(run, layout, ["restore-point", "--name", name], who=who)
    except Interrupted:
        raise
    except PgkeepError as error:
        if "archive" in terms.gates and has_archive(run, layout):
            raise PgkeepError(
                "The server of %s was not interrupted" % layout.name,
                "the moment before could not be kept: %s: %s" % (error.what, error.why),
                "correct the cause and run again; postgres_server_gates without archive deploys all the same",
            ) from error
        return
    journal.restore_point = name
    journal.save(layout)


def _remove_files(run: Run, layout: Layout, plan: Plan, journal: Journal) -> None:
    """Remove what is no longer declared; systemd hears of timers that came, changed or go."""
    units = [change.file.path for change in plan.files if is_unit(change.file.path)]
    gone = [path for path in plan.removals if is_unit(path)]
    if units or gone:
        journal.units = True
        journal.save(layout)
    end_timers(run, layout, gone)
    for path in plan.removals:
        keep(path)
        os.unlink(path)
    if journal.units:
        start_timers(run, layout, units)


def _volumes_and_network(run: Run, declared: Declared, plan: Plan) -> None:
    for name in plan.volumes:
        docker.create_volume(run, name, declared.layout.name, declared.volumes[name])
    if plan.network:
        ensure_network(run, declared.layout, plan.network)


def _server(run: Run, layout: Layout, plan: Plan, journal: Journal) -> None:
    """Replace, start, restart or reload the server as planned."""
    if plan.server is None:
        if plan.reload:
            _reload(layout)
        if not plan.restart_settings:
            return
    checkpoint(layout)
    if plan.server is not None:
        _put(run, layout, plan.server, partial(_pause, run, layout, journal))
    else:
        _pause(run, layout, journal)
        docker.docker(run, ["restart", layout.server], what="The server of %s could not be restarted" % layout.name)


def _pooler(run: Run, declared: Declared, plan: Plan, journal: Journal) -> None:
    """Replace, start, remove or reload the pooler as planned."""
    layout = declared.layout
    if plan.pooler is not None:
        _put(run, layout, plan.pooler)
    elif plan.pooler_reload:
        pooler.reload(run, layout)
    # A killed run may have started it and not waited.
    if declared.pooler is not None and (plan.pooler is not None or journal.killed):
        pooler.wait_until_ready(run, layout)


def _pause(run: Run, layout: Layout, journal: Journal) -> None:
    """Clients of the pooler, where there is one, wait from now on."""
    journal.paused = True
    pooler.pause(run, layout)


def _resume(run: Run, layout: Layout, journal: Journal) -> None:
    if journal.paused:
        pooler.resume(run, layout)
        journal.paused = False


def _reload(layout: Layout) -> None:
    """Reload and wait until it is in force: it reaches the server as a signal, and new sessions see its result."""
    before = query(layout.socket_dir, _LOADED)
    query(layout.socket_dir, "select pg_reload_conf()")
    end = time.monotonic() + _RELOAD_SECONDS
    while query(layout.socket_dir, _LOADED) == before and time.monotonic() < end:
        time.sleep(0.02)


def _put(run: Run, layout: Layout, change: ContainerChange, before: Callable[[], None] = lambda: None) -> None:
    """before is called when a new container is made and nobody was interrupted yet."""
    name = change.spec.name
    there = containers(run, layout) if change.action in ("replace", "remove") else set()
    if change.action == "replace":
        if successor(name) in there:
            docker.remove(run, successor(name))
        create(run, change.spec, successor(name))
    before()
    if change.action in ("replace", "remove"):
        _put_aside(run, name, there)
    if change.action == "remove":
        return
    if change.action == "replace":
        docker.rename(run, successor(name), name)
    if change.action == "create":
        create(run, change.spec, name)
    if change.action == "restart":
        docker.docker(run, ["restart", name], what="The container %s could not be restarted" % name)
    else:
        docker.start(run, name)


def _put_aside(run: Run, name: str, there: set[str]) -> None:
    docker.stop(run, name)
    if former(name) in there:
        # What a killed run put in its place goes; the one that waits is part of the release.
        docker.remove(run, name)
    else:
        docker.rename(run, name, former(name))


def create(run: Run, spec: ContainerSpec, name: str) -> None:
    docker.docker(run, create_argv(spec, name=name), what="The container %s could not be created" % spec.name)


@dataclass
class _Undo:
    """words: how things stand now. complete: whether every step of it succeeded. exchanged: names of the containers
    whose successor was in their place."""

    words: list[str] = field(default_factory=list)
    complete: bool = True
    exchanged: list[str] = field(default_factory=list)

    def attempt(self, action: Callable[[], object]) -> None:
        """A step that fails must not keep the next one from being tried."""
        try:
            action()
        except (PgkeepError, OSError) as error:
            self.complete = False
            self.words.append("but going back failed: %s" % error)


def take_back(run: Run, layout: Layout, journal: Journal, error: Exception) -> PgkeepError:
    """Put everything back that the journal names; returns error together with how things stand now."""
    cause = error if isinstance(error, PgkeepError) else PgkeepError("The plan could not be carried out", str(error))
    undo = _undo(run, layout, journal)
    cause.why = "; ".join([cause.why, *(undo.words or ["nothing else was changed"])])
    cause.next_step = cause.next_step or "correct the cause and run again"
    return cause


def finish_interrupted(run: Run, layout: Layout) -> None:
    """For an operation that cannot go on with a deploy that was killed: what was committed stays, the rest is taken
    back, and no client is left waiting. Raises PgkeepError when that is not possible."""
    pooler.resume(run, layout)
    close_committed(run, layout)
    journal = begun(layout)
    undo = _undo(run, layout, journal) if journal is not None else _Undo()
    if not undo.complete:
        raise PgkeepError(
            "The deploy of %s that was killed could not be taken back" % layout.name,
            "; ".join(undo.words),
            "correct the cause and repeat",
        )


def _undo(run: Run, layout: Layout, journal: Journal) -> _Undo:
    undo = _Undo()
    # Containers first and files second: what ran before starts on its own files.
    for name, action in reversed(journal.containers.items()):
        undo.attempt(partial(_withdraw, run, layout, journal, name, action, undo))
    units = {path: existed for path, existed in journal.files.items() if is_unit(path)}
    if journal.units:
        new = [path for path, existed in units.items() if not existed and os.path.exists(path)]
        undo.attempt(partial(end_timers, run, layout, new))
    for path, existed in journal.files.items():
        undo.attempt(partial(put_back, path, existed))
    if journal.served and layout.archive_config in journal.files:
        # One may have begun with the settings that are taken back.
        undo.attempt(partial(archive_worker.end, run, layout.server))
    if journal.units:
        # systemd reads the former ones, and no longer those that were new.
        undo.attempt(partial(start_timers, run, layout, [path for path, existed in units.items() if existed]))
    for name, action in journal.containers.items():
        if action in ("replace", "remove"):
            undo.attempt(partial(docker.start, run, name))
    if journal.served:
        undo.attempt(partial(_serve_again, run, layout, journal, undo))
    if any(path.startswith(layout.pooler_config_dir + "/") for path in journal.files):
        undo.attempt(partial(_former_pooler_settings, run, layout, journal, undo))
    undo.attempt(partial(_resume, run, layout, journal))
    if undo.complete:
        drop(layout)
    return undo


def _withdraw(run: Run, layout: Layout, journal: Journal, name: str, action: str, undo: _Undo) -> None:
    """action is what was first done to the container; a run that went on with it may have done something else."""
    there = containers(run, layout)
    if successor(name) in there:
        docker.remove(run, successor(name))
    if action == "create":
        # It goes, so that the next run starts clean; volumes stay, whatever is in them.
        for each in sorted({name, former(name)} & there):
            docker.remove(run, each)
        undo.words.append("the new container %s was removed, volumes were kept" % name)
    elif former(name) in there:
        if name == layout.server and name in there and accepts_writes(layout):
            # It came up and failed later: what clients wrote needs no recovery.
            _pause(run, layout, journal)
            docker.stop(run, name)
        docker.remove(run, name)
        docker.rename(run, former(name), name)
        undo.exchanged.append(name)
    elif action == "start":
        docker.stop(run, name)


def _serve_again(run: Run, layout: Layout, journal: Journal, undo: _Undo) -> None:
    stopped = journal.containers.get(layout.server) == "replace" and not accepts_writes(layout)
    if stopped or layout.server in undo.exchanged:
        words = "the previous container serves again"
    elif any(path.startswith(layout.server_config_dir + "/") for path in journal.files):
        words = "the previous settings are back"
        _former_settings(run, layout, journal)
    else:
        return
    wait_until_serving(run, layout, _BACK_SECONDS)
    undo.words.append(words)


def _former_settings(run: Run, layout: Layout, journal: Journal) -> None:
    """Bring the old files into force: by a reload, or by a restart where the server went down with the new ones or
    already runs on them."""
    if accepts_writes(layout):
        _reload(layout)
    if not accepts_writes(layout) or pending_restart(layout):
        _pause(run, layout, journal)
        docker.docker(run, ["restart", layout.server])


def _former_pooler_settings(run: Run, layout: Layout, journal: Journal, undo: _Undo) -> None:
    """A pooler that was touched begins with the files that it finds."""
    if layout.pooler not in journal.containers and pooler.there(run, layout):
        pooler.reload(run, layout)
        undo.words.append("the pooler has its previous settings")


def pending_restart(layout: Layout) -> list[str]:
    """Settings whose value in the files is not the one in force."""
    found = query(layout.socket_dir, "select name from pg_settings where pending_restart order by name")
    return [name for (name,) in found]
