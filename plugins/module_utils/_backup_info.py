# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is known about an instance's backups, as one object. Private to the collection."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Mapping, Optional

from . import _backup_repository as repository
from . import _backup_server as server
from . import _drill_record as drill_record
from . import _evidence_files as evidence
from . import _pgbackrest as pgbackrest
from . import _timelines as timelines
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._evidence import Backup, Window, current, judge, segment_size, window
from ._pgbackrest_errors import archiver_words, excerpt, not_archived
from ._restore_point import reachable
from ._schedule_duty import upcoming
from ._ship import archived_here, behind
from ._ship_state import load as load_shipped
from ._times import epoch_of, rfc3339

_STATUS = {pgbackrest.OK: "ok", pgbackrest.NO_BACKUP: "empty", pgbackrest.MISSING_PATH: "missing"}

_NAMED = 20


def info(keeper: Keeper) -> dict[str, Any]:
    """The backup_info object; a repository that cannot be used and a server that is down leave parts of it empty."""
    return described(keeper, repository.snapshot(keeper), lambda: server.archiver(keeper).failing_since)


def described(keeper: Keeper, snapshot: pgbackrest.Snapshot, archiver: Callable[[], Optional[float]]) -> dict[str, Any]:
    """The same for who has the snapshot already, and his own way to know since when the archiver fails."""
    backups = judge(keeper.instance, snapshot, evidence.notes(keeper))
    usable = current(keeper.instance, snapshot, backups)
    known = window(keeper.instance, snapshot, backups)
    problem = repository.problem(keeper, snapshot.info)
    files = pgbackrest.files(keeper.instance, snapshot.listing)
    known_timelines = timelines.of_snapshot(keeper, snapshot)
    foreign = timelines.foreign(known_timelines, snapshot.timeline)
    warnings = [timelines.warning(keeper.instance, foreign, snapshot.timeline)] if foreign else []
    return {
        "instance": keeper.instance,
        "status": _STATUS.get(snapshot.info.code, "error"),
        "status_text": str(problem) if problem else excerpt(snapshot.info.message),
        "encrypted": snapshot.info.cipher != "none",
        "backups": [backup.to_result() for backup in backups],
        "newest_clean": _newest(usable),
        "newest_proven": _newest([backup for backup in usable if backup.proven_at]),
        "recovery_window": _window(known),
        "wal": _wal(keeper, snapshot, known, archiver),
        "repository_bytes": sum(entry.size for entry in files),
        "repository_free_bytes": repository.free_bytes(keeper),
        "running": snapshot.info.running,
        "restore_points": reachable(keeper, snapshot, backups),
        "timelines": [each.to_result() for each in known_timelines],
        "warnings": warnings,
        "drills": drill_record.summary(keeper.state, keeper.repo),
    }


def everything(keeper: Keeper) -> dict[str, Any]:
    """The backup_info object of the first repository, with repositories: what there is to say about each of them.

    They are asked side by side, each with its own deadline, so one that does not answer hides no other.
    """
    others = repository.all_keepers(keeper)[1:]
    with ThreadPoolExecutor(max_workers=max(len(others), 1)) as pool:
        asked = [pool.submit(_other, other) for other in others]
        first = info(keeper)
        listed = [_summary(keeper, first), *(each.result() for each in asked)]
        return {**first, "schedule": _schedule(keeper), "repositories": listed}


def _schedule(keeper: Keeper) -> Optional[dict[str, Any]]:
    """None where the schedule cannot be read; whoever asks for the backups shall see them all the same."""
    try:
        return upcoming(keeper, time.time())
    except PgkeepError:
        return None


def _other(keeper: Keeper) -> dict[str, Any]:
    try:
        found = info(keeper)
    except PgkeepError as error:
        found = {"status": "error", "status_text": str(error), "backups": [], "wal": {}}
    return _summary(keeper, found)


def _summary(keeper: Keeper, found: Mapping[str, Any]) -> dict[str, Any]:
    now = time.time()
    shipped = load_shipped(keeper.state, keeper.repo)
    if keeper.repo == 1:
        waiting: Optional[list[float]] = server.ready(keeper)
        last_at = epoch_of(found["wal"]["last_archived_at"])
        trouble = found["wal"]["error"]
    else:
        # From the keeper's own notes, so that it is known of one that does not answer too.
        waiting = None if shipped.last is None else behind(archived_here(keeper)[1], shipped.last)
        last_at, trouble = shipped.last_at, (shipped.error or {}).get("why")
    full = max((one["stopped_at"] for one in found["backups"] if one["clean"] and one["type"] == "full"), default=None)
    return {
        "number": keeper.repo,
        "type": repository.types(keeper)[keeper.repo],
        "status": found["status"],
        "status_text": found["status_text"],
        "newest_clean": found.get("newest_clean"),
        "newest_proven": found.get("newest_proven"),
        "proven_at": drill_record.summary(keeper.state, keeper.repo)["last_passed_at"],
        "newest_full_age_seconds": None if full is None else max(int(now - (epoch_of(full) or now)), 0),
        "wal_missing": list(found["wal"].get("missing", ())),
        "wal_lag_segments": None if waiting is None else len(waiting),
        "wal_lag_seconds": None if waiting is None else max(int(now - min(waiting, default=now)), 0),
        "last_shipped_at": None if last_at is None else rfc3339(last_at),
        "failing_since": found["wal"].get("failing_since")
        if keeper.repo == 1
        else (None if shipped.failing_since is None else rfc3339(shipped.failing_since)),
        "error": trouble or None,
    }


def _newest(backups: list[Backup]) -> Optional[str]:
    return backups[-1].label if backups else None


def _window(known: Window) -> Optional[dict[str, Any]]:
    if known.since is None or known.until is None:
        return None
    gaps = [
        {
            "missing_from": gap.first,
            "missing_to": gap.last,
            "after": rfc3339(gap.after),
            "until": None if gap.until is None else rfc3339(gap.until),
        }
        for gap in known.gaps
    ]
    return {"from": rfc3339(known.since), "to": rfc3339(known.until), "gaps": gaps}


def _wal(
    keeper: Keeper, snapshot: pgbackrest.Snapshot, known: Window, archiver: Callable[[], Optional[float]]
) -> dict[str, Any]:
    archive_id = snapshot.info.archive_id or ""
    segments = pgbackrest.archived(keeper.instance, archive_id, snapshot.listing)
    failing_since: Optional[float] = None
    why: Optional[PgkeepError] = None
    with contextlib.suppress(PgkeepError):
        # A server that is down archives nothing and fails at nothing.
        failing_since = archiver()
    if failing_since is not None and keeper.repo == 1:
        why = not_archived(repository.circumstances(keeper))
    return {
        "min": min(segments, default=None),
        "max": max(segments, default=None),
        "segment_bytes": segment_size(snapshot.info, archive_id),
        "missing": list(known.missing[:_NAMED]),
        "last_archived_at": rfc3339(max(segments.values())) if segments else None,
        "ready_count": len(server.ready(keeper)),
        "failing_since": None if failing_since is None else rfc3339(failing_since),
        "error": archiver_words(repository.archiver_error(keeper)) or None,
        "cause": why.why if why else None,
        "next_step": why.next_step if why else None,
    }
