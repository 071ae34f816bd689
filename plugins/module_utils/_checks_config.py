# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the settings (P). Pure. Private to the collection."""

from __future__ import annotations

from ._checks import BLOCKER, BOTH, CRITICAL, Check, Facts, Outcome, failed, not_yet, passed, skipped, verdict_of
from ._settings import declared_budget, running_budget, running_bytes
from ._units import human


def _settings(facts: Facts, *names: str) -> dict[str, str]:
    return {name: str(facts["sql"]["settings"][name]["setting"]) for name in names}


def _words(settings: dict[str, str]) -> str:
    return ", ".join("%s=%s" % item for item in settings.items())


def p01(facts: Facts) -> Outcome:
    found = _settings(facts, "fsync", "full_page_writes", "synchronous_commit", "wal_sync_method")
    durable = found["fsync"] == found["full_page_writes"] == "on" and found["synchronous_commit"] != "off"
    default = facts["sql"]["settings"]["wal_sync_method"]["boot"]
    return verdict_of(durable and found["wal_sync_method"] == default, _words(found))


def p02(facts: Facts) -> Outcome:
    found = _settings(facts, "data_checksums")
    return verdict_of(found["data_checksums"] == "on", _words(found))


def p03(facts: Facts) -> Outcome:
    found = _settings(facts, "autovacuum")
    return verdict_of(found["autovacuum"] == "on", _words(found))


def p04(facts: Facts) -> Outcome:
    errors = ["%(file)s line %(line)s: %(name)s: %(error)s" % error for error in facts["sql"]["file_errors"]]
    errors += ["%s waits for a restart" % name for name in facts["sql"]["pending"]]
    errors += ["pg_hba.conf line %(line)s: %(error)s" % rule for rule in facts["sql"]["hba"] if rule["error"]]
    return failed("; ".join(errors)) if errors else passed("every line is in force")


def p05(facts: Facts) -> Outcome:
    """Before a deploy from what is declared, after it from what runs."""
    if "sql" in facts:
        limit = facts["container"]["inspect"]["HostConfig"]["Memory"]
        memory = min(filter(None, (limit, facts["engine"]["memory_bytes"])))
        budget = running_budget(memory, facts["sql"]["settings"])
    else:
        declared = facts["declared"]
        if declared["memory_bytes"] is None or not declared["settings"]:
            return skipped("no memory or no settings are declared")
        budget = declared_budget(declared["memory_bytes"], declared["settings"])
    return verdict_of(budget.fits, budget.words())


def p06(facts: Facts) -> Outcome:
    if "data" not in facts["disks"]:
        return skipped("the data volume cannot be seen from here")
    size, free = running_bytes(facts["sql"]["settings"]["max_wal_size"]) or 0, facts["disks"]["data"]["free_bytes"]
    evidence = "max_wal_size %s, %s free" % (human(size), human(free))
    slots = facts["sql"]["slots"]
    if slots and _settings(facts, "max_slot_wal_keep_size")["max_slot_wal_keep_size"] == "-1":
        return failed("%s; %d replication slots without max_slot_wal_keep_size" % (evidence, slots))
    return verdict_of(size <= 0.4 * free, evidence)


def p07(facts: Facts) -> Outcome:
    found = _settings(facts, "wal_level", "archive_mode")
    return verdict_of(found["wal_level"] in ("replica", "logical") and found["archive_mode"] != "off", _words(found))


_BUDGET = "lower connections or work_mem, or give more memory"
_SQL = ("sql",)

CONFIG = (
    Check("P01", "What is committed is on the disk", BLOCKER, p01, "remove these settings", _SQL, root=True),
    Check("P02", "Data checksums are on", CRITICAL, p02, "pg_checksums --enable on the stopped server", _SQL),
    Check("P03", "Autovacuum is on", BLOCKER, p03, "remove the setting", _SQL),
    Check("P04", "Every setting is in force", CRITICAL, p04, "restart, or correct the line", _SQL),
    Check("P05", "The worst case fits the memory", CRITICAL, p05, _BUDGET, ("container", "engine", "sql"), BOTH),
    Check("P06", "The WAL fits the disk", CRITICAL, p06, "lower max_wal_size, bound the slots", ("sql", "disks")),
    Check("P07", "WAL is archived", BLOCKER, p07, "run the playbook deploy.yml", _SQL),
    Check("P09", "Pools fit the connections", CRITICAL, not_yet("this release has no pooler to look at"), ""),
)
