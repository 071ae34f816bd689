# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module instance: one server and its keeper, there or gone. Private to the collection."""

from __future__ import annotations

import contextlib
import os
from typing import Any, ContextManager, Mapping, Optional, Sequence

from . import _docker as docker
from ._actor import ANSIBLE, actor
from ._audit import Outcome, recorded
from ._collation import load_pending, repair, save_pending
from ._crossing import recover, settle
from ._declared import Declared
from ._errors import PgkeepError
from ._files import make
from ._interrupt import interruptible
from ._layout import LABEL_MAJOR, Layout
from ._leftovers import remove as remove_leftovers
from ._lock import hold
from ._plan import Plan, make_plan
from ._release import read_current, record
from ._rules import refuse_stranger
from ._run import Run
from ._server import accepts_writes, facts
from ._timers import is_clock, remove_clocks
from ._transaction import apply, finish_interrupted, pending_restart


def image_id(run: Run, reference: str, check_mode: bool, major: Optional[int] = None) -> str:
    """The id behind a name, so that what runs is pinned whatever the name points to later.

    In check mode the name itself stands for an image that the role before would have obtained. major is the version of
    PostgreSQL that it shall have; images of ours say which one that is.
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
    has = ((found.get("Config") or {}).get("Labels") or {}).get(LABEL_MAJOR)
    if major is not None and has is not None and has != str(major):
        raise PgkeepError(
            "The image %s cannot be used" % reference,
            "it has PostgreSQL %s, declared is %d" % (has, major),
            "set postgres_image_base to an image without another version of PostgreSQL",
        )
    return str(found["Id"])


def ensure(
    run: Run, declared: Declared, *, restart_allowed: bool, start_timeout_seconds: float, check_mode: bool
) -> dict[str, Any]:
    """Bring the instance to its declared state; returns instance, changed and diff for the module."""
    layout = declared.layout
    if check_mode:
        plan = make_plan(run, declared, restart_allowed, check_mode)
        return _result(run, declared, plan, plan.interruption_seconds, read_current(layout), ())
    for folder in declared.folders:
        if folder.path == layout.home:
            # The lock lies in it, so it is there before anything else is looked at.
            make(folder)
    with hold(layout.lock_file, "deploy of %s" % layout.name, who=actor(ANSIBLE)), interruptible():
        removed = recover(run, layout)
        finish_interrupted(run, layout)
        removed += _remove_leftovers(run, layout)
        plan, interruption = _carry_out(run, declared, restart_allowed, start_timeout_seconds)
        release = read_current(layout)
    return _result(run, declared, plan, interruption, release, removed)


def _remove_leftovers(run: Run, layout: Layout) -> list[str]:
    """What killed operations left, before the plan: their copies take memory and disk, and the data may lie aside."""
    removed = remove_leftovers(run, layout)
    if removed:
        with _recorded(layout, "clean-up", {}) as outcome:
            outcome.details["steps"] = removed
    return removed


def _carry_out(run: Run, declared: Declared, restart_allowed: bool, start_timeout_seconds: float) -> tuple[Plan, float]:
    """Plan, apply, remember; returns the plan and the seconds of interruption. The audit trail has every deploy that
    changed something or failed."""
    layout = declared.layout
    try:
        plan = make_plan(run, declared, restart_allowed)
    except PgkeepError:
        with _recorded(layout, "deploy", {}):
            raise
    if not plan.changed and read_current(layout) is not None:
        # Nothing to record, but a deploy that succeeds leaves a server that serves.
        return plan, apply(run, declared, plan, start_timeout_seconds)
    for folder in plan.folders:
        if layout.state_dir.startswith(folder.path):
            make(folder)
    with _recorded(layout, "deploy", {"plan": plan.words()}) as outcome:
        pending = load_pending(layout)
        save_pending(layout, plan.collations)
        try:
            interruption = apply(run, declared, plan, start_timeout_seconds)
        except PgkeepError:
            # The former image serves again, and its indexes are as they were.
            save_pending(layout, pending)
            raise
        record(layout, declared.major, declared.server, declared.keeper, declared.files)
        if plan.crossing is not None:
            settle(run, declared, plan.crossing)
        outcome.details["interruption_seconds"] = round(interruption, 3)
        if plan.collations:
            # Behind the release: indexes that are rebuilt already fit this image and no other.
            outcome.details["reindexed"] = repair(layout.socket_dir, plan.collations)
            save_pending(layout, ())
    return plan, interruption


def _recorded(layout: Layout, action: str, parameters: Mapping[str, Any]) -> ContextManager[Outcome]:
    if not os.path.isdir(layout.state_dir):
        # What is refused before there is an instance has no trail to be in.
        return contextlib.nullcontext(Outcome())
    return recorded(layout.state_dir, action, actor(ANSIBLE), parameters)


def remove(run: Run, layout: Layout, check_mode: bool) -> dict[str, Any]:
    """Stop and remove the containers; volumes, settings and backups stay. Returns instance and changed."""
    containers = {name: docker.inspect(run, name) for name in (layout.keeper, layout.server)}
    for container in containers.values():
        refuse_stranger(layout, container)
    found = [name for name, container in containers.items() if container is not None]
    release = read_current(layout)
    clocks = [path for path in (release["files"] if release else ()) if is_clock(path) and os.path.exists(path)]
    if not check_mode and (found or clocks):
        parameters = {"containers": found, "clocks": clocks}
        what, who = "removal of %s" % layout.name, actor(ANSIBLE)
        with hold(layout.lock_file, what, who=who), _recorded(layout, "remove", parameters):
            # The clocks first: nothing shall be started in a container that goes.
            remove_clocks(run, layout, clocks)
            for name in found:
                docker.stop(run, name)
                docker.remove(run, name)
    plan = [
        {"action": "remove", "target": target, "reason": "state is absent", "interruption_seconds": 0}
        for target in [*("file " + path for path in clocks), *("container " + name for name in found)]
    ]
    return {"changed": bool(plan), "instance": {"name": layout.name, "running": False, "plan": plan}}


def _result(
    run: Run,
    declared: Declared,
    plan: Plan,
    interruption_seconds: float,
    release: Optional[dict[str, Any]],
    removed: Sequence[str],
) -> dict[str, Any]:
    layout = declared.layout
    container = docker.inspect(run, layout.server)
    serving = docker.running(container) and accepts_writes(layout)
    address, port, _inside = declared.server.ports[0].rsplit(":", 2)
    pending = pending_restart(layout) if serving else []
    instance = {
        "name": layout.name,
        "running": serving,
        "image": declared.server.image,
        "host": address,
        "port": int(port),
        "plan": [
            *(
                {"action": "clean up", "target": words, "reason": "no operation runs", "interruption_seconds": 0}
                for words in removed
            ),
            *plan.steps(),
        ],
        "interruption_seconds": round(interruption_seconds, 3),
        "restart_required": bool(pending),
        "pending_settings": pending,
        "release": release["time"] if release else None,
        **(facts(layout) if serving else {"version": None, "system_id": None, "role": None, "started_at": None}),
    }
    return {"changed": plan.changed or bool(removed), "diff": plan.diff(), "instance": instance}
