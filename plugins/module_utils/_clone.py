# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away copy beside an instance, with a volume and a port of its own. Private to the collection.

It reads the source's repository and can never write there: archiving is off by command line, which no setting
overrules, and the repository is mounted read-only. Nobody logs in before it is masked: until then it has no network.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

from . import _docker as docker
from ._container import ContainerSpec
from ._copies import Copy, remove_clone, remove_expired, save, standing
from ._copy import copy_memory, keep_until, passing, prove
from ._errors import PgkeepError
from ._interrupt import interruptible
from ._layout import PORT, Layout
from ._lock import hold
from ._network import ensure_network
from ._preview import target_words
from ._restore import push_wal
from ._restore_plan import CLONE, Plan, Request, make_plan, require_release
from ._restore_result import planned
from ._run import Run
from ._target import rfc3339
from ._throwaway import Place, derive, prepare, start, wait_until_open

_ADDRESS = "127.0.0.1"


def clone(run: Run, request: Request, check_mode: bool) -> dict[str, Any]:
    """Make the clone request.into. Returns the object restore."""
    layout = Layout(request.name)
    require_release(layout)
    if check_mode:
        plan, own = _plan(run, request)
        return planned(plan, _steps(plan, own, request))
    with hold(layout.lock_file, "clone of %s" % layout.name), interruptible():
        removed = remove_expired(run, layout)
        plan, own = _plan(run, request)
        copy = _make(run, plan, own, request)
        copies = [each.to_result() for each in standing(run, layout)]
    words = "Made the clone %s, which stands until %s: %s" % (own.name, copy.expires_at, copy.to_result()["psql"])
    return {**planned(plan, [*removed, words]), "reached_time": copy.reached_time, "lost": None, "copies": copies}


def _plan(run: Run, request: Request) -> tuple[Plan, Layout]:
    own = Layout(str(request.into))
    what = "The clone %s of %s cannot be made" % (own.name, request.name)
    for kind, name in (("container", own.server), ("volume", own.data_volume)):
        if docker.inspect(run, name) if kind == "container" else docker.volume(run, name):
            raise PgkeepError(what, "there is a %s %s" % (kind, name), "choose another name with into")
    for path in (own.config_dir, own.home):
        if os.path.exists(path):
            raise PgkeepError(what, "%s belongs to an instance or a clone of that name" % path, "choose another name")
    if request.port is not None and _is_taken(request.port):
        raise PgkeepError(what, "port %d of %s is in use" % (request.port, _ADDRESS), "choose another port")
    plan = make_plan(run, request, role=CLONE)
    return plan, own


def _is_taken(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(1)
        return asked.connect_ex((_ADDRESS, port)) == 0


def _steps(plan: Plan, own: Layout, request: Request) -> list[str]:
    steps = [
        "Create the volume %s" % own.data_volume,
        "Restore backup %s there, recover it to %s without network, archiving off"
        % (plan.choice.label, plan.choice.target),
    ]
    if request.masking_sql is not None:
        steps.append("Run the masking SQL before anybody can log in")
    if request.port is not None:
        steps.append("Listen on %s:%d" % (_ADDRESS, request.port))
    return steps


def _make(run: Run, plan: Plan, own: Layout, request: Request) -> Copy:
    place, lasting = Place(own.home), timedelta(seconds=request.ttl_seconds)
    now = datetime.now(timezone.utc)
    copy = Copy(
        kind=CLONE,
        source=plan.layout.name,
        name=own.name,
        container=own.server,
        home=own.home,
        target=target_words(plan.choice),
        backup=dict(plan.choice.backup),
        timeline=plan.choice.timeline,
        moment=rfc3339(plan.choice.moment) if plan.choice.moment else None,
        stamp="",
        created_at=rfc3339(now.replace(microsecond=0)),
        expires_at=rfc3339((now + timedelta(seconds=request.timeout_seconds) + lasting).replace(microsecond=0)),
        port=request.port,
        masked=request.masking_sql is not None,
    )
    prepare(place)
    # Written down first: whatever interrupts what follows, the next command knows what to remove.
    save(copy)
    try:
        push_wal(run, plan)
        docker.create_volume(run, own.data_volume, plan.layout.name, CLONE)
        keep_until(place, now + timedelta(seconds=request.timeout_seconds) + lasting)
        closed = _spec(plan, own, place)
        start(run, closed)
        wait_until_open(run, own.server, place.socket_dir, request.timeout_seconds)
        reached = prove(place.socket_dir).reached_time
        if request.masking_sql is not None:
            _mask(run, own, request.masking_sql)
        if request.port is not None:
            _open(run, plan, closed, place, request)
        now = datetime.now(timezone.utc)
        copy = replace(
            copy,
            reached_time=reached or str(plan.choice.backup["stopped_at"]),
            expires_at=rfc3339((now + lasting).replace(microsecond=0)),
        )
        save(copy)
        keep_until(place, now + lasting)
    except (PgkeepError, OSError):
        remove_clone(run, copy)
        raise
    return copy


def _spec(plan: Plan, own: Layout, place: Place, *, listen: bool = False) -> ContainerSpec:
    memory = copy_memory(plan.server, plan.running)
    spec = derive(
        plan.server,
        place,
        name=own.server,
        role=CLONE,
        data=own.data_volume,
        environment={"PGKEEP_RESTORE_ARGS": plan.choice.restore_args() + " --archive-mode=off", **plan.fetching},
        settings={"archive_mode": "off", "autovacuum": "on", "listen_addresses": "*" if listen else ""},
        memory_bytes=memory,
        cpus=plan.server.cpus,
        repository=plan.repository,
    )
    return passing(spec)


def _mask(run: Run, own: Layout, sql: str) -> None:
    argv = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=postgres"]
    # Unlike an option, standard input is seen by nobody.
    result = docker.execute(run, own.server, argv, data=sql)
    if result.rc != 0:
        raise PgkeepError(
            "The clone %s was not made" % own.name,
            "the masking SQL failed: %s" % (_last_error(result.stderr) or "exit code %d" % result.rc),
            "correct it and repeat; the clone was removed, unmasked data are nowhere",
        )


def _last_error(text: str) -> Optional[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR:" in line), lines[-1] if lines else None)


def _open(run: Run, plan: Plan, closed: ContainerSpec, place: Place, request: Request) -> None:
    """The masked data in a container that has a network."""
    docker.stop(run, closed.name)
    docker.remove(run, closed.name)
    network = plan.server.network
    ensure_network(run, plan.layout, network)
    port = "%s:%d:%d" % (_ADDRESS, int(request.port or 0), PORT)
    own = Layout(closed.name)
    start(run, replace(_spec(plan, own, place, listen=True), network=network, ports=(port,)))
    wait_until_open(run, closed.name, place.socket_dir, request.timeout_seconds)
