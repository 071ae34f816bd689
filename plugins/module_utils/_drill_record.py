# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill found, as one object, and the records of earlier ones on the host. Private to the collection."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from statistics import median
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

from ._damage import DamagedBackup
from ._errors import PgkeepError
from ._files import File, Folder, make, read, write
from ._interrupt import Interrupted
from ._layout import GID, UID
from ._target import moment_of, rfc3339
from ._times import younger

# A year of daily drills, a few KB each.
KEEP = 400


@dataclass(frozen=True)
class Check:
    """One proof. detail is for people, also when it passed."""

    id: str
    passed: bool
    detail: str
    seconds: float


# Proofs that are about nothing but the data in the backup.
_CONDEMNING = ("amcheck", "rows", "checksums")


@dataclass
class Drill:
    """The object of the module drill. passed is None for one that was only planned.

    where: host or keeper. rto_seconds: from starting the copy to accepting writes. rpo_seconds: work that would have
    been lost with the host when the drill began, by the heartbeat. archive_seconds: from the commit of the canary row
    until the row was safe in the repository. size_bytes: of the databases in the backup; repository_bytes: what it
    added there. rows, tables, databases: what the copy held and the drill counted.
    """

    instance: str
    label: str
    where: str = "host"
    repository: int = 1
    passed: Optional[bool] = None
    started_at: Optional[str] = None
    duration_seconds: Optional[float] = None
    rto_seconds: Optional[float] = None
    rpo_seconds: Optional[float] = None
    archive_seconds: Optional[float] = None
    size_bytes: Optional[int] = None
    repository_bytes: Optional[int] = None
    rows: Optional[int] = None
    tables: Optional[int] = None
    databases: Optional[int] = None
    checks: list[Check] = field(default_factory=list)
    error: Optional[dict[str, object]] = None
    # Check -> what to do about it, from the error that ended it; goes into the error of the drill.
    next_steps: dict[str, str] = field(default_factory=dict)
    # Whether the backup itself is bad: a full disk or a slow machine fails a drill too, and says nothing about it.
    condemned: bool = False

    def check(self, identity: str, function: Callable[[], tuple[bool, str]]) -> bool:
        """Run one proof and remember how it ended; a PgkeepError is a failed proof, Interrupted passes through."""
        began = time.monotonic()
        try:
            passed, detail = function()
        except Interrupted:
            raise
        except PgkeepError as error:
            if error.next_step:
                self.next_steps[identity] = error.next_step
            passed, detail = False, "%s: %s" % (error.what, error.why) if error.why else error.what
            self.condemned = self.condemned or isinstance(error, DamagedBackup)
        else:
            self.condemned = self.condemned or (identity in _CONDEMNING and not passed)
        self.checks.append(Check(identity, passed, detail, round(time.monotonic() - began, 3)))
        return passed

    @property
    def subject(self) -> str:
        """For people; whoever has one repository does not want to hear its number."""
        where = "" if self.repository == 1 else " of repository %d" % self.repository
        return "%s with backup %s%s" % (self.instance, self.label, where)

    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> Drill:
        """The inverse of to_result()."""
        return cls(**{**result, "checks": [Check(**check) for check in result["checks"]]})

    def to_result(self) -> dict[str, Any]:
        result = asdict(self)
        del result["next_steps"], result["condemned"]
        return result


class DrillError(PgkeepError):
    """A drill that did not pass; drill is the object with all its checks."""

    def __init__(self, drill: Drill, why: str, next_step: str) -> None:
        super().__init__("The drill of %s failed" % drill.subject, why, next_step)
        drill.error = self.to_result()
        self.drill = drill


def now() -> str:
    return rfc3339(datetime.now(timezone.utc).replace(microsecond=0))


def folder(state_dir: str) -> str:
    return state_dir + "/drills"


def save(state_dir: str, drill: Drill) -> str:
    """Write the record, readable for the keeper, and return its path. Only the newest KEEP records stay."""
    make(Folder(folder(state_dir), 0o750, UID, GID))
    name = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ.json")
    path = os.path.join(folder(state_dir), name)
    write(File(path, json.dumps(drill.to_result(), indent=1) + "\n", 0o640, UID, GID))
    for old in _names(state_dir)[:-KEEP]:
        os.unlink(os.path.join(folder(state_dir), old))
    return path


def _names(state_dir: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder(state_dir)) if name.endswith(".json"))
    except FileNotFoundError:
        return []


def records(state_dir: str) -> Iterator[dict[str, Any]]:
    """The records, newest first, one file read at a time; those that cannot be read are passed over."""
    for name in reversed(_names(state_dir)):
        try:
            yield dict(json.loads(read(os.path.join(folder(state_dir), name)) or ""))
        except ValueError:
            continue


def _of(state_dir: str, repository: int) -> Iterator[dict[str, Any]]:
    """records() of one repository; in those of an early release it is the first."""
    return (found for found in records(state_dir) if found.get("repository", 1) == repository)


def newest_passed(state_dir: str, label: str, repository: int = 1) -> Optional[dict[str, Any]]:
    """The record of the last drill that proved this backup, None when there is none that can be read."""
    passed = (found for found in _of(state_dir, repository) if found.get("passed"))
    return next((found for found in passed if found.get("label") == label), None)


def is_fresh(record: dict[str, Any], max_age_seconds: int, moment: datetime) -> bool:
    return younger(moment_of(record["started_at"]).timestamp(), moment.timestamp(), max_age_seconds)


def summary(state_dir: str, repository: int = 1) -> dict[str, Any]:
    """last_passed_at, last_failed_at, last_rto_seconds and last_rpo_seconds, the last two of the drill that passed."""
    passed: dict[str, Any] = {}
    failed: dict[str, Any] = {}
    for found in _of(state_dir, repository):
        if found.get("passed"):
            passed = passed or found
        else:
            failed = failed or found
        if passed and failed:
            break
    return {
        "last_passed_at": passed.get("started_at"),
        "last_failed_at": failed.get("started_at"),
        "last_rto_seconds": passed.get("rto_seconds"),
        "last_rpo_seconds": passed.get("rpo_seconds"),
    }


def trend(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How the RTO of the drills that passed grows; found are records, newest first.

    oldest_rto_seconds and newest_rto_seconds are the medians of up to three drills, growth_percent is between them.
    Drills on the host and in the keeper have different limits and repositories different lines, so each is compared
    with its like alone: the keys are host and keeper, and for another repository than the first such as keeper-2.
    """
    result: dict[str, Any] = {}
    groups: dict[str, list[float]] = {}
    for each in found:
        if each.get("passed") and each.get("rto_seconds"):
            number = each.get("repository", 1)
            key = each.get("where", "host") + ("" if number == 1 else "-%d" % number)
            groups.setdefault(key, []).append(float(each["rto_seconds"]))
    for key, times in sorted(groups.items()):
        if len(times) > 1:
            few = min(3, len(times) // 2)
            newest, oldest = median(times[:few]), median(times[-few:])
            result[key] = {
                "drills": len(times),
                "oldest_rto_seconds": round(oldest, 3),
                "newest_rto_seconds": round(newest, 3),
                "growth_percent": round((newest / oldest - 1) * 100, 1),
            }
    return result
