# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that stops at its target and answers questions, before it is promoted or abandoned.

Private to the collection.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

from . import _docker as docker
from ._actor import ANSIBLE, actor
from ._container import spec_from_dict
from ._copies import Copy, preview_of, remove_expired, remove_preview, save, standing, stands
from ._copy import PREVIEW, CopyFacts, keep_until, look, resume
from ._errors import PgkeepError
from ._interrupt import interruptible
from ._layout import DATA_MOUNT, Layout
from ._lock import hold
from ._maintenance import working
from ._release import pooler_of
from ._restore import apply, finish_deploy, prove_copy, refuse_crossed, start_copy
from ._restore_choice import own_control
from ._restore_plan import Plan, Request, make_plan, require_confirmed, require_release
from ._restore_result import Progress, planned
from ._run import Run
from ._server import accepts_writes
from ._swap import Directories
from ._target import LATEST, moment_of, rfc3339
from ._target_choice import Choice
from ._throwaway import host_path, is_paused, source_of, wait_until_open

# What recovery says when it stops because of a setting and not at its target (PostgreSQL 14 and later).
_INSUFFICIENT = "hot standby is not possible because of insufficient parameter settings"


def preview(run: Run, request: Request, check_mode: bool) -> dict[str, Any]:
    """Start a copy that stops at the target, read-only; the server goes on. Returns the object restore."""
    layout = Layout(request.name)
    require_release(layout)
    if check_mode:
        plan, _directories = _plan(run, request)
        return planned(plan, _steps(plan))
    with hold(layout.lock_file, "preview of %s" % layout.name), interruptible():
        removed = remove_expired(run, layout)
        _refuse_second(layout)
        plan, directories = _plan(run, request)
        copy = _start(run, plan, directories, request)
        words = "Started a copy that stands at %s until %s, read-only: %s" % (
            plan.choice.target,
            copy.expires_at,
            copy.to_result()["psql"],
        )
        copies = [each.to_result() for each in standing(run, layout)]
    return {**planned(plan, [*removed, words]), "reached_time": copy.reached_time, "copies": copies}


def _plan(run: Run, request: Request) -> tuple[Plan, Directories]:
    plan = make_plan(run, request, role=PREVIEW)
    if plan.choice.target.kind == LATEST:
        raise PgkeepError(
            "There is no preview of the newest state of %s" % request.name,
            "the server itself shows it",
            "name what is to be seen: a label, time, restore_point, lsn or xid, or immediate",
        )
    if plan.directories is None:
        raise PgkeepError(
            "There is no preview of %s" % request.name,
            "its data volume is lost, and a preview lies on it",
            "restore the instance; a clone with action=clone needs no data volume",
        )
    return plan, plan.directories


def _steps(plan: Plan) -> list[str]:
    return [
        "Restore backup %s beside the data, recover it to %s and stop there" % (plan.choice.label, plan.choice.target),
        "Leave it read-only in the container %s, without network; the server goes on" % plan.container,
    ]


def _refuse_second(layout: Layout) -> None:
    copy = preview_of(layout)
    if copy is not None:
        raise PgkeepError(
            "The preview of %s cannot start" % layout.name,
            "there is one, of %s, until %s" % (copy.to_result()["target"], copy.expires_at),
            "promote or abandon it",
        )


def _start(run: Run, plan: Plan, directories: Directories, request: Request) -> Copy:
    progress = Progress(directories)
    lasting = timedelta(seconds=request.ttl_seconds)
    try:
        start_copy(run, plan, request, progress)
        # Should nobody be left to wait for it.
        keep_until(plan.place, datetime.now(timezone.utc) + timedelta(seconds=request.timeout_seconds) + lasting)
        wait_until_open(run, plan.container, plan.place.socket_dir, request.timeout_seconds, ready=is_paused)
        if _INSUFFICIENT in docker.logs_tail(run, plan.container, 1000):
            raise PgkeepError(
                "The preview of %s does not reach its target" % plan.layout.name,
                "the server had greater limits when the backup was taken (max_connections or the like)",
                "raise them again for a moment, or restore without a preview",
            )
        now = datetime.now(timezone.utc)
        copy = Copy(
            kind=PREVIEW,
            source=plan.layout.name,
            name=None,
            container=plan.container,
            home=plan.place.home,
            target=target_words(plan.choice),
            backup=dict(plan.choice.backup),
            timeline=plan.choice.timeline,
            moment=rfc3339(plan.choice.moment) if plan.choice.moment else None,
            stamp=directories.stamp,
            created_at=rfc3339(now.replace(microsecond=0)),
            expires_at=rfc3339((now + lasting).replace(microsecond=0)),
            reached_time=look(plan.place.socket_dir) or str(plan.choice.backup["stopped_at"]),
        )
        save(copy)
        keep_until(plan.place, now + lasting)
    except (PgkeepError, OSError):
        remove_preview(run, plan.layout)
        raise
    return copy


def target_words(choice: Choice) -> dict[str, Any]:
    """The target for the record, to be read by Copy."""
    moment = choice.target.moment
    return {**asdict(choice.target), "moment": rfc3339(moment) if moment else None}


def promote(run: Run, request: Request, check_mode: bool) -> dict[str, Any]:
    """Put the preview in the place of the data, as a restore does. Returns the object restore."""
    require_confirmed(request)
    layout = Layout(request.name)
    require_release(layout)
    refuse_crossed(layout)
    if check_mode:
        plan = _plan_of(run, layout)
        return planned(plan, ["End the recovery of the preview and read every database", *plan.steps()[-2:]])
    what = "promotion of the preview of %s" % layout.name
    with hold(layout.lock_file, what), interruptible(), working(layout, what, actor(ANSIBLE)):
        steps = finish_deploy(run, layout)
        result = apply(run, _plan_of(run, layout), request, _continue)
    return {**result, "steps": steps + result["steps"]}


def _plan_of(run: Run, layout: Layout) -> Plan:
    """From the record of the preview; what a new look at the archive would choose does not matter any more."""
    copy = preview_of(layout)
    if copy is None or not stands(run, copy):
        raise PgkeepError(
            "There is no preview of %s to promote" % layout.name,
            "none was made" if copy is None else "it ended; it was to stand until %s" % copy.expires_at,
            "make one with action=preview and a target",
        )
    release = require_release(layout)
    server, major = spec_from_dict(release["server"]), int(release["major"])
    root = host_path(run, source_of(server, DATA_MOUNT))
    directories = Directories(root, major, copy.stamp, PREVIEW)
    container = docker.inspect(run, layout.server)
    control = own_control(layout, directories)
    return Plan(
        layout=layout,
        server=server,
        keeper=spec_from_dict(release["keeper"]),
        pooler=pooler_of(release),
        choice=Choice(copy.restored_target(), copy.backup, copy.timeline, _moment(copy)),
        directories=directories,
        major=major,
        missing_volumes={},
        fetching={},
        lost=(),
        running=container is not None and bool(container["State"]["Running"] or container["State"]["Restarting"]),
        serving=docker.running(container) and accepts_writes(layout),
        timeline_before=control.timeline if control else copy.timeline or 1,
        control=control,
        role=PREVIEW,
    )


def _moment(copy: Copy) -> Optional[datetime]:
    return moment_of(copy.moment) if copy.moment else None


def _continue(run: Run, plan: Plan, request: Request, progress: Progress) -> CopyFacts:
    # Its time must not be over in the middle of this.
    keep_until(plan.place, datetime.now(timezone.utc) + timedelta(seconds=2 * request.timeout_seconds))
    resume(plan.place.socket_dir)
    return prove_copy(run, plan, request, progress)
