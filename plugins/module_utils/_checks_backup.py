# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of backups (B). Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._checks import (
    BLOCKER,
    BOTH,
    CRITICAL,
    WARNING,
    Check,
    Facts,
    Outcome,
    failed,
    passed,
    skipped,
    verdict_of,
    warned,
)
from ._off_site import LAG_SECONDS
from ._times import epoch_of, hours, set_back, to_come
from ._units import human

MAX_BACKUP_SECONDS = 26 * 3600
MAX_DRILL_SECONDS = 30 * 86400
MAX_READY = 10


def _backup(facts: Facts, which: str) -> Optional[dict[str, Any]]:
    """The backup named by newest_clean or newest_proven; the newest of all for "newest"."""
    found = facts["backup"]
    if which == "newest":
        return max(found["backups"], key=lambda backup: str(backup["stopped_at"]), default=None)
    return next((backup for backup in found["backups"] if backup["label"] == found[which]), None)


def _unreadable(facts: Facts) -> bool:
    """The keeper answered, but its repository did not: a wrong passphrase, a foreign owner, a lost network."""
    return bool(facts["backup"]["status"] == "error")


def _age(facts: Facts, moment: Optional[str]) -> float:
    return float(facts["now"]) - (epoch_of(moment) or 0)


def b01(facts: Facts) -> Outcome:
    found = _backup(facts, "newest_clean")
    if found is None:
        what = "the backups cannot be judged" if _unreadable(facts) else "there is no clean backup"
        return failed("%s: %s" % (what, facts["backup"]["status_text"] or facts["backup"]["status"]))
    stopped = epoch_of(found["stopped_at"]) or 0.0
    if to_come(stopped, facts["now"]):
        return failed("the age of %s is unknown: %s" % (found["label"], set_back(stopped, facts["now"])))
    age = _age(facts, found["stopped_at"])
    return verdict_of(age <= MAX_BACKUP_SECONDS, "%s is %s old" % (found["label"], hours(age)))


def b02(facts: Facts) -> Outcome:
    found = _backup(facts, "newest")
    if _unreadable(facts):
        return skipped("the backups cannot be judged, see B01")
    if found is None:
        return failed("there is no backup")
    if not found["clean"]:
        return failed("the newest backup %s is not clean: %s" % (found["label"], "; ".join(found["reasons"])))
    return passed("the newest backup %s is clean: no page errors, its WAL is complete" % found["label"])


def b03(facts: Facts) -> Outcome:
    found = _backup(facts, "newest_proven")
    if _unreadable(facts):
        return skipped("the backups cannot be judged, see B01")
    if found is None or not found["proven_at"]:
        return failed("no backup was ever restored in a drill")
    age = _age(facts, found["proven_at"])
    evidence = "%s was restored and proven %s ago" % (found["label"], hours(age))
    # What a keeper from before does not tell is not held against it.
    others = [each for each in facts["backup"].get("repositories") or () if each["number"] != 1 and "proven_at" in each]
    old = [each for each in others if _age(facts, each["proven_at"]) > MAX_DRILL_SECONDS]
    if age <= MAX_DRILL_SECONDS and old:
        names = ", ".join("%d (%s)" % (each["number"], each["type"]) for each in old)
        return warned("%s; no drill proved repository %s lately" % (evidence, names))
    return verdict_of(age <= MAX_DRILL_SECONDS, evidence)


def b04(facts: Facts) -> Outcome:
    archiver = facts["sql"]["archiver"]
    if facts["sql"]["role"] == "standby":
        return skipped("a standby archives nothing")
    if archiver["failing"]:
        cause = ((facts.get("backup") or {}).get("wal") or {}).get("cause")
        words = "segment %(last_failed_wal)s failed and none was archived since" % archiver
        return failed("%s: %s" % (words, cause) if cause else words)
    wal = facts["backup"]["wal"] if "backup" in facts else {}
    if wal.get("missing"):
        return failed("the repository misses %s: take a new backup" % ", ".join(wal["missing"]))
    if "backup" in facts and facts["backup"].get("warnings"):
        return warned("; ".join(facts["backup"]["warnings"]))
    waiting = "%d segments wait" % archiver["ready_count"]
    age = archiver["last_archived_age_seconds"]
    if age is not None:
        return verdict_of(archiver["ready_count"] < MAX_READY, "archived %s ago, %s" % (hours(age), waiting))
    # A crash takes the statistics away; the repository knows better.
    newest = wal.get("max")
    if newest is None:
        return failed("nothing was archived since the statistics began, %s" % waiting)
    return verdict_of(archiver["ready_count"] < MAX_READY, "the repository has WAL up to %s, %s" % (newest, waiting))


def b05(facts: Facts) -> Outcome:
    """A repository of another type, or with a host, is somewhere else. A mounted network disk is not seen."""
    settings = facts["repository"]
    names = sorted({name.split("-")[0] for name in settings if name.startswith("repo")})
    away = [
        name
        for name in names
        if settings.get(name + "-type", "posix") not in ("posix", "cifs") or settings.get(name + "-host")
    ]
    kinds = ", ".join("%s (%s)" % (name, settings.get(name + "-type", "posix")) for name in names)
    told = {"repo%d" % each["number"]: each for each in (facts.get("backup") or {}).get("repositories") or ()}
    if not away or not set(away) & told.keys():
        # What a keeper from before does not tell is not held against it.
        return verdict_of(bool(away), "repositories: %s" % (kinds or "none"))
    return _copies_away({name: told[name] for name in away if name in told})


def _copies_away(told: Mapping[str, Mapping[str, Any]]) -> Outcome:
    """A declared repository counts when it has a clean backup, and its WAL is not far behind."""
    words, behind = [], {}
    for name, each in told.items():
        lag = each["wal_lag_seconds"]
        parts = [
            each["newest_clean"] or "no clean backup",
            "no WAL yet" if lag is None else "its WAL is %s behind" % hours(lag),
        ]
        if each["status"] == "error" or each["error"]:
            parts.append(each["error"] or each["status_text"])
        words.append("%s (%s): %s" % (name, each["type"], ", ".join(parts)))
        if each["newest_clean"]:
            behind[name] = lag or 0
    warn, crit = LAG_SECONDS
    evidence = "; ".join(words)
    if not behind or min(behind.values()) > crit:
        return failed(evidence)
    troubled = [each for each in told.values() if each["status"] == "error" or each["error"]]
    return warned(evidence) if troubled or max(behind.values()) >= warn else passed(evidence)


def b06(facts: Facts) -> Outcome:
    if _unreadable(facts):
        return skipped("the backups cannot be judged, see B01")
    # That the passphrase is kept somewhere else too is for people to know.
    return verdict_of(bool(facts["backup"]["encrypted"]), "encrypted: %s" % facts["backup"]["encrypted"])


def b07(facts: Facts) -> Outcome:
    """Room for one more full backup and a third of it: a full one is written before the oldest goes."""
    settings, disks = facts["repository"], facts["disks"]
    retention = settings.get("repo1-retention-full")
    if not retention:
        return failed("repo1-retention-full is not set: nothing is ever removed")
    fulls = [backup["repository_bytes"] for backup in facts["backup"]["backups"] if backup["type"] == "full"]
    free = disks["repository"]["free_bytes"] if "repository" in disks else None
    kept = "%s %s" % (retention, "days" if settings.get("repo1-retention-full-type") == "time" else "full backups")
    if not fulls or free is None:
        return skipped("kept: %s; how large a full backup is, is not known yet" % kept)
    need = int(max(fulls) * 1.3)
    return verdict_of(
        free >= need, "kept: %s; the next full one needs %s, %s are free" % (kept, human(need), human(free))
    )


def b08(facts: Facts) -> Outcome:
    schedule = facts["backup"].get("schedule")
    if schedule is None:
        return skipped("the keeper does not tell its schedule")
    jobs = {job["name"]: job["next_at"] for job in schedule["jobs"]}
    if schedule["runner"] == "none":
        return warned("the runner is none: whatever starts the backups is not seen from here")
    words = ", ".join("%s next at %s" % (name, at) for name, at in jobs.items())
    return verdict_of("full" in jobs, "%s: %s" % (schedule["runner"], words or "no job"))


def b09(facts: Facts) -> Outcome:
    """A dump without the roles cannot be read into a new server: nobody owns anything there."""
    found = facts["dumps"]
    if found is None:
        return passed("no dump is kept; backups hold the roles")
    return verdict_of(found["globals"], "%s has %s" % (found["run"], "the roles" if found["globals"] else "no roles"))


def b10(facts: Facts) -> Outcome:
    """What somebody promised, against what the last drill measured."""
    goals, drill = facts["declared"]["goals"], facts["drill"]
    named = [(word, goals[word + "_seconds"], drill["last_%s_seconds" % word]) for word in ("rpo", "rto")]
    if not all(goal for _word, goal, _measured in named):
        return failed("nobody wrote down how much may be lost and how long a restore may take")
    words = [
        "%s %s of %g s" % (word.upper(), "unknown" if measured is None else "%g s" % measured, goal)
        for word, goal, measured in named
    ]
    good = all(measured is not None and measured <= goal for _word, goal, measured in named)
    return verdict_of(good, ", ".join(words))


def b11(facts: Facts) -> Outcome:
    found = facts["leftovers"]
    return verdict_of(not found, ", ".join(found) or "nothing is left of operations that were killed")


def b12(facts: Facts) -> Outcome:
    there, kept = facts["keys"], facts["declared"]["keys"]
    if kept is None:
        return skipped("nobody told which keys the control node has")
    words = [
        "%s is %s on the control node; the only copy that is known is %s"
        % (name, "another one" if name in kept else "not", key["place"])
        for name, key in sorted(there.items())
        if kept.get(name) != key["sha256"]
    ]
    return failed("; ".join(words)) if words else passed(", ".join(sorted(there)) or "this host holds no key yet")


_NOW = "run the playbook backup.yml"
_KEEPER = ("backup",)
_GOALS = "set postgres_backup_rpo_seconds and postgres_backup_rto_seconds, run verify.yml"
_LEFT = ("leftovers",)
_BRING = "bring the instance's folder of secrets from the control node that has it; see Keys in docs/backup.md"

BACKUP = (
    Check("B01", "There is a fresh clean backup", BLOCKER, b01, _NOW, _KEEPER, root="backup"),
    Check("B02", "The newest backup is clean", BLOCKER, b02, _NOW, _KEEPER),
    Check("B03", "A restore was proven", BLOCKER, b03, "run the playbook verify.yml, with -e repository=N", _KEEPER),
    Check("B04", "WAL reaches the repository", BLOCKER, b04, "read docker logs for archive-push", ("sql",)),
    Check(
        "B05",
        "A copy is on another host",
        CRITICAL,
        b05,
        "declare one in postgres_backup_repositories",
        ("repository",),
        root="repository",
    ),
    Check("B06", "The repository is encrypted", CRITICAL, b06, "make a new repository with a cipher", _KEEPER),
    Check("B07", "Retention is set and has room", CRITICAL, b07, "extend the disk", ("repository", "backup", "disks")),
    Check("B08", "Backups have a schedule", CRITICAL, b08, "name jobs in postgres_backup_schedule", _KEEPER),
    Check("B09", "Dumps hold the roles too", WARNING, b09, "run the playbook dump.yml", ("dumps",), root="dumps"),
    Check("B10", "Loss and outage are within what was promised", WARNING, b10, _GOALS, ("drill",), root="drill"),
    Check(
        "B11", "No killed operation left anything", WARNING, b11, "run the playbook deploy.yml", _LEFT, root="leftovers"
    ),
    Check("B12", "The control node has every key", BLOCKER, b12, _BRING, ("keys",), BOTH, root="keys"),
)
