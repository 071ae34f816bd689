# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore beside the old data, proven, then exchanged. Private to the collection."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any, Optional

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
from ._lock import hold
from ._network import ensure_network
from ._pgfiles import Unarchived, read_control, unarchived
from ._release import utc_stamp
from ._restore_plan import Plan, Request, make_plan, make_tool, require_confirmed, require_release
from ._run import Result, Run
from ._server import wait_until_serving
from ._swap import Directories
from ._target import LATEST, TIME
from ._throwaway import (
    Place,
    discard,
    host_path,
    prepare,
    remove_leftovers,
    source_of,
    start,
    wait_until_open,
)

ROLE = "restore"

# What of the result the audit trail keeps: what came back, and what went.
_RECORDED = ("target", "label", "timeline_before", "timeline_after", "reached_time", "previous_data")

# A clean end of a copy takes seconds; it is not the place to wait for hours.
_BACK_SECONDS = 120


class RestoreError(PgkeepError):
    """A restore that did not happen; rolled_back says whether everything is as before."""

    def __init__(self, error: PgkeepError, what: str, why: str, rolled_back: bool) -> None:
        super().__init__(what, why, error.next_step, busy=error.busy)
        self.rolled_back = rolled_back

    def to_result(self) -> dict[str, object]:
        return {**super().to_result(), "rolled_back": self.rolled_back}


@dataclass
class Progress:
    """How far a restore has come: what a roll-back has to undo and what the result tells. Moments are monotonic."""

    directories: Directories
    steps: list[str] = field(default_factory=list)
    stopped_at: Optional[float] = None
    created: list[str] = field(default_factory=list)
    swapped: bool = False
    kept: Optional[str] = None
    rescued: int = 0
    waiting: tuple[str, ...] = ()

    def note_archived(self, names: tuple[str, ...], result: Result, *, last: bool) -> None:
        """What became of WAL that only the old data had. A failure is not a reason to stop: the copy gets the WAL all
        the same, see PGKEEP_RESCUE_WAL."""
        self.waiting = () if result.rc == 0 else names
        if result.rc == 0:
            self.steps.append("Archived WAL that only the old data had: %s" % ", ".join(names))
        elif last:
            errors = [line.split("ERROR: ")[1] for line in result.stdout.splitlines() if "ERROR: " in line]
            self.steps.append(
                "The archive did not take %s (%s): backups from before lead no further than there"
                % (", ".join(names), (errors or ["no message"])[-1].strip())
            )


def restore(run: Run, request: Request, check_mode: bool, who: Optional[str] = None) -> dict[str, Any]:
    """What the module returns: changed and restore. who stands in the audit trail; without it, it is Ansible."""
    require_confirmed(request)
    layout = Layout(request.name)
    require_release(layout)
    if check_mode:
        plan = make_plan(run, request)
        return {"changed": True, "restore": _result(plan, plan.steps())}
    parameters = {name: value for name, value in vars(request).items() if value is not None}
    with hold(layout.lock_file, "restore of %s" % layout.name), interruptible():
        with recorded(layout.state_dir, "restore", who or actor(ANSIBLE), parameters) as outcome:
            plan = make_plan(run, request)
            result = apply(run, plan, request)
            outcome.details.update((name, result[name]) for name in _RECORDED)
        return {"changed": True, "restore": result}


def apply(run: Run, plan: Plan, request: Request) -> dict[str, Any]:
    """Carry out the plan and return the object restore. On any failure everything is as before, see RestoreError."""
    layout, began = plan.layout, time.monotonic()
    remove_leftovers(run, layout.name, ROLE)
    for volume, role in plan.missing_volumes.items():
        docker.create_volume(run, volume, layout.name, role)
    directories = plan.directories or Directories(_root(run, plan), plan.major, utc_stamp())
    directories.remove_copies()
    progress = Progress(directories)
    try:
        facts = _copy(run, plan, request, progress)
        if progress.stopped_at is None:
            _stop(run, plan, progress)
        # Once the restored data serve, their WAL is archived; half a restore would leave a useless timeline there.
        finish_what_began()
        progress.kept = directories.swap()
        progress.swapped = True
        progress.steps.append("Exchanged the data directories")
        _prepare_first(run, plan, progress)
        _serve(run, plan, request, progress)
    except (PgkeepError, OSError) as error:
        raise _roll_back(run, plan, progress, error) from error
    ready = time.monotonic()
    _finish(run, plan, request, progress, facts)
    return _result(
        plan,
        progress.steps,
        facts,
        progress,
        rto_seconds=round(ready - began, 3),
        # Nobody was interrupted where nothing served.
        interruption_seconds=round(ready - (progress.stopped_at or ready), 3) if plan.serving else None,
    )


def _root(run: Run, plan: Plan) -> str:
    return host_path(run, source_of(plan.server, DATA_MOUNT))


def _copy(run: Run, plan: Plan, request: Request, progress: Progress) -> CopyFacts:
    """Restore into a directory beside the data and prove it; leaves a cleanly stopped, consistent copy."""
    layout, directories = plan.layout, progress.directories
    if plan.serving and plan.choice.target.kind == TIME:
        # A commit behind the target: recovery to a time ends with an error when the WAL ends before it.
        answer(make_tool(run, layout, plan.keeper)([COMMAND, "canary"]), ["canary"])
    if plan.stop_first:
        _stop(run, plan, progress)
    # Read again: a stop writes its checkpoint.
    control = (read_control(directories.data) or plan.control) if plan.rescue else None
    found = unarchived(directories.data, control, plan.lost) if control else Unarchived()
    _rescue(run, plan, progress, found)
    place = Place(layout.home + "/" + ROLE)
    prepare(place)
    beside_server = plan.running and not plan.stop_first
    spec = restored_spec(
        plan.server,
        place,
        directories,
        plan.choice,
        fetching=plan.fetching,
        rescue=directories.lay_aside(found.names),
        beside_server=beside_server,
        repository=plan.repository,
    )
    start(run, spec)
    wait_until_open(run, spec.name, place.socket_dir, request.timeout_seconds)
    facts = prove(place.socket_dir)
    if control is not None and plan.choice.target.kind == LATEST:
        require_complete(facts, control)
    docker.stop(run, spec.name)
    docker.remove(run, spec.name)
    discard(place)
    progress.steps.append(
        "Restored backup %s of repository %d beside the old data, recovered it to %s and read its %d databases"
        % (plan.choice.label, plan.repository, plan.choice.target, facts.databases)
    )
    return facts


def _stop(run: Run, plan: Plan, progress: Progress) -> None:
    progress.stopped_at = time.monotonic()
    if plan.running:
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
    remove_leftovers(run, plan.layout.name, ROLE)
    discard(Place(plan.layout.home + "/" + ROLE))
    if progress.swapped:
        docker.attempt(run, ["stop", plan.layout.server])
        progress.directories.swap_back(progress.kept)
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


def _finish(run: Run, plan: Plan, request: Request, progress: Progress, facts: CopyFacts) -> None:
    """What may fail without taking the restore back: the server serves already."""
    try:
        history.append(plan.layout, facts.system_id, plan.timeline_before, facts.timeline)
        _rescue_again(run, plan, progress)
        _ensure_started(run, plan, plan.keeper, progress)
        removed = progress.directories.prune_previous(request.keep_previous)
        progress.directories.remove_copies()
        if removed:
            progress.steps.append("Removed %s" % ", ".join(removed))
            if progress.kept in removed:
                progress.kept = None
    except (PgkeepError, OSError) as error:
        progress.steps.append("The server serves, but afterwards: %s" % error)
    progress.steps.append("Take a full backup now: recovery from older ones crosses the change of timeline")


def _result(
    plan: Plan,
    steps: list[str],
    facts: Optional[CopyFacts] = None,
    progress: Optional[Progress] = None,
    rto_seconds: Optional[float] = None,
    interruption_seconds: Optional[float] = None,
) -> dict[str, Any]:
    kept = progress.kept if progress else None
    undo = None
    if progress and facts and kept:
        note = history.append_command(plan.layout, facts.system_id, facts.timeline, plan.timeline_before)
        undo = progress.directories.undo_command(plan.layout.server, kept, note)
    return {
        "instance": plan.layout.name,
        "target": str(plan.choice.target),
        "label": plan.choice.label,
        "repository": plan.repository,
        "timeline_before": plan.timeline_before,
        "timeline_after": facts.timeline if facts else None,
        "reached_time": (facts.reached_time or plan.choice.backup["stopped_at"]) if facts else None,
        "rescued_segments": progress.rescued if progress else None,
        "previous_data": kept,
        "rto_seconds": rto_seconds,
        "interruption_seconds": interruption_seconds,
        "undo": undo,
        "steps": steps,
    }
