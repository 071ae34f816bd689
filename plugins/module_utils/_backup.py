# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a backup in the keeper: plan, then take, then believe only the evidence. Private to the collection."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from typing import Any, Iterator, Optional, Sequence

from . import _backup_expire as expiry
from . import _backup_repository as repository
from . import _backup_server as server
from . import _evidence_files as evidence
from . import _sql
from ._backup_repository import BACKUP_OF, BACKUP_SECONDS, Keeper
from ._counts import Reading, Table
from ._counts_read import Limit
from ._counts_read import read as read_tables
from ._errors import PgkeepError
from ._evidence import Backup, Note, current, judge
from ._lock import hold
from ._pgbackrest import MISSING_PATH, Snapshot, files, new_label
from ._pgbackrest_errors import FULL_BYTES, failure
from ._retry import retry
from ._run import Result
from ._ship import Shipper, create_stanza
from ._ship_duty import meanwhile
from ._times import epoch_of, rfc3339, younger

# Annotating or expiring takes a second: nobody should fail because of one.
_PATIENCE = (0.1,) * 20
# pgBackRest's workers outlive it by seconds when it crashes, and hold its lock.
_WORKERS_END = (0.5,) * 40

# How much longer than the backup the counting of rows may take.
COUNTING_SECONDS = 60.0

# How long a backup elsewhere waits for its WAL, which may stand behind much other WAL on the same line.
_WAL_ELSEWHERE = ("--archive-timeout=600",)

# Room for the growth since the last backup of the kind.
_MARGIN = 1.2
# The share of the databases that a first full backup takes; typical data compress to less.
_FIRST_SHARE = 0.5


@dataclass(frozen=True)
class Plan:
    """What a backup would do. why explains a type that is not the wanted one; sizes are bytes, None where unknown."""

    type: str
    why: Optional[str]
    stanza_create: bool
    needed_bytes: int
    free_bytes: Optional[int]


@contextlib.contextmanager
def locked(keeper: Keeper, what: str) -> Iterator[None]:
    """Hold the repository against every other command of the keeper; busy when it stays held for more than 2 s."""
    with contextlib.ExitStack() as stack:
        retry(
            lambda: stack.enter_context(hold(keeper.lock_file, what, who=keeper.actor)),
            waits=_PATIENCE,
            can_retry=_is_busy,
        )
        yield


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, PgkeepError) and error.busy


def choose_type(wanted: str, backups: Sequence[Backup]) -> tuple[str, Optional[str]]:
    """The type to take and why it is not the wanted one: a backup that builds on a bad one would be bad too."""
    if wanted == "full":
        return wanted, None
    newest_full = next((backup for backup in reversed(backups) if backup.type == "full"), None)
    if newest_full is None:
        return "full", "there is no full backup to build on"
    if not newest_full.clean:
        return "full", "the newest full backup %s is not clean" % newest_full.label
    if wanted == "incr" and not backups[-1].clean:
        return "diff", "the newest backup %s is not clean" % backups[-1].label
    return wanted, None


def needed_bytes(type_: str, backups: Sequence[Backup], databases_bytes: int) -> int:
    """An estimate of what the backup adds to the repository: the largest of the last three of its type and a margin."""
    last = [backup.repository_bytes for backup in backups if backup.type == type_][-3:]
    if last:
        return FULL_BYTES + int(max(last) * _MARGIN)
    return FULL_BYTES + (int(databases_bytes * _FIRST_SHARE) if type_ == "full" else 0)


def fresh(wanted: str, backups: Sequence[Backup], max_age_seconds: float, now: float) -> Optional[Backup]:
    """The newest of these clean backups if it is young enough to make another one of the wanted type unnecessary."""
    newest = next((backup for backup in reversed(backups) if wanted in ("diff", "incr") or backup.type == "full"), None)
    is_young = newest is not None and younger(epoch_of(newest.stopped_at) or 0, now, max_age_seconds)
    return newest if is_young else None


def take(
    keeper: Keeper, wanted: str, *, max_age_seconds: Optional[float] = None, check: bool = False
) -> dict[str, Any]:
    """Take a backup and return backup, changed, plan and expired; with check only the plan.

    Raises PgkeepError, busy when another operation runs. A backup that was taken but is not clean raises too: it stays
    in the repository, and nothing is expired because of it.
    """
    with locked(keeper, BACKUP_OF % keeper.instance):
        before = repository.snapshot(keeper)
        backups = judge(keeper.instance, before, evidence.notes(keeper))
        usable = current(keeper.instance, before, backups)
        young = None if max_age_seconds is None else fresh(wanted, usable, max_age_seconds, time.time())
        if young is not None:
            return {"backup": young.to_result(), "changed": False, "plan": None, "expired": []}
        plan = make_plan(keeper, wanted, before, backups, check=check)
        if check:
            return {"backup": None, "changed": True, "plan": asdict(plan), "expired": []}
        if plan.stanza_create:
            _create_stanza(keeper)
        backup, after = _take(keeper, plan, before, backups)
        expired = _expire(keeper, backup, after)
        evidence.keep_only(keeper, [each.label for each in after if each.label not in expired])
        return {"backup": backup.to_result(), "changed": True, "plan": asdict(plan), "expired": expired}


def make_plan(keeper: Keeper, wanted: str, before: Snapshot, backups: Sequence[Backup], *, check: bool) -> Plan:
    """Refuse what cannot end well, before anything is touched."""
    _refuse_unusable(keeper, before)
    stanza_create = before.info.code == MISSING_PATH
    databases_bytes = server.databases_bytes(keeper)
    if not stanza_create:
        _refuse_failing_archiver(keeper, check=check)
    if keeper.repo != 1 and not check:
        # Without WAL there no backup there is usable, and pgBackRest would wait for it in vain.
        Shipper().step(keeper)
    type_, why = choose_type(wanted, backups)
    needed, free = needed_bytes(type_, backups, databases_bytes), repository.free_bytes(keeper)
    if free is not None and free < needed and not check and not stanza_create:
        # What a killed backup left may be all that fills it.
        with contextlib.suppress(PgkeepError):
            expiry.remove_leftovers(keeper)
        free = repository.free_bytes(keeper)
    plan = Plan(type_, why, stanza_create, needed, free)
    if plan.free_bytes is not None and plan.free_bytes < plan.needed_bytes:
        raise PgkeepError(
            "The backup of %s was not started" % keeper.instance,
            "the disk of the repository is too full: about %d bytes are needed, %d are free"
            % (plan.needed_bytes, plan.free_bytes),
            "free space or enlarge the disk, or shorten the retention and run pgkeep expire; then repeat",
        )
    return plan


def _refuse_unusable(keeper: Keeper, before: Snapshot) -> None:
    problem = repository.problem(keeper, before.info)
    if problem is not None:
        raise problem
    if before.info.running:
        raise failure("The backup of %s was not started" % keeper.instance, "unable to acquire lock")
    if before.info.code == MISSING_PATH and files(keeper.instance, before.listing):
        raise failure("The repository of %s cannot be used" % keeper.instance, "missing stanza data")


def _refuse_failing_archiver(keeper: Keeper, *, check: bool) -> None:
    state = server.archiver(keeper)
    if state.failing_since is not None and not check:
        state = server.wake_archiver(keeper)
    if state.failing_since is not None:
        # Without WAL no backup is usable, and pgBackRest would wait for it in vain.
        why = "WAL is not archived before the backup, since %s" % rfc3339(state.failing_since)
        raise failure("The backup of %s was not started" % keeper.instance, why, 0, repository.circumstances(keeper))


def _create_stanza(keeper: Keeper) -> None:
    # An archiver that fails because there is no stanza holds the lock for moments.
    retry(lambda: create_stanza(keeper), waits=_WORKERS_END, can_retry=_is_busy)
    if keeper.repo == 1:
        server.wake_archiver(keeper)


def _take(keeper: Keeper, plan: Plan, before: Snapshot, backups: Sequence[Backup]) -> tuple[Backup, list[Backup]]:
    what = "The backup of %s failed" % keeper.instance
    counted = [backup.label for backup in backups if backup.rows is not None]
    known = evidence.tables(keeper, counted[-1]) if counted else []
    result, reading = _run_and_count(keeper, plan, known)
    after = repository.snapshot(keeper)
    label = new_label(result.stdout)
    is_new = label not in {backup.label for backup in before.info.backups}
    if label is None or not is_new or label not in {backup.label for backup in after.info.backups}:
        around = replace(repository.circumstances(keeper), damaged=reading.damaged)
        with contextlib.suppress(PgkeepError):
            # A failure to tidy up must not hide the reason; the next backup tidies up too.
            retry(lambda: expiry.remove_leftovers(keeper), waits=_WORKERS_END, can_retry=_is_busy)
        raise failure(what, result.stdout + result.stderr, result.rc, around)
    note = Note(result.rc, reading.rows, reading.damaged)
    evidence.record(keeper, label, note, reading, time.time())
    judged = judge(keeper.instance, after, evidence.notes(keeper))
    backup = next(each for each in judged if each.label == label)
    if not backup.clean:
        raise PgkeepError(
            "The backup %s was taken but is not clean" % label,
            "; ".join(backup.reasons),
            "repair the cause, then take a full backup. Nothing was expired: the last clean backup is %s"
            % next((each.label for each in reversed(judged) if each.clean), "none"),
        )
    return backup, judged


def _expire(keeper: Keeper, backup: Backup, after: Sequence[Backup]) -> list[str]:
    try:
        removed: list[str] = expiry.expire(keeper, after, check=False)["removed"]
    except PgkeepError as error:
        what = "The backup %s is clean, but old backups were not expired" % backup.label
        raise PgkeepError(what, error.why, error.next_step, busy=error.busy) from error
    return removed


def _run_and_count(keeper: Keeper, plan: Plan, known: Sequence[Table]) -> tuple[Result, Reading]:
    """The rows are counted while the backup runs, so that they cost no time of their own."""
    limit = Limit()
    seconds = 0.0
    with ThreadPoolExecutor(max_workers=1) as pool:
        counting = pool.submit(read_tables, keeper.sockets, count=True, known=known, limit=limit)
        try:
            words = ["--type=" + plan.type, "--no-expire-auto", "--annotation=pgkeep=1", "backup"]
            if keeper.repo != 1:
                words = [*_WAL_ELSEWHERE, *words]
            with meanwhile(keeper):
                result = repository.command(keeper, [keeper.repository_option, *words], keeper.within(BACKUP_SECONDS))
            seconds = COUNTING_SECONDS if result.rc == 0 else 0.0
        finally:
            limit.end_after(seconds)
            while not wait([counting], timeout=seconds).done:
                # Once is not enough: it may fall between two statements.
                limit.cancel()
                seconds = 0.2
    try:
        return result, counting.result()
    except _sql.driver().Error as error:
        return result, Reading((), {"postgres": " ".join(str(error).split())})
