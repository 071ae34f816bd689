# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan so that a failure leaves the instance as it was. Private to the collection."""

from __future__ import annotations

import re
import time
from typing import Any, Optional

from . import _docker as docker
from ._container import ContainerSpec, create_argv
from ._declared import Declared
from ._errors import PgkeepError
from ._files import FileChange, make, put_back, write
from ._layout import CONFIG_MOUNT, LABEL_INSTANCE, Layout, pgdata
from ._lock import hold
from ._plan import ContainerChange, Plan, make_plan
from ._release import read_current, record
from ._run import Run
from ._server import accepts_writes, facts, message, wait_until_serving
from ._sql import connection, rows

# The container that is being replaced waits under this name until its successor serves.
_OLD = "-replaced"

# An option it does not know is only a warning; 31, 32 and 37 are options that are invalid, have a bad value or miss.
_OPTION_ERROR = re.compile(r"(?:WARN: |ERROR: \[03[127]\]: )(.*option.*)")

_HBA_ERRORS = "select line_number, error from pg_hba_file_rules where error is not null order by line_number"


def image_id(run: Run, reference: str, check_mode: bool) -> str:
    """The id behind a name, so that what runs is pinned whatever the name points to later.

    In check mode the name itself stands for an image that the role before would have obtained.
    """
    found = docker.image(run, reference)
    if found is None and check_mode:
        return reference
    if found is None:
        raise PgkeepError(
            "The image %s is not on this machine" % reference,
            "the engine does not know it",
            "run the playbook deploy.yml, whose role postgres_image pulls or builds it",
        )
    return str(found["Id"])


def ensure(
    run: Run, declared: Declared, *, restart_allowed: bool, start_timeout_seconds: float, check_mode: bool
) -> dict[str, Any]:
    """Bring the instance to its declared state; returns instance, changed and diff for the module."""
    layout = declared.layout
    if check_mode:
        plan = make_plan(run, declared)
        return _result(run, declared, plan, plan.interruption_seconds, read_current(layout))
    for folder in declared.folders:
        if folder.path == layout.home:
            # The lock lies in it, so it is there before anything else is looked at.
            make(folder)
    with hold(layout.lock_file, "deploy of %s" % layout.name):
        _finish_interrupted(run, layout)
        plan = make_plan(run, declared)
        interruption = apply(run, declared, plan, restart_allowed, start_timeout_seconds)
        release = read_current(layout)
        if plan.changed or release is None:
            record(layout, declared.major, declared.server, declared.keeper, declared.files)
            release = read_current(layout)
    return _result(run, declared, plan, interruption, release)


def apply(run: Run, declared: Declared, plan: Plan, restart_allowed: bool, start_timeout_seconds: float) -> float:
    """Do what plan says; returns the measured seconds without a server that accepts writes.

    Any PgkeepError puts files and containers back, starts what ran before and passes on.
    """
    for folder in plan.folders:
        make(folder)
    written: list[FileChange] = []
    try:
        for change in plan.files:
            write(change.file)
            written.append(change)
        _validate(run, declared, plan)
        _volumes_and_network(run, declared, plan)
        interruption = _server(run, declared, plan, start_timeout_seconds)
        if plan.server is None:
            interruption += _settings(run, declared, plan, restart_allowed, start_timeout_seconds)
        if plan.keeper is not None:
            _put(run, plan.keeper)
    except PgkeepError as error:
        for change in reversed(written):
            put_back(change)
        raise _with_undo(run, declared, plan, error) from error
    return interruption


def _validate(run: Run, declared: Declared, plan: Plan) -> None:
    """Let the running server judge the new files before they are in force, and before it is stopped for a successor.

    The first server has nobody to ask: it is judged by its start.
    """
    layout = declared.layout
    if not plan.files or not accepts_writes(layout):
        return
    # -C of any setting reads and checks the whole configuration and starts nothing.
    command = ["postgres", "-D", pgdata(declared.major), "-c", "config_file=%s/postgresql.conf" % CONFIG_MOUNT]
    checked = docker.execute(run, layout.server, [*command, "-C", "data_directory"])
    errors = [message(line) for line in checked.stderr.splitlines() if "LOG:" in line] if checked.rc else []
    with connection(layout.socket_dir) as opened:
        errors += ["pg_hba.conf, line %s: %s" % error for error in rows(opened, _HBA_ERRORS)]
    if any(change.file.path.startswith(layout.pgbackrest_config_dir) for change in plan.files):
        errors += _tool_errors(run, layout)
    if errors:
        raise PgkeepError(
            "The settings of %s are not valid" % layout.name,
            "; ".join(errors),
            "correct them in the inventory and run again",
        )


def _tool_errors(run: Run, layout: Layout) -> list[str]:
    """What pgBackRest says of its new settings. Each command checks only the options that it takes, so the one is run
    that archives WAL, on a file that is not there: bad options end it before it looks for the file."""
    nothing = "/nonexistent/000000010000000000000001"
    words = ["--stanza=" + layout.name, "--no-archive-async", "archive-push", nothing]
    said = docker.execute(run, layout.server, ["pgbackrest", *words], timeout=60)
    return ["pgbackrest.conf: " + found for found in _OPTION_ERROR.findall(said.stdout + said.stderr)]


def _volumes_and_network(run: Run, declared: Declared, plan: Plan) -> None:
    for name in plan.volumes:
        docker.create_volume(run, name, declared.layout.name, declared.volumes[name])
    if plan.network:
        # Several instances may share a network, so it carries no instance's label.
        label = "%s=" % LABEL_INSTANCE
        docker.docker(run, ["network", "create", "--label", label, plan.network], what="The network cannot be created")


def _server(run: Run, declared: Declared, plan: Plan, timeout_seconds: float) -> float:
    if plan.server is None:
        return 0.0
    began = time.monotonic()
    layout = declared.layout
    if plan.server.action == "replace":
        _checkpoint(layout)
        docker.stop(run, layout.server)
        docker.rename(run, layout.server, layout.server + _OLD)
    _put(run, plan.server)
    wait_until_serving(run, layout, timeout_seconds)
    if plan.server.action == "replace":
        docker.remove(run, layout.server + _OLD)
    return time.monotonic() - began if plan.server.action == "replace" else 0.0


def _put(run: Run, change: ContainerChange) -> None:
    spec = change.spec
    if change.action == "replace" and spec.role == "keeper":
        docker.docker(run, ["stop", spec.name])
        docker.remove(run, spec.name)
    if change.action != "start":
        create(run, spec)
    docker.start(run, spec.name)


def create(run: Run, spec: ContainerSpec) -> None:
    docker.docker(run, create_argv(spec), what="The container %s could not be created" % spec.name)


def _checkpoint(layout: Layout) -> None:
    """Write dirty pages while applications still work, so that the stop itself is short."""
    if accepts_writes(layout):
        with connection(layout.socket_dir) as opened:
            rows(opened, "checkpoint")


def _settings(run: Run, declared: Declared, plan: Plan, restart_allowed: bool, timeout_seconds: float) -> float:
    """Reload, or restart when a setting needs it and the inventory allows it. Returns the seconds of interruption."""
    layout = declared.layout
    if not plan.reload:
        return 0.0
    with connection(layout.socket_dir) as opened:
        rows(opened, "select pg_reload_conf()")
    if not (plan.restart_settings and restart_allowed):
        return 0.0
    _checkpoint(layout)
    began = time.monotonic()
    docker.docker(run, ["restart", layout.server], what="The server of %s could not be restarted" % layout.name)
    wait_until_serving(run, layout, timeout_seconds)
    return time.monotonic() - began


def _with_undo(run: Run, declared: Declared, plan: Plan, error: PgkeepError) -> PgkeepError:
    """Bring back the server that ran before and say so in the error."""
    layout = declared.layout
    action = plan.server.action if plan.server else None
    if action == "create":
        # The container goes, so that the next run starts clean; volumes stay, whatever is in them.
        docker.remove(run, layout.server)
        undone = "the new container was removed, the volumes were kept"
    elif action == "replace" and docker.inspect(run, layout.server + _OLD) is not None:
        docker.remove(run, layout.server)
        docker.rename(run, layout.server + _OLD, layout.server)
        docker.start(run, layout.server)
        undone = "the previous container serves again"
    elif plan.restart_settings and not accepts_writes(layout):
        docker.attempt(run, ["restart", layout.server])
        undone = "the previous settings are back"
    elif plan.reload and accepts_writes(layout):
        with connection(layout.socket_dir) as opened:
            rows(opened, "select pg_reload_conf()")
        undone = "the previous settings are back"
    else:
        undone = "nothing else was changed"
    if action == "replace" or plan.restart_settings:
        undone += _serving_again(run, layout)
    return PgkeepError(error.what, "%s; %s" % (error.why, undone), error.next_step or "correct the cause and run again")


def _serving_again(run: Run, layout: Layout) -> str:
    try:
        wait_until_serving(run, layout, 60)
    except PgkeepError as error:
        return ", but it does not serve: %s" % error.why
    return ""


def _finish_interrupted(run: Run, layout: Layout) -> None:
    """A run that died between rename and removal left two containers: keep the one that serves."""
    old = layout.server + _OLD
    if docker.inspect(run, old) is None:
        return
    if docker.running(docker.inspect(run, layout.server)) and accepts_writes(layout):
        docker.remove(run, old)
        return
    docker.remove(run, layout.server)
    docker.rename(run, old, layout.server)
    docker.start(run, layout.server)


def remove(run: Run, layout: Layout, check_mode: bool) -> dict[str, Any]:
    """Stop and remove the containers; volumes, settings and backups stay. Returns instance and changed."""
    found = [name for name in (layout.keeper, layout.server) if docker.inspect(run, name) is not None]
    if not check_mode and found:
        with hold(layout.lock_file, "removal of %s" % layout.name):
            for name in found:
                docker.stop(run, name)
                docker.remove(run, name)
    plan = [
        {"action": "remove", "target": "container " + name, "reason": "state is absent", "interruption_seconds": 0}
        for name in found
    ]
    return {"changed": bool(found), "instance": {"name": layout.name, "running": False, "plan": plan}}


def _result(
    run: Run, declared: Declared, plan: Plan, interruption_seconds: float, release: Optional[dict[str, Any]]
) -> dict[str, Any]:
    layout = declared.layout
    container = docker.inspect(run, layout.server)
    serving = docker.running(container) and accepts_writes(layout)
    address, port, _inside = declared.server.ports[0].rsplit(":", 2)
    pending = _pending_restart(layout) if serving else []
    instance = {
        "name": layout.name,
        "running": serving,
        "container_id": container["Id"] if container else None,
        "image": declared.server.image,
        "host": address,
        "port": int(port),
        "plan": plan.steps(),
        "interruption_seconds": round(interruption_seconds, 3),
        "restart_required": bool(pending),
        "pending_settings": pending,
        "release": release["time"] if release else None,
        **(facts(layout) if serving else {"version": None, "system_id": None, "role": None, "started_at": None}),
    }
    return {"changed": plan.changed, "diff": plan.diff(), "instance": instance}


def _pending_restart(layout: Layout) -> list[str]:
    with connection(layout.socket_dir) as opened:
        return [name for (name,) in rows(opened, "select name from pg_settings where pending_restart order by name")]
