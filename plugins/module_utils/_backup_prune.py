# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emergency: keep only the newest clean backups, because the disk is full. Private to the collection.

Less can be restored afterwards: nothing before the oldest backup that stays. Therefore it is never done by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Collection, Mapping, Sequence

from . import _backup_expire as expiry
from . import _backup_repository as repository
from . import _evidence_files as evidence
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._evidence import Backup, current, judge
from ._pgbackrest import Snapshot, files

_WHAT = "The backups of %s were not pruned"


@dataclass(frozen=True)
class Plan:
    """kept and removed are labels, oldest first; freed_bytes is what the removed ones added to the repository.

    fulls: how many of the newest full backups stay; the older ones go with everything that builds on them.
    """

    kept: tuple[str, ...]
    removed: tuple[str, ...]
    fulls: int
    freed_bytes: int


def make_plan(
    backups: Sequence[Backup], usable: Sequence[Backup], builds_on: Mapping[str, Collection[str]], keep: int
) -> Plan:
    """Keep the newest of usable, and what they build on. backups and usable are ordered oldest first; builds_on has
    for each label those of all backups that it needs.

    Raises PgkeepError when nothing usable would be left.
    """
    if keep < 1 or not usable:
        raise PgkeepError(
            "The backups cannot be pruned",
            "no clean backup would be left" if usable or keep < 1 else "none of the %d backups is clean" % len(backups),
            "take a backup first (pgkeep backup --type full); if the disk is too full for one, make it larger",
        )
    kept = {backup.label for backup in usable[-keep:]}
    for label in sorted(kept):
        kept.update(builds_on.get(label, ()))
    removed = [backup for backup in backups if backup.label not in kept]
    oldest = min(kept)
    return Plan(
        kept=tuple(backup.label for backup in backups if backup.label in kept),
        removed=tuple(backup.label for backup in removed),
        fulls=len([backup for backup in backups if backup.type == "full" and backup.label >= oldest]),
        freed_bytes=sum(backup.repository_bytes for backup in removed),
    )


def prune(keeper: Keeper, keep: int, *, check: bool) -> dict[str, Any]:
    """Remove all but the keep newest clean backups and what they build on; with check only say so.

    Returns prune (plan, repository_bytes before and after, recoverable from) and changed. The caller holds the lock.
    """
    before = repository.snapshot(keeper)
    problem = repository.problem(keeper, before.info)
    if problem is not None:
        raise problem
    backups, usable = _judged(keeper, before)
    plan = make_plan(backups, usable, {raw.label: raw.references for raw in before.info.backups}, keep)
    result = {
        **asdict(plan),
        "repository_bytes": _size(keeper, before),
        "recoverable_from": next(backup.stopped_at for backup in usable if backup.label in plan.kept),
    }
    if check or not plan.removed:
        return {"prune": result, "changed": bool(plan.removed)}
    _remove(keeper, plan)
    after = repository.snapshot(keeper)
    left = {backup.label for backup in _judged(keeper, after)[1]}
    evidence.keep_only(keeper, [raw.label for raw in after.info.backups])
    lost = [backup.label for backup in usable if backup.label in plan.kept and backup.label not in left]
    if lost:
        raise PgkeepError(
            "The backups of %s were pruned, but %s cannot be used any more" % (keeper.instance, ", ".join(lost)),
            "the repository says so after the removal",
            "take a full backup now and look at pgkeep info",
        )
    return {"prune": {**result, "repository_bytes": _size(keeper, after)}, "changed": True}


def _judged(keeper: Keeper, snapshot: Snapshot) -> tuple[list[Backup], list[Backup]]:
    backups = judge(keeper.instance, snapshot, evidence.notes(keeper))
    return backups, current(keeper.instance, snapshot, backups)


def _size(keeper: Keeper, snapshot: Snapshot) -> int:
    return sum(entry.size for entry in files(keeper.instance, snapshot.listing))


def _remove(keeper: Keeper, plan: Plan) -> None:
    """Whole sets by count, which removes their WAL too; then single backups of the sets that stay."""
    what = _WHAT % keeper.instance
    words = expiry.count_words(keeper, plan.fulls)
    repository.checked(keeper, what, [keeper.repository_option, *words, "expire"])
    for label in reversed(plan.removed):
        if label > plan.kept[0]:
            repository.checked(keeper, what, [keeper.repository_option, *words, "--set=" + label, "expire"])
