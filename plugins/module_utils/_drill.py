# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring a backup into a throw-away server and proving it. Private to the collection."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Mapping, Optional

from . import _docker as docker
from ._amcheck import amcheck
from ._backup_repository import Keeper
from ._container import ContainerSpec, spec_from_dict
from ._damage import with_files
from ._drill_record import Drill, DrillError, is_fresh, newest_passed, now, save
from ._drill_rows import (
    checksum_failures,
    compare_copy,
    find_canary,
    production_timeline,
    read_copy,
    read_counters,
)
from ._errors import PgkeepError
from ._evidence_files import tables
from ._interrupt import interruptible
from ._keeper import ask, require_readable
from ._layout import Layout
from ._lock import hold
from ._restore_plan import require_release
from ._retry import retry
from ._run import Run
from ._throwaway import (
    MINIMUM_MEMORY,
    Place,
    databases,
    derive,
    discard,
    fetching,
    prepare,
    remove_leftovers,
    require_space,
    start,
    wait_until_open,
)
from ._units import postgres_size

ROLE = "drill"

_MARK_SECONDS = 600.0
_MARK_WAITS = (1.0, 2.0, 4.0, 8.0, *(15.0,) * 40)


@dataclass(frozen=True)
class Request:
    """The options of the module drill; memory_bytes and cpus None mean the default of the instance."""

    name: str
    label: Optional[str]
    max_age_seconds: Optional[int]
    memory_bytes: Optional[int]
    cpus: Optional[float]
    heapallindexed: bool
    timeout_seconds: int
    keep_on_failure: bool


@dataclass(frozen=True)
class Choice:
    """The backup to prove; record is an earlier proof that is young enough, fetching is the copy's environment."""

    backup: Mapping[str, Any]
    record: Optional[dict[str, Any]]
    fetching: Mapping[str, str]

    @property
    def label(self) -> str:
        return str(self.backup["label"])


def drill(run: Run, request: Request, check_mode: bool) -> dict[str, Any]:
    """What the module returns: changed and drill. Raises DrillError for a drill that did not pass."""
    layout = Layout(request.name)
    server = spec_from_dict(require_release(layout)["server"])
    if check_mode:
        choice = _choose(run, layout, request)
        planned = Drill(layout.name, choice.label).to_result()
        return {"changed": choice.record is None, "drill": choice.record or planned}
    with hold(layout.lock_file, "drill of %s" % layout.name), interruptible():
        choice = _choose(run, layout, request)
        if choice.record is not None:
            return {"changed": False, "drill": choice.record}
        return {"changed": True, "drill": _perform(run, layout, server, choice, request).to_result()}


def _choose(run: Run, layout: Layout, request: Request) -> Choice:
    info = ask(run, layout, ["info", "--repo", "1"])["backup_info"]
    require_readable(info)
    label = request.label or info["newest_clean"]
    found = [backup for backup in info["backups"] if backup["label"] == label]
    if not found:
        labels = ", ".join(backup["label"] for backup in info["backups"][-10:]) or "none at all"
        raise PgkeepError(
            "There is no backup to drill for %s" % layout.name,
            "%s; the repository has %s (%s)"
            % (
                "no backup is clean" if label is None else "there is none with label %s" % label,
                labels,
                info["status_text"],
            ),
            "run the playbook backup.yml, or choose one of them with label",
        )
    record = newest_passed(layout, str(label)) if request.max_age_seconds and found[0]["proven_at"] else None
    if record is not None and not is_fresh(record, request.max_age_seconds or 0, datetime.now(timezone.utc)):
        record = None
    return Choice(found[0], record, fetching(found[0], info["wal"]["max"]))


def _perform(run: Run, layout: Layout, server: ContainerSpec, choice: Choice, request: Request) -> Drill:
    remove_leftovers(run, layout.name, ROLE)
    root = str(docker.engine(run)["DockerRootDir"])
    require_space(root, int(choice.backup["size_bytes"] * 1.1), "drill of %s" % layout.name)
    place = Place(layout.home + "/" + ROLE)
    done = Drill(layout.name, choice.label, passed=False, started_at=now())
    try:
        _prove(run, layout, server, choice, request, place, done)
        done.passed = not done.failed()
    finally:
        if done.passed or not request.keep_on_failure:
            # Also on a signal, and before anything is written down: nothing that fails later leaves a copy behind.
            remove_leftovers(run, layout.name, ROLE)
            discard(place)
    if not done.passed:
        error = _failure(layout, done, request)
        save(layout, done)
        if done.condemned:
            _mark(run, layout, done, error)
        raise error
    save(layout, done)
    _mark(run, layout, done)
    return done


def _mark(run: Run, layout: Layout, done: Drill, failure: Optional[DrillError] = None) -> None:
    """Write the verdict to the backup: proven, or never clean again until a drill of it passes. A backup that runs now
    holds the repository: wait for it, up to some minutes. A verdict that cannot be written is told with failure."""
    outcome = "passed" if done.passed else "failed"
    words = ["annotate", "--set", done.label, "pgkeep-drill=%s@%s" % (outcome, done.started_at)]
    try:
        retry(
            lambda: ask(run, layout, words),
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
            "The drill of %s with backup %s passed, but the backup could not be marked" % (layout.name, done.label),
            "%s: %s" % (error.what, error.why),
            error.next_step,
            busy=error.busy,
        ) from error


def _failure(layout: Layout, done: Drill, request: Request) -> DrillError:
    why = "; ".join("%s: %s" % (check.id, check.detail) for check in done.failed())
    advice = {
        "archive": "look at the archiver with playbooks/health.yml, then drill again",
        "amcheck": "the server itself may be damaged: run pg_amcheck there, and reindex what it names",
        "rows": "compare these tables with the server; then take a full backup and drill again",
    }
    first = done.failed()[0].id
    step = (
        done.next_steps.get(first)
        or advice.get(first)
        or "take a full backup and drill again; this one cannot be trusted"
    )
    if request.keep_on_failure:
        step += "; the copy was kept: docker logs %s-drill" % layout.name
    return DrillError(done, why, step)


def _prove(
    run: Run,
    layout: Layout,
    server: ContainerSpec,
    choice: Choice,
    request: Request,
    place: Place,
    done: Drill,
) -> None:
    """Fill done. The order is that of trust: what a later proof needs is proven before."""
    canary: dict[str, Any] = {}

    def write_canary() -> tuple[bool, str]:
        canary.update(ask(run, layout, ["canary"])["canary"])
        done.rpo_seconds = round(float(canary["archived_seconds"]), 3)
        return True, "a new row reached the repository within %.1f s" % canary["archived_seconds"]

    if not done.check("archive", write_canary):
        return
    name = "%s-%s" % (layout.name, ROLE)
    memory = request.memory_bytes or min(max(server.memory_bytes // 2, MINIMUM_MEMORY), server.memory_bytes)
    cpus = request.cpus or server.cpus
    spec = _spec(server, place, name, choice, production_timeline(layout.socket_dir), memory, cpus)
    prepare(place)
    docker.create_volume(run, name, layout.name, ROLE)

    def recover() -> tuple[bool, str]:
        began = time.monotonic()
        start(run, spec)
        try:
            wait_until_open(run, name, place.socket_dir, request.timeout_seconds)
        except PgkeepError as error:
            raise with_files(error, partial(docker.execute, run, layout.keeper), layout.name, choice.label) from error
        done.rto_seconds = round(time.monotonic() - began, 3)
        return True, "accepted writes %.1f s after its container was made" % done.rto_seconds

    if not done.check("recovery", recover):
        return
    done.check("canary", lambda: find_canary(place.socket_dir, canary))
    done.check(
        "amcheck",
        lambda: amcheck(
            run,
            name,
            jobs=max(int(cpus), 1),
            heapallindexed=request.heapallindexed,
            timeout_seconds=request.timeout_seconds,
        ),
    )
    done.check("rows", lambda: _compare_rows(run, layout, place, done))
    done.check("checksums", lambda: checksum_failures(place.socket_dir))


def _compare_rows(run: Run, layout: Layout, place: Place, done: Drill) -> tuple[bool, str]:
    copy = read_copy(place.socket_dir)
    done.rows, done.tables = copy.rows, len(copy.tables)
    done.databases = len(databases(place.socket_dir))
    # The keeper's files, seen from the host.
    keeper = Keeper(layout.name, run, "", state=layout.state_dir)
    return compare_copy(tables(keeper, done.label), copy, lambda: read_counters(layout.socket_dir))


def _spec(
    server: ContainerSpec,
    place: Place,
    name: str,
    choice: Choice,
    timeline: int,
    memory_bytes: int,
    cpus: float,
) -> ContainerSpec:
    """The rehearsal of a lost data volume: an empty one, the real entrypoint and settings; but nothing is archived."""
    words = ("--set=" + choice.label, "--target-timeline=%d" % timeline, "--archive-mode=off")
    return derive(
        server,
        place,
        name=name,
        role=ROLE,
        data=name,
        environment={"PGKEEP_RESTORE_ARGS": " ".join(words), **choice.fetching},
        settings={"archive_mode": "off", "maintenance_work_mem": postgres_size(memory_bytes // 8)},
        memory_bytes=memory_bytes,
        cpus=cpus,
    )
