# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore beside the old data, proven, then exchanged. Private to the collection."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from . import _docker as docker
from . import _history as history
from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._container import ContainerSpec, create_argv
from ._copy import (
    CopyFacts,
    archive_command,
    archive_once_argv,
    prepare_once_argv,
    prove,
    require_complete,
    restored_spec,
)
from ._damage import with_files
from ._errors import PgkeepError
from ._interrupt import finish_what_began, interruptible
from ._keeper import COMMAND, answer
from ._layout import DATA_MOUNT, Layout
from ._leftovers import remove as remove_killed
from ._lock import hold
from ._maintenance import working
from ._network import ensure_network
from ._pgfiles import Control, Unarchived, read_control, unarchived
from ._pooler import pause, resume
from ._release import utc_stamp
from ._restore_choice import make_tool
from ._restore_plan import Plan, Request, make_plan, require_confirmed, require_release
from ._restore_result import Progress, RestoreError, done, planned
from ._run import Run
from ._server import wait_until_serving
from ._swap import Directories
from ._target import LATEST
from ._throwaway import (
    discard,
    host_path,
    prepare,
    remove_leftovers,
    source_of,
    start,
    wait_until_open,
)
from ._undo import finish_interrupted
from ._upgrade_record import crossed

# Makes the copy and proves it; leaves a cleanly stopped, consistent one.
Make = Callable[[Run, Plan, Request, Progress], CopyFacts]

# What of the result the audit trail keeps: what came back, and what went.
_RECORDED = ("target", "label", "timeline_before", "timeline_after", "reached_time", "previous_data")

# A clean end of a copy takes seconds; it is not the place to wait for hours.
_BACK_SECONDS = 120


def restore(run: Run, request: Request, check_mode: bool, who: Optional[str] = None) -> dict[str, Any]:
    """The object restore. who stands in the audit trail; without it, it is Ansible."""
    require_confirmed(request)
    layout = Layout(request.name)
    require_release(layout)
    refuse_crossed(layout)
    if check_mode:
        plan = make_plan(run, request)
        return planned(plan, plan.steps())
    who = who or actor(ANSIBLE)
    told = recorded(layout.state_dir, "restore", who, request.told())
    what = "restore of %s" % layout.name
    with hold(layout.lock_file, what, who=who), interruptible(), told as outcome, working(layout, what, who):
        removed = finish_deploy(run, layout) + remove_killed(run, layout)
        plan = make_plan(run, request)
        result = apply(run, plan, request)
        outcome.details.update((name, result[name]) for name in _RECORDED)
    return {**result, "steps": removed + result["steps"]}


def refuse_crossed(layout: Layout) -> None:
    """Raise where the release in force is not that of the data that serve: what is restored by it, nobody would use."""
    if crossed(layout):
        raise PgkeepError(
            "The restore of %s is not begun" % layout.name,
            "an upgrade of its major version is not finished: its new server was started and has the data",
            "run playbooks/upgrade.yml with confirm=%s, which goes on from there, then repeat" % layout.name,
        )


def finish_deploy(run: Run, layout: Layout) -> list[str]:
    """Take back a deploy or upgrade that was killed, for its containers and files are not those of the release; returns
    sentences. The lock of the instance has to be held."""
    refuse_crossed(layout)
    steps = finish_interrupted(run, layout, serves=False)
    if steps:
        with contextlib.suppress(PgkeepError):
            # One that serves is asked for its newest WAL; one that cannot is what a restore is for.
            wait_until_serving(run, layout, _BACK_SECONDS)
    return steps


def apply(run: Run, plan: Plan, request: Request, make: Optional[Make] = None) -> dict[str, Any]:
    """Carry out the plan and return the object restore. On any failure everything is as before, see RestoreError."""
    began = time.monotonic()
    for volume, role in plan.missing_volumes.items():
        docker.create_volume(run, volume, plan.layout.name, role)
    directories = plan.directories or Directories(_root(run, plan), plan.major, utc_stamp())
    progress = Progress(directories, ["Created the volume %s, which was gone" % name for name in plan.missing_volumes])
    try:
        progress.facts = facts = (make or _copy)(run, plan, request, progress)
        if progress.stopped_at is None:
            _stop(run, plan, progress)
        # Once the restored data serve, their WAL is archived; half a restore would leave a useless timeline there.
        finish_what_began()
        # Before the exchange: a kill behind it must not leave a timeline in production that nobody knows.
        history.append(plan.layout, facts.system_id, plan.timeline_before, facts.timeline)
        progress.noted = True
        progress.kept = directories.swap()
        progress.swapped = True
        progress.steps.append("Exchanged the data directories")
        _prepare_first(run, plan, progress)
        _serve(run, plan, request, progress)
    except (PgkeepError, OSError) as error:
        raise _roll_back(run, plan, progress, error) from error
    finally:
        resume(run, plan.layout)
    ready = time.monotonic()
    _finish(run, plan, request, progress)
    # Nobody was interrupted where nothing served.
    interruption = ready - (progress.stopped_at or ready) if plan.serving else None
    return done(plan, progress, facts, ready - began, interruption)


def _root(run: Run, plan: Plan) -> str:
    return host_path(run, source_of(plan.server, DATA_MOUNT))


def _copy(run: Run, plan: Plan, request: Request, progress: Progress) -> CopyFacts:
    start_copy(run, plan, request, progress)
    return prove_copy(run, plan, request, progress)


def start_copy(run: Run, plan: Plan, request: Request, progress: Progress) -> None:
    """Start a copy that restores into a directory beside the data."""
    directories = progress.directories
    remove_leftovers(run, plan.layout.name, plan.role)
    directories.remove_copies()
    if plan.stop_first:
        _stop(run, plan, progress)
    else:
        push_wal(run, plan)
    # Read again: a stop writes its checkpoint.
    control = _control(plan, directories)
    found = unarchived(directories.data, control, plan.lost) if control else Unarchived()
    _rescue(run, plan, progress, found)
    prepare(plan.place)
    spec = restored_spec(
        plan.server,
        plan.place,
        directories,
        plan.choice,
        fetching=plan.fetching,
        rescue=directories.lay_aside(found.names),
        beside_server=plan.running and not plan.stop_first,
        repository=plan.repository,
    )
    start(run, spec)


def push_wal(run: Run, plan: Plan) -> None:
    """Have everything archived, and a commit behind the target: recovery to a target fails when WAL ends before it."""
    if plan.serving and not plan.choice.target.ends_with_backup:
        answer(make_tool(run, plan.layout, plan.keeper)([COMMAND, "canary"]), ["canary"])


def prove_copy(run: Run, plan: Plan, request: Request, progress: Progress) -> CopyFacts:
    """Wait for the end of recovery and prove the copy; leaves a cleanly stopped, consistent one."""
    place = plan.place
    wait_until_open(run, plan.container, place.socket_dir, request.timeout_seconds)
    facts = prove(place.socket_dir)
    control = _control(plan, progress.directories)
    if control is not None and plan.choice.target.kind == LATEST:
        require_complete(facts, control)
    docker.stop(run, plan.container)
    docker.remove(run, plan.container)
    discard(place)
    progress.steps.append(
        "Restored backup %s of repository %d beside the old data, recovered it to %s and read its %d databases"
        % (plan.choice.label, plan.repository, plan.choice.target, facts.databases)
    )
    return facts


def _control(plan: Plan, directories: Directories) -> Optional[Control]:
    """The old data's, where WAL that only they have may be needed."""
    return (read_control(directories.data) or plan.control) if plan.rescue else None


def _stop(run: Run, plan: Plan, progress: Progress) -> None:
    progress.stopped_at, progress.until = time.monotonic(), datetime.now(timezone.utc)
    if plan.running:
        if not plan.stop_first:
            # Else it takes longer than a query may wait, and clients are better told at once.
            pause(run, plan.layout)
        docker.stop(run, plan.layout.server)
        progress.steps.append("Stopped the server")


def _rescue(run: Run, plan: Plan, progress: Progress, found: Unarchived) -> None:
    """Archive what the old server could not. The copy reads it from there, and later restores do so too: a segment
    that recovery only found in pg_wal would be a hole in the archive for ever."""
    progress.rescued = found.segments
    if found.complete:
        archived = docker.attempt(run, archive_once_argv(plan.keeper, plan.server, found.complete, plan.major))
        progress.note_archived(found.complete, archived, last=False)


def _rescue_again(run: Run, plan: Plan, progress: Progress) -> None:
    """What the archive did not take before: pgBackRest needs a control file, and the damaged data had none."""
    if progress.waiting and progress.kept:
        folder = progress.directories.inside_previous + "/pg_wal"
        archived = docker.execute(run, plan.layout.server, archive_command(folder, progress.waiting))
        progress.note_archived(progress.waiting, archived, last=True)


def _prepare_first(run: Run, plan: Plan, progress: Progress) -> None:
    """Where the first repository is new, the server could not archive to it. A failure is told and nothing more: a
    server that serves is worth more, it keeps its WAL, and the next backup prepares the repository too."""
    if plan.repository == 1:
        return
    done = docker.attempt(run, prepare_once_argv(plan.keeper, plan.server))
    errors = [line.split("ERROR: ")[1] for line in done.stdout.splitlines() if "ERROR: " in line]
    progress.steps.append(
        "Prepared the first repository for the server's WAL"
        if done.rc == 0
        else "The first repository takes no WAL: %s" % (errors or [done.stderr.strip() or "no message"])[-1].strip()
    )


def _serve(run: Run, plan: Plan, request: Request, progress: Progress) -> None:
    _ensure_started(run, plan, plan.server, progress)
    wait_until_serving(run, plan.layout, request.timeout_seconds)
    progress.steps.append("Started the server; it accepts writes")


def _ensure_started(run: Run, plan: Plan, spec: ContainerSpec, progress: Progress) -> None:
    container = docker.inspect(run, spec.name)
    if container is None:
        if spec.network != "none":
            ensure_network(run, plan.layout, spec.network)
        docker.docker(run, create_argv(spec), what="The container %s could not be created" % spec.name)
        progress.created.append(spec.name)
        progress.steps.append("Created the container %s, which was gone" % spec.name)
    if not docker.running(container):
        docker.start(run, spec.name)


def _roll_back(run: Run, plan: Plan, progress: Progress, error: Exception) -> RestoreError:
    """Everything as before: no copy, the old data in their place, the server running if it ran."""
    cause = error if isinstance(error, PgkeepError) else PgkeepError("The data could not be put in place", str(error))
    what = "The restore of %s to %s failed" % (plan.layout.name, plan.choice.target)
    try:
        state = _go_back(run, plan, progress)
    except (PgkeepError, OSError) as second:
        return RestoreError(
            cause, what, "%s; and going back failed too: %s" % (_words(cause), second), rolled_back=False
        )
    if not progress.swapped:
        with contextlib.suppress(PgkeepError):
            # An engine that went away cannot be asked; the cause stays as it is.
            cause = with_files(cause, make_tool(run, plan.layout, plan.keeper), plan.layout.name, plan.choice.label)
    return RestoreError(cause, what, "%s; %s" % (_words(cause), state), rolled_back=True)


def _words(error: PgkeepError) -> str:
    return "%s: %s" % (error.what, error.why) if error.why else error.what


def _go_back(run: Run, plan: Plan, progress: Progress) -> str:
    """Returns how things stand."""
    remove_leftovers(run, plan.layout.name, plan.role)
    discard(plan.place)
    if progress.swapped:
        docker.attempt(run, ["stop", plan.layout.server])
        progress.directories.swap_back(progress.kept)
    if progress.noted and progress.facts is not None:
        # Both lines stay: the archive may have the timeline already, and nobody shall take it for a stranger's.
        history.append(plan.layout, progress.facts.system_id, progress.facts.timeline, plan.timeline_before)
    for name in progress.created:
        docker.remove(run, name)
    progress.directories.remove_copies()
    if not plan.running:
        return "the old data are as they were"
    if progress.stopped_at is None:
        return "the server kept running on its old data"
    docker.start(run, plan.layout.server)
    if plan.serving:
        wait_until_serving(run, plan.layout, _BACK_SECONDS)
    return "the server was started again on its old data"


def _finish(run: Run, plan: Plan, request: Request, progress: Progress) -> None:
    """What may fail without taking the restore back: the server serves already."""
    try:
        _rescue_again(run, plan, progress)
        _ensure_started(run, plan, plan.keeper, progress)
        if plan.pooler is not None:
            _ensure_started(run, plan, plan.pooler, progress)
        removed = progress.directories.prune_previous(request.keep_previous)
        progress.directories.remove_copies()
        if removed:
            progress.steps.append("Removed %s" % ", ".join(removed))
            if progress.kept in removed:
                progress.kept = None
    except (PgkeepError, OSError) as error:
        progress.steps.append("The server serves, but afterwards: %s" % error)
    progress.steps.append("Take a full backup now: recovery from older ones crosses the change of timeline")
