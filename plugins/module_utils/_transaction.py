# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan so that a failure leaves the instance as it was. Private to the collection."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable, Optional

from . import _archive_worker as archive_worker
from . import _docker as docker
from . import _pooler as pooler
from ._applications import able, logins
from ._container import ContainerSpec, create_argv
from ._declared import Declared
from ._errors import PgkeepError
from ._files import keep, make, read, write
from ._gates import at_once, has_archive, pass_gates, targets
from ._interrupt import Interrupted, finish_what_began
from ._journal import Journal, begun, containers, former, successor
from ._judge_settings import judge_settings
from ._keeper import ask
from ._layout import Layout
from ._network import ensure_network
from ._outage import Outage
from ._passage import Passage
from ._plan import ContainerChange, Plan
from ._probe import published
from ._release import in_force, utc_stamp
from ._run import Run
from ._server import accepts_writes, checkpoint, pending_restart, wait_until_serving
from ._sql import connect, query
from ._terms import Terms
from ._timers import end_timers, is_unit, start_timers
from ._undo import pause, reload, resume, take_back


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
    passage = Passage(run, declared, plan.crossing) if plan.crossing else None
    journal = begun(layout) or _begin(layout)
    journal.crosses = journal.crosses or passage is not None
    # Whom a killed run left waiting.
    resume(run, layout, journal)
    if "applications" in terms.gates and not journal.killed and _touches(plan, journal):
        journal.able = _able(run, layout)
    with _watched(run, declared, plan, journal) as outage:
        try:
            applied = _applied(run, declared, plan, terms, journal, passage, who)
            if journal.served and (plan.changed or journal.killed):
                applied.gates = pass_gates(run, declared, terms, journal.able)
            applied.interruption_ms = outage.stop()
            # Between a record and its journal nothing may take back what is committed.
            finish_what_began()
            commit(applied)
        except (PgkeepError, OSError) as error:
            failure = take_back(run, layout, journal, error, passage)
            if outage.stop():
                failure.why += "; clients were without the server for %d ms" % outage.milliseconds
            raise failure from error
    journal.close(run, layout)
    return applied


def _begin(layout: Layout) -> Journal:
    served = accepts_writes(layout)
    return Journal(in_force(layout), served, pending_restart(layout) if served else [])


def _touches(plan: Plan, journal: Journal) -> bool:
    """Whether a server that serves is replaced, restarted or given other settings."""
    return journal.served and bool(plan.server or plan.reload or plan.restart_settings or journal.killed)


def _address(run: Run, layout: Layout) -> Optional[tuple[str, int]]:
    container = docker.inspect(run, layout.server)
    return published(container) if container else None


def _able(run: Run, layout: Layout) -> list[tuple[str, str]]:
    address = _address(run, layout)
    return able(logins(read(layout.client_dir + "/pgpass"), address, layout.client_dir + "/ca.crt")) if address else []


def _watched(run: Run, declared: Declared, plan: Plan, journal: Journal) -> Outage:
    """Clients as the instance knows them: the health check's role over TLS, or before that one is there a superuser."""
    layout = declared.layout
    if not _touches(plan, journal):
        return Outage([])
    address = _address(run, layout)
    places = (address,) if address else ()
    return Outage([lambda: at_once(targets(declared, places)), lambda: connect(layout.socket_dir)])


def _applied(
    run: Run,
    declared: Declared,
    plan: Plan,
    terms: Terms,
    journal: Journal,
    passage: Optional[Passage],
    who: Optional[str],
) -> Applied:
    layout = declared.layout
    for folder in plan.folders:
        make(folder)
    files = {change.file.path: change.before is not None for change in plan.files}
    actions = {change.spec.name: change.action for change in plan.containers}
    journal.note(run, layout, {**files, **dict.fromkeys(plan.removals, True)}, actions)
    if passage is not None and not passage.started:
        if journal.served:
            # It takes the keeper, which is stopped next.
            _make_restore_point(run, layout, terms, journal, who)
        passage.leave(partial(pause, run, layout, journal))
    for change in plan.files:
        keep(change.file.path)
        write(change.file)
    judge_settings(run, declared, plan)
    _volumes_and_network(run, declared, plan)
    if journal.served and plan.interrupts_server:
        _make_restore_point(run, layout, terms, journal, who)
    _server(run, layout, plan, journal, passage)
    # Also where nothing had to change: a deploy that succeeds leaves a server that serves.
    wait_until_serving(run, layout, terms.start_timeout_seconds)
    # Before the gates and not after them: a pause ends by itself sooner than they may take.
    resume(run, layout, journal)
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


def _server(run: Run, layout: Layout, plan: Plan, journal: Journal, passage: Optional[Passage]) -> None:
    """Replace, start, restart or reload the server as planned."""
    if plan.server is None:
        if plan.reload:
            reload(layout)
        # A setting that goes back to what is in force before it came into force needs no restart.
        if not plan.restart_settings or not pending_restart(layout):
            return
    checkpoint(layout)
    if plan.server is not None and passage is not None:
        _put(run, layout, plan.server, passage.cross, passage.embark)
    elif plan.server is not None:
        _put(run, layout, plan.server, partial(pause, run, layout, journal))
    else:
        pause(run, layout, journal)
        journal.restarted = True
        journal.save(layout)
        docker.docker(run, ["restart", layout.server], what="The server of %s could not be restarted" % layout.name)


def _pooler(run: Run, declared: Declared, plan: Plan, journal: Journal) -> None:
    """Replace, start, remove or reload the pooler as planned."""
    layout = declared.layout
    if plan.pooler is not None:
        pooler.ensure_hosts(layout)
        _put(run, layout, plan.pooler)
    elif plan.pooler_reload:
        pooler.reload(run, layout)
    # A killed run may have started it and not waited.
    if declared.pooler is not None and (plan.pooler is not None or journal.killed):
        pooler.wait_until_ready(run, layout)


def _put(
    run: Run,
    layout: Layout,
    change: ContainerChange,
    before: Callable[[], None] = lambda: None,
    starting: Callable[[], None] = lambda: None,
) -> None:
    """before is called when a successor is made and what it replaces was not touched yet, starting when all but the
    start is done."""
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
        starting()
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
