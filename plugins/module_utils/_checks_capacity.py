# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of room, speed and what grows (K). Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Mapping

from ._checks import (
    BEFORE,
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

DISK_WARNING, DISK_BLOCKER, INODES_WARNING = 70, 85, 80
# Of an 8 kB write that has to reach the disk. No disk without a cache that survives a power cut is faster than the
# second one: it says done before it is.
SLOW_SYNC_MS, DOUBTFUL_SYNC_MS = 5.0, 0.02
# Of the transactions that PostgreSQL can tell apart (PostgreSQL manual, "Preventing Transaction ID Wraparound").
XID_ROOM, XID_WARNING = 2**31, 0.5
# A client and its server share so many descriptors with nobody; the rest are files, logs and the console.
_SPARE_FILES = 50


def disk_words(disk: Facts) -> str:
    return "%(path)s: %(used_percent)s %% used, %(inodes_percent)s %% of the inodes" % disk


def k01(facts: Facts) -> Outcome:
    """Of the volumes; before there are any, of the folder they will lie in.

    A deploy of an instance that is there already is how a shorter retention reaches it, so it must not be refused for
    the very disk that this would empty.
    """
    roots = {"engine": facts["engine"]["root_disk"]} if facts["engine"]["root_disk"] else {}
    # Volumes mostly share a file system; each is named once.
    named = reversed(list((facts["disks"] or roots).values()))
    disks = list({disk["device"]: disk for disk in named}.values())
    if not disks:
        return skipped("no disk can be seen from here")
    evidence = "; ".join(disk_words(disk) for disk in disks)
    if any(disk["used_percent"] >= DISK_BLOCKER for disk in disks):
        if facts["phase"] == BEFORE and facts["disks"]:
            return warned(evidence + "; the deploy goes on because the instance is there already")
        return failed(evidence)
    tight = any(disk["used_percent"] >= DISK_WARNING or disk["inodes_percent"] >= INODES_WARNING for disk in disks)
    return warned(evidence) if tight else passed(evidence)


def k02(facts: Facts) -> Outcome:
    found = facts["exercises"].get("disk")
    if found is None:
        return skipped(_EXERCISE % ("writes to the data volume for a second", "disk"))
    if "error" in found:
        return failed(str(found["error"]))
    evidence = "a write of 8 kB is on the disk after %.2f ms (median of %d)" % (found["sync_ms"], found["writes"])
    if found["sync_ms"] < DOUBTFUL_SYNC_MS:
        return failed(evidence + ": faster than a disk is; does it lie about its cache?")
    return verdict_of(found["sync_ms"] <= SLOW_SYNC_MS, evidence)


def k03(facts: Facts) -> Outcome:
    found = facts["exercises"].get("load")
    if found is None:
        return skipped(_EXERCISE % ("loads the server for some seconds", "load"))
    if "error" in found:
        return failed(str(found["error"]))
    evidence = (
        "%d clients made %.0f transactions a second (wanted %g), %.1f %% of them slower than %g ms (5 allowed)"
        % (
            found["clients"],
            found["tps"],
            found["wanted_tps"],
            found["slow_percent"],
            found["limit_ms"],
        )
    )
    return verdict_of(found["tps"] >= found["wanted_tps"] and found["slow_percent"] <= 5, evidence)


def k04(facts: Facts) -> Outcome:
    """Each client is one descriptor of the pooler, each connection to the server another one."""
    found = facts["pools"]
    if found is None:
        return passed("no pooler is declared")
    need = found["clients"] + found["connections"] + _SPARE_FILES
    if found["open_files"] is None:
        return skipped("the pooler's process cannot be seen from here")
    evidence = "%d clients and %d connections need %d open files, %d are allowed" % (
        found["clients"],
        found["connections"],
        need,
        found["open_files"],
    )
    return verdict_of(need <= found["open_files"], evidence)


def k05(facts: Facts) -> Outcome:
    found = facts.get("restart_test")
    if found is None:
        return skipped(_EXERCISE % ("interrupts the server", "restart"))
    if "error" in found:
        return failed("the restart failed, see C12")
    if found["reconnected"] is None:
        return skipped("the server publishes no port for a client to watch")
    if not found["reconnected"]:
        return failed("a client that tried again and again was not served after the restart")
    goal = facts["declared"]["goals"]["rto_seconds"]
    evidence = "a client that tries again was served after %.1f s" % (found["interruption_ms"] / 1000)
    return verdict_of(not goal or found["interruption_ms"] <= goal * 1000, evidence)


# Finding of _facts_catalog -> words for people.
_LINTS = {
    "invalid_indexes": "invalid indexes",
    "unindexed_foreign_keys": "foreign keys without an index",
    "tables_without_primary_key": "tables without a primary key",
    "full_sequences": "sequences three quarters through",
}


def k06(facts: Facts) -> Outcome:
    ages = [
        "%s has used %.0f %% of its transaction numbers" % (each["name"], 100 * each["xid_age"] / XID_ROOM)
        for each in facts["sql"]["databases"]
        if each["xid_age"] >= XID_WARNING * XID_ROOM
    ]
    found = [*ages, *lints(facts["catalogs"], _LINTS)]
    if found:
        return failed("; ".join(found))
    return passed("%d databases, nothing found" % len(facts["catalogs"]))


def lints(catalogs: Mapping[str, Mapping[str, Any]], words: Mapping[str, str]) -> list[str]:
    """What was found, a sentence for each kind and database; databases that could not be asked too."""
    told = []
    for database, found in catalogs.items():
        if "error" in found:
            told.append("%s cannot be asked: %s" % (database, found["error"]))
            continue
        for name, what in words.items():
            count, names = found[name]["count"], found[name]["names"]
            if count:
                more = " and %d more" % (count - len(names)) if count > len(names) else ""
                told.append("%s: %d %s (%s%s)" % (database, count, what, ", ".join(names), more))
    return told


_EXERCISE = "it %s: ask for it with postgres_preflight_exercise: [%s]"
_CATALOGS = ("sql", "catalogs")
_OBJECTS = "REINDEX, CREATE INDEX, ADD PRIMARY KEY, ALTER SEQUENCE … AS bigint, VACUUM FREEZE"

CAPACITY = (
    Check(
        "K01",
        "The disks have room",
        BLOCKER,
        k01,
        "free space, extend the disks or shorten postgres_server_retention_days",
        ("engine", "disks"),
        BOTH,
        "disks",
    ),
    Check(
        "K02",
        "Commits are fast and really on the disk",
        WARNING,
        k02,
        "use a disk with a protected cache",
        ("container",),
    ),
    Check(
        "K03", "The server carries the wanted load", WARNING, k03, "give it more processors or a faster disk", ("sql",)
    ),
    Check("K04", "The pooler may open enough files", CRITICAL, k04, "lower postgres_pooler_max_clients", ("pools",)),
    Check(
        "K05",
        "Clients come back after a restart",
        WARNING,
        k05,
        "read docker logs; let applications try again",
        ("sql",),
    ),
    Check("K06", "No object of a database is a trap", WARNING, k06, _OBJECTS, _CATALOGS),
)
