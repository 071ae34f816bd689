# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that the health of the host and the keeper's snapshot share, from facts that either read. Pure. Private.

facts has instance, now, errors (key -> why something could not be read) and, by the name of the check, what was read;
None for what was not.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._health_check import CRITICAL, HEALTHY, UNKNOWN, WARNING, Bounds, Check, graded
from ._off_site import seconds_behind
from ._times import epoch_of, hours, set_back, to_come
from ._units import human

DEPLOY = "run the playbook deploy.yml"
RENEW = "renew the certificate: run the playbook renew_tls.yml"


def measured(id: str, value: Optional[float], unit: str, bounds: Bounds, message: str, hint: str) -> Check:
    """A value against its bounds, or unknown when there was no login that could have measured it."""
    if value is None:
        return Check(id, UNKNOWN, None, "not measured: no login", unit, *bounds)
    status = graded(value, bounds)
    return Check(id, status, value, message, unit, *bounds, hint="" if status == HEALTHY else hint)


def response(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    value = (facts["login"] or {}).get("response_ms")
    message = "SELECT 1 on an open connection takes %s ms" % value
    hint = "look at the load of the host and at pg_stat_activity"
    return measured("response_time", value, "ms", bounds, message, hint)


def connections(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = (facts["login"] or {}).get("connections")
    value = round(100 * found["used"] / found["maximum"], 1) if found else None
    message = "%(used)d of %(maximum)d connections that are not reserved are used" % found if found else ""
    hint = "use a pooler, shorten idle sessions or give the server more connections"
    return measured("connections", value, "%", bounds, message, hint)


def disk(facts: Mapping[str, Any], key: str, bounds: Bounds) -> Check:
    id, found = "disk_" + key, facts[key]
    if found is None:
        return Check(id, UNKNOWN, None, "not measured: %s" % facts["errors"][key], "%", *bounds)
    inodes = found["inodes_percent"] > found["used_percent"]
    value = max(found["inodes_percent"], found["used_percent"])
    message = "%s %% of the %s are used, %s free below %s" % (
        value,
        "inodes" if inodes else "space",
        human(found["free_bytes"]),
        found["path"],
    )
    return measured(id, value, "%", bounds, message, "free space or extend the disk")


def checksums(facts: Mapping[str, Any]) -> Check:
    """What the server met itself; a backup names the damaged files of the rest."""
    found = (facts["login"] or {}).get("checksum_failures")
    if found is None:
        return Check("checksums", UNKNOWN, None, "not measured: no login", "pages")
    if not found:
        return Check("checksums", HEALTHY, 0, "the server met no page with a wrong checksum", "pages")
    message = "the server met pages with a wrong checksum %d times: the disk or the memory damages data" % found
    hint = "restore the newest clean backup; when the damage is gone, SELECT pg_stat_reset() in its database"
    return Check("checksums", CRITICAL, found, message, "pages", hint=hint)


def archiver(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = (facts["login"] or {}).get("archiver")
    unit = "segments"
    if found is None:
        return Check("archiver", UNKNOWN, None, "not measured: no login", unit, *bounds)
    if facts["login"]["role"] == "standby":
        return Check("archiver", HEALTHY, None, "a standby archives nothing", unit, *bounds)
    ready = found["ready_count"]
    wal = (facts["backup"] or {}).get("wal") or {}
    if found["mode"] == "off":
        message = "archive_mode is off: what was committed since the last backup is lost with the disk"
        return Check("archiver", CRITICAL, ready, message, unit, *bounds, hint=DEPLOY)
    if found["failing"]:
        age = found["last_archived_age_seconds"]
        since = "has not worked since its statistics began" if age is None else "worked last %s ago" % hours(age)
        message = "archiving %s: %s failed, %d segments wait" % (since, found["last_failed_wal"], ready)
        # A keeper from before tells no cause.
        if wal.get("cause") or wal.get("error"):
            message += ": %s" % (wal.get("cause") or wal["error"])
        hint = (
            wal.get("next_step") or "read docker logs %s for the words of pgbackrest archive-push" % facts["instance"]
        )
        return Check("archiver", CRITICAL, ready, message, unit, *bounds, hint=hint)
    if wal.get("missing"):
        message = "the repository misses WAL: %s; nothing after it can be recovered" % ", ".join(wal["missing"])
        # The new backup begins behind the gap.
        return Check("archiver", CRITICAL, ready, message, unit, *bounds, hint="run the playbook backup.yml")
    message = "%d segments wait, %d were archived" % (ready, found["archived_count"])
    return measured(
        "archiver", ready, unit, bounds, message, "the repository is slower than the writes: look at its disk"
    )


def backup(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = facts["backup"]
    if found is None:
        # Not unknown: a backup that nobody can see is none.
        message = "the age of the newest backup is unknown: %s" % facts["errors"]["backup"]
        hint = "docker start %s-keeper" % facts["instance"] if facts["container"] else ""
        return Check("backup", CRITICAL, None, message, "hours", *bounds, hint=hint)
    hint = "run the playbook backup.yml"
    newest = next((backup for backup in found["backups"] if backup["label"] == found["newest_clean"]), None)
    stopped = epoch_of(newest["stopped_at"]) if newest else None
    if newest is None or stopped is None:
        reason = found["status_text"] or found["status"]
        if found["status"] == "error":
            return Check("backup", CRITICAL, None, "the backups cannot be judged: %s" % reason, "hours", *bounds)
        words = "there is no clean backup (%s)" % reason
        return Check("backup", CRITICAL, None, words, "hours", *bounds, hint=hint)
    seconds = facts["now"] - stopped
    if to_come(stopped, facts["now"]):
        words = "the age of the newest clean backup %s is unknown: %s" % (
            newest["label"],
            set_back(stopped, facts["now"]),
        )
        return Check("backup", CRITICAL, None, words, "hours", *bounds, hint="set the clock of the host right")
    proven = "proven by a drill" if newest.get("proven_at") else "not proven by a drill"
    message = "the newest clean backup %s is %s old, %s" % (newest["label"], hours(seconds), proven)
    return measured("backup", round(seconds / 3600, 1), "hours", bounds, message, hint)


def off_site(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = facts["off_site"]
    if found is None:
        words = "not measured: %s" % facts["errors"].get("off_site")
        return Check("off_site", UNKNOWN, None, words, "seconds", *bounds)
    if not found:
        words = "no repository is declared besides the first one"
        return Check("off_site", HEALTHY, None, words, "seconds", *bounds)
    value = round(seconds_behind(found))
    status = graded(value, bounds)
    if status == HEALTHY and any(each["error"] or not each["begun"] for each in found):
        status = WARNING
    if status == HEALTHY and any(each["lag_seconds"] is None for each in found):
        status = UNKNOWN
    message = "; ".join(
        "repository %d (%s) %s%s"
        % (
            each["number"],
            each["type"],
            "has no WAL yet" if not each["begun"] else "is %s behind" % hours(seconds_behind([each])),
            ": %s" % each["error"] if each["error"] else "",
        )
        for each in found
    )
    hint = "" if status == HEALTHY else "correct what it names; docker logs %s-keeper has more" % facts["instance"]
    return Check("off_site", status, value, message, "seconds", *bounds, hint=hint)


def drill(facts: Mapping[str, Any], days: float) -> Check:
    found = facts["drills"]
    if not found:
        return Check("drill", UNKNOWN, None, "not measured: %s" % facts["errors"].get("drills"), "days", days)
    limit = days * len(found)
    oldest = max(found, key=lambda proof: proof.age(facts["now"]))
    seconds = oldest.age(facts["now"])
    message = "; ".join(
        "repository %d (%s) was %s"
        % (
            proof.number,
            proof.type,
            "never proven by a drill, and declared %s ago" % hours(proof.age(facts["now"]))
            if proof.proven_at is None
            else "proven by a drill %s ago" % hours(proof.age(facts["now"])),
        )
        for proof in found
    )
    status = WARNING if seconds >= limit * 86400 else HEALTHY
    record = facts.get("drill_record") or {}
    if record.get("passed") is False:
        # Its proof may still be young, but it is of an earlier backup or of better days.
        status, message = WARNING, "the last drill, at %s, failed; %s" % (record.get("started_at"), message)
    hint = "pgkeep %s drill --repository %d, and read what it says" % (facts["instance"], oldest.number)
    value = round(seconds / 86400, 1)
    return Check("drill", status, value, message, "days", limit, hint="" if status == HEALTHY else hint)


def timelines(facts: Mapping[str, Any]) -> Check:
    if facts["backup"] is None:
        return Check("timelines", UNKNOWN, None, "not measured: the keeper does not answer")
    warnings = facts["backup"].get("warnings") or []
    if not warnings:
        return Check("timelines", HEALTHY, 0, "the archive has the timelines of this instance alone")
    hint = "find the server that was promoted, stop it, and take a full backup"
    return Check("timelines", WARNING, len(warnings), "; ".join(warnings), hint=hint)


def certificate(facts: Mapping[str, Any], bounds: Bounds) -> Check:
    found = facts["certificate"]
    if found is None:
        words = facts["errors"].get("certificate") or facts["errors"].get("login")
        return Check("certificate", UNKNOWN, None, "not measured: %s" % words, "days", *bounds)
    if found["error"] is not None:
        message = "applications refuse it: %s" % found["error"]
        return Check("certificate", CRITICAL, None, message, "days", *bounds, hint=RENEW)
    left = found["days_left"]
    warn, crit = bounds
    status = CRITICAL if left < crit else WARNING if left < warn else HEALTHY
    message = "it ends in %d days" % left
    return Check("certificate", status, left, message, "days", warn, crit, hint="" if status == HEALTHY else RENEW)
