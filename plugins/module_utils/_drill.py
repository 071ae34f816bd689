# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring a backup into a throw-away server and proving it, wherever that server runs. Private to the collection."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable, Mapping, Optional, Sequence

from . import _heartbeat as heartbeat
from ._actor import ANSIBLE, actor
from ._amcheck import argv as amcheck_argv
from ._amcheck import verdict
from ._audit import Outcome, recorded
from ._backup_repository import Keeper
from ._counts import Reading
from ._damage import with_files
from ._drill_checks import TOPIC, Wanted, parse, run_check
from ._drill_record import Check, Drill, DrillError, is_fresh, newest_passed, now, save
from ._drill_rows import (
    checksum_failures,
    closed,
    compare_copy,
    compare_dump,
    find_canary,
    production_timeline,
    read_copy,
    read_counters,
)
from ._dump_manifest import newest_before
from ._errors import PgkeepError
from ._evidence_files import skipped, tables
from ._interrupt import interruptible
from ._keeper import require_readable
from ._keeper_config import topic
from ._layout import GID, UID
from ._lock import hold
from ._retry import retry
from ._run import run
from ._sandbox import Deadline, Recovery, Sandbox
from ._sql import guarded
from ._throwaway import databases, fetching
from ._times import epoch_of

_MOMENT = 2.0
_MARK_SECONDS = 600.0
_MARK_WAITS = (1.0, 2.0, 4.0, 8.0, *(15.0,) * 40)
# The canary's WAL goes to another repository after the first one, and on a slow line behind what waits already.
_ELSEWHERE_SECONDS = 300.0


@dataclass(frozen=True)
class Request:
    """What is wanted; label None means the newest clean backup there, timeout_seconds None what the inventory says."""

    label: Optional[str] = None
    max_age_seconds: Optional[int] = None
    heapallindexed: bool = True
    timeout_seconds: Optional[float] = None
    keep_on_failure: bool = False
    repository: int = 1


@dataclass(frozen=True)
class Choice:
    """The backup to prove; record is an earlier proof that is young enough, newest the last archived segment."""

    backup: Mapping[str, Any]
    record: Optional[dict[str, Any]]
    newest: Optional[str]

    @property
    def label(self) -> str:
        return str(self.backup["label"])


@dataclass(frozen=True)
class Measured:
    """What is known before the copy is made: the server at the beginning, and the row that has to be in the copy."""

    began: Optional[heartbeat.Beginning]
    canary: dict[str, Any]


def drill(sandbox: Sandbox, request: Request, check_mode: bool, who: Optional[str] = None) -> dict[str, Any]:
    """What the module returns: changed and drill. Raises DrillError for a drill that did not pass.

    who stands in the audit trail; without it, it is Ansible. A proof that is young enough leaves no record.
    """
    if check_mode:
        choice = _choose(sandbox, request)
        planned = Drill(sandbox.instance, choice.label, sandbox.where, request.repository).to_result()
        return {"changed": choice.record is None, "drill": choice.record or planned}
    with contextlib.ExitStack() as stack:
        # Deploys and restores are locked out as long as there is a copy, not while its verdict waits to be written.
        instance = stack.enter_context(contextlib.ExitStack())
        for path in sandbox.lock_files:
            # The last one is the keeper's too.
            owner = (UID, GID) if path == sandbox.lock_files[-1] else None
            what = "drill of %s" % sandbox.instance
            # The keeper holds it for a moment when it cleans up.
            held = hold(path, what, wait_seconds=_MOMENT if owner else 0, owner=owner, who=who or actor(ANSIBLE))
            (stack if owner else instance).enter_context(held)
        stack.enter_context(interruptible())
        choice = _choose(sandbox, request)
        if choice.record is not None:
            return {"changed": False, "drill": choice.record}
        wanted = parse(sandbox.instance, topic(_keeper_of(sandbox, request), TOPIC))
        details = {"label": choice.label, "repository": request.repository}
        with _audited(sandbox, details, who) as outcome:
            done = _perform(sandbox, choice, request, wanted, instance.close)
            outcome.details.update(rto_seconds=done.rto_seconds, rpo_seconds=done.rpo_seconds, rows=done.rows)
        return {"changed": True, "drill": done.to_result()}


def _audited(
    sandbox: Sandbox, details: Mapping[str, Any], who: Optional[str]
) -> contextlib.AbstractContextManager[Outcome]:
    """In the keeper the command line has begun the record already."""
    if sandbox.where != "host":
        return contextlib.nullcontext(Outcome())
    return recorded(sandbox.state_dir, "drill", who or actor(ANSIBLE), details)


def _keeper_of(sandbox: Sandbox, request: Request) -> Keeper:
    """The keeper's files about the repository, seen from where we are."""
    return Keeper(
        sandbox.instance, run, "", state=sandbox.state_dir, config=sandbox.config_dir, repo=request.repository
    )


def _choose(sandbox: Sandbox, request: Request) -> Choice:
    info = sandbox.ask(["info", "--repo", str(request.repository)])["backup_info"]
    require_readable(info)
    label = request.label or info["newest_clean"]
    found = [backup for backup in info["backups"] if backup["label"] == label]
    if not found:
        labels = ", ".join(backup["label"] for backup in info["backups"][-10:]) or "none at all"
        raise PgkeepError(
            "There is no backup to drill for %s" % sandbox.instance,
            "%s; %s has %s (%s)"
            % (
                "no backup is clean" if label is None else "there is none with label %s" % label,
                _keeper_of(sandbox, request).repository_name.lower(),
                labels,
                info["status_text"],
            ),
            "run the playbook backup.yml, or choose one of them with label",
        )
    young = request.max_age_seconds and found[0]["proven_at"]
    record = newest_passed(sandbox.state_dir, str(label), request.repository) if young else None
    if record is not None and not is_fresh(record, request.max_age_seconds or 0, datetime.now(timezone.utc)):
        record = None
    return Choice(found[0], record, info["wal"]["max"])


def _perform(sandbox: Sandbox, choice: Choice, request: Request, wanted: Wanted, release: Callable[[], None]) -> Drill:
    """release gives the instance back to others."""
    sandbox.clear()
    sandbox.require_space(int(choice.backup["size_bytes"] * 1.1))
    done = Drill(
        sandbox.instance,
        choice.label,
        sandbox.where,
        request.repository,
        passed=False,
        started_at=now(),
        size_bytes=choice.backup["size_bytes"],
        repository_bytes=choice.backup["repository_bytes"],
    )
    began = time.monotonic()
    try:
        with Deadline(request.timeout_seconds or wanted.timeout_seconds, sandbox.kill) as deadline:
            _prove(sandbox, choice, request, wanted, deadline, done)
        if deadline.passed:
            _overdue(done, deadline.seconds)
        done.passed = not done.failed()
    finally:
        if done.passed or not request.keep_on_failure:
            # Also on a signal, and before anything is written down: nothing that fails later leaves a copy behind.
            sandbox.clear()
    done.duration_seconds = round(time.monotonic() - began, 3)
    if not done.passed:
        error = _failure(sandbox, done, request)
        save(sandbox.state_dir, done)
        release()
        if done.condemned:
            _mark(sandbox, done, error)
        raise error
    save(sandbox.state_dir, done)
    release()
    _mark(sandbox, done)
    return done


def _overdue(done: Drill, seconds: float) -> None:
    """What failed after the copy was ended says nothing about the backup."""
    done.condemned = False
    done.checks.append(Check("deadline", False, "not done after %d s, so the copy was ended" % seconds, seconds))
    done.next_steps["deadline"] = (
        "look at the load of the machine and at the line to a repository elsewhere, or give more time with"
        " postgres_backup_drill_timeout_minutes"
    )


def _mark(sandbox: Sandbox, done: Drill, failure: Optional[DrillError] = None) -> None:
    """Write the verdict to the backup: proven, or never clean again until a drill of it passes. A backup that runs now
    holds the repository: wait for it, up to some minutes. A verdict that cannot be written is told with failure."""
    outcome = "passed" if done.passed else "failed"
    words = ["annotate", "--repo", str(done.repository), "--set", done.label]
    words.append("pgkeep-drill=%s@%s" % (outcome, done.started_at))
    try:
        retry(
            lambda: sandbox.ask(words),
            deadline_seconds=_MARK_SECONDS,
            waits=_MARK_WAITS,
            can_retry=lambda error: isinstance(error, PgkeepError) and error.busy,
        )
    except PgkeepError as error:
        if failure is not None:
            raise DrillError(
                done, "%s; and the backup could not be marked: %s" % (failure.why, error.why), failure.next_step
            ) from error
        raise PgkeepError(
            "The drill of %s passed, but the backup could not be marked" % done.subject,
            "%s: %s" % (error.what, error.why),
            error.next_step,
            busy=error.busy,
        ) from error


def _failure(sandbox: Sandbox, done: Drill, request: Request) -> DrillError:
    why = "; ".join("%s: %s" % (check.id, check.detail) for check in done.failed())
    advice = {
        "archive": "look at the archiver with playbooks/health.yml, then drill again",
        "amcheck": "the server itself may be damaged: run pg_amcheck there, and reindex what it names",
        "dumps": "one of them is wrong, the dump or the copy: compare these tables with the server, and take both anew",
        "rows": "compare these tables with the server; then take a full backup and drill again",
    }
    # A copy that was ended fails at whatever it was doing; the reason is the last one.
    first = done.failed()[0].id if done.checks[-1].id != "deadline" else "deadline"
    step = (
        done.next_steps.get(first)
        or advice.get(first)
        or (
            "ask the server the same: it is the check that is wrong, the data, or the backup"
            if first.startswith("check ")
            else "take a full backup and drill again; this one cannot be trusted"
        )
    )
    if request.keep_on_failure:
        step += "; the copy was kept: %s" % sandbox.kept()
    return DrillError(done, why, step)


def _prove(sandbox: Sandbox, choice: Choice, request: Request, wanted: Wanted, deadline: Deadline, done: Drill) -> None:
    """Fill done. The order is that of trust: what a later proof needs is proven before."""
    measured = Measured(heartbeat.beginning(sandbox.production), {})

    def write_canary() -> tuple[bool, str]:
        measured.canary.update(sandbox.ask(_canary(request, deadline))["canary"])
        done.archive_seconds = round(float(measured.canary["archived_seconds"]), 3)
        return True, "a new row reached the repository within %.1f s" % done.archive_seconds

    if not done.check("archive", write_canary):
        return
    way = fetching(choice.backup, choice.newest)
    recovery = Recovery(choice.label, production_timeline(sandbox.production), way, request.repository)
    sandbox.prepare()

    def recover() -> tuple[bool, str]:
        began = time.monotonic()
        sandbox.start(recovery)
        try:
            sandbox.wait(deadline.seconds)
        except PgkeepError as error:
            if deadline.passed:
                raise
            where = (sandbox.instance, choice.label, request.repository)
            raise with_files(error, sandbox.tool, *where, deadline.left) from error
        done.rto_seconds = round(time.monotonic() - began, 3)
        return True, "accepted writes %.1f s after its start" % done.rto_seconds

    if not done.check("recovery", recover):
        return
    done.check("canary", lambda: find_canary(sandbox.socket_dir, measured.canary))
    done.rpo_seconds = heartbeat.measure(sandbox.socket_dir, choice.newest, measured.began)
    # Counted once, by the first of those that ask for it.
    copy: list[Reading] = []
    for identity, proof in (
        ("amcheck", partial(_amcheck, sandbox, request, deadline)),
        ("rows", partial(_compare_rows, sandbox, request, done, copy)),
        ("dumps", partial(_compare_dump, sandbox, measured, copy)),
        *(("check " + check.name, partial(run_check, sandbox.socket_dir, check)) for check in wanted.checks),
        ("checksums", partial(checksum_failures, sandbox.socket_dir)),
    ):
        if deadline.passed:
            return
        done.check(identity, proof)


def _canary(request: Request, deadline: Deadline) -> list[str]:
    if request.repository == 1:
        return ["canary"]
    seconds = min(_ELSEWHERE_SECONDS, deadline.left)
    return ["canary", "--repo", str(request.repository), "--timeout", "%.0f" % seconds]


def _amcheck(sandbox: Sandbox, request: Request, deadline: Deadline) -> tuple[bool, str]:
    settings = guarded(sandbox.socket_dir)
    argv = amcheck_argv(sandbox.inside_socket_dir, sandbox.jobs, request.heapallindexed, settings)
    found = sandbox.execute(argv, timeout=deadline.seconds)
    return verdict(found, request.heapallindexed, closed(sandbox.socket_dir))


def _compare_rows(sandbox: Sandbox, request: Request, done: Drill, counted: list[Reading]) -> tuple[bool, str]:
    copy = read_copy(sandbox.socket_dir)
    counted.append(copy)
    done.rows, done.tables = copy.rows, len(copy.tables)
    done.databases = len(databases(sandbox.socket_dir))
    keeper = _keeper_of(sandbox, request)
    recorded, unread = tables(keeper, done.label), skipped(keeper, done.label)
    return compare_copy(recorded, copy, lambda: read_counters(sandbox.production), unread=unread)


def _compare_dump(sandbox: Sandbox, measured: Measured, counted: Sequence[Reading]) -> tuple[bool, str]:
    """The copy holds the canary, so a run of dumps that was complete before the canary was written is older."""
    run = newest_before(sandbox.dumps_dir, epoch_of(measured.canary["written_at"]) or 0)
    if run is None:
        return True, "skipped: there is no dump from before the drill"
    if not counted or counted[0].skipped or counted[0].damaged:
        return True, "skipped: the rows of the copy could not be counted"
    return compare_dump(run, counted[0], lambda: read_counters(sandbox.production))
