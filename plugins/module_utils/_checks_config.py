# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the settings (P). Pure. Private to the collection."""

from __future__ import annotations

import re

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
from ._checks_capacity import lints
from ._settings import declared_budget, running_budget, running_bytes
from ._units import human

# From so many on sessions cost more than they bring; a pooler costs less.
MANY_CONNECTIONS = 500
# What only works when the server loads it at its start.
_PRELOADED = ("pg_stat_statements", "pg_cron", "pgaudit", "timescaledb", "pg_squeeze", "set_user", "citus")
_OURS = ("pgkeep_monitor", "pgkeep_pooler", "postgres")


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
    if found["autovacuum"] != "on":
        return failed(_words(found))
    spared = lints(facts.get("catalogs") or {}, {"tables_without_autovacuum": "tables without autovacuum"})
    return warned("; ".join(spared)) if spared else passed(_words(found))


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


def p08(facts: Facts) -> Outcome:
    """A statement may be limited for all or for a role; what nobody limits holds its locks for ever."""
    timeouts = facts["sql"]["timeouts"]
    idle, everybody = (timeouts.get(name, "0") for name in ("idle_in_transaction_session_timeout", "statement_timeout"))
    evidence = "idle_in_transaction_session_timeout=%s, statement_timeout=%s" % (idle, everybody)
    if _is_off(idle):
        return failed(evidence)
    endless = [
        role["name"]
        for role in facts["sql"]["rights"]
        if role["name"] not in _OURS and _is_off(everybody) and "statement_timeout" not in role["settings"]
    ]
    if endless:
        return failed("%s; nothing ends a statement of %s" % (evidence, ", ".join(endless)))
    return passed(evidence)


def _is_off(timeout: str) -> bool:
    return re.match(r"0+\s*[a-z]*\Z", timeout) is not None


def p09(facts: Facts) -> Outcome:
    pools, settings = facts["pools"], _settings(facts, "max_connections", "superuser_reserved_connections")
    connections = int(settings["max_connections"])
    reserved = int(settings["superuser_reserved_connections"]) + _reserved(facts)
    words = "no pooler, max_connections=%d" % connections
    if pools is not None:
        words = "the pools may take %d connections, of %d without %d reserved"
        words %= (pools["connections"], connections, reserved)
        if pools["connections"] > connections - reserved:
            return failed(words)
    return warned(words + ": more than sessions are good for") if connections > MANY_CONNECTIONS else passed(words)


def _reserved(facts: Facts) -> int:
    """reserved_connections, which PostgreSQL knows from 16 on."""
    row = facts["sql"]["settings"].get("reserved_connections")
    return int(row["setting"]) if row else 0


def p10(facts: Facts) -> Outcome:
    superuser = int(_settings(facts, "superuser_reserved_connections")["superuser_reserved_connections"])
    words = "superuser_reserved_connections=%d" % superuser
    if "reserved_connections" not in facts["sql"]["settings"]:
        return verdict_of(superuser >= 3, words)
    others = _reserved(facts)
    return verdict_of(superuser >= 3 and others >= 2, "%s, reserved_connections=%d" % (words, others))


def p11(facts: Facts) -> Outcome:
    settings = facts["sql"]["settings"]
    cost, disk = float(settings["random_page_cost"]["setting"]), facts["declared"]["disk"]
    cache, buffers = (running_bytes(settings[name]) or 0 for name in ("effective_cache_size", "shared_buffers"))
    words = "random_page_cost=%g on %s, effective_cache_size %s, shared_buffers %s"
    evidence = words % (cost, disk, human(cache), human(buffers))
    return verdict_of((cost <= 2) == (disk != "hdd") and cache > buffers, evidence)


def p12(facts: Facts) -> Outcome:
    """What is looked for after every outage has to be in the log before it."""
    found = _settings(facts, "log_checkpoints", "log_lock_waits", "log_line_prefix")
    numbers = _settings(facts, "log_temp_files", "log_autovacuum_min_duration", "log_min_duration_statement")
    problems = ["%s is off" % name for name in ("log_checkpoints", "log_lock_waits") if found[name] != "on"]
    problems += ["%s is off" % name for name, value in numbers.items() if value == "-1"]
    prefix = found["log_line_prefix"]
    # Escapes of the manual; any of them tells the same.
    for what, letters in (("time", "mnt"), ("process", "pc"), ("user", "u"), ("database", "d")):
        if not re.search("%%-?[0-9]*[%s]" % letters, prefix):
            problems.append("log_line_prefix %r has no %s" % (prefix, what))
    return failed("; ".join(problems)) if problems else passed(_words(numbers))


def p13(facts: Facts) -> Outcome:
    found = _settings(facts, "shared_preload_libraries", "track_io_timing")
    return verdict_of("pg_stat_statements" in _libraries(facts) and found["track_io_timing"] == "on", _words(found))


def _libraries(facts: Facts) -> list[str]:
    words = _settings(facts, "shared_preload_libraries")["shared_preload_libraries"].split(",")
    return [word.strip().strip('"').rpartition("/")[2] for word in words]


def p14(facts: Facts) -> Outcome:
    """UTC, unless the inventory says otherwise."""
    declared = {str(name).lower(): str(value) for name, value in facts["declared"]["settings"].items()}
    found = _settings(facts, "TimeZone", "log_timezone")
    wanted = {name: declared.get(name.lower(), "UTC") for name in found}
    problems = [
        "%s is %s and not %s" % (name, found[name], zone) for name, zone in wanted.items() if found[name] != zone
    ]
    problems += [
        "%(name)s has the encoding %(encoding)s" % each
        for each in facts["sql"]["databases"]
        if each["encoding"] != "UTF8"
    ]
    return failed("; ".join(problems)) if problems else passed("%s, every database UTF8" % _words(found))


def p15(facts: Facts) -> Outcome:
    available, loaded, problems = facts["sql"]["extensions"], _libraries(facts), []
    installed = [
        (database, name, version)
        for database, found in facts["catalogs"].items()
        for name, version in found.get("extensions", {}).items()
    ]
    for database, name, version in installed:
        if name not in available:
            problems.append("%s of %s is not in the image" % (name, database))
        elif available[name] != version:
            problems.append("%s of %s is %s, the image has %s" % (name, database, version, available[name]))
        if name in _PRELOADED and name not in loaded:
            problems.append("%s of %s is not in shared_preload_libraries" % (name, database))
    return failed("; ".join(problems)) if problems else passed("%d extensions as the image has them" % len(installed))


_BUDGET = "lower connections or work_mem, or give more memory"
_SQL = ("sql",)
_REMOVE = "remove these settings from postgres_server_settings"
_ENDLESS = "set statement_timeout in postgres_server_settings, or ALTER ROLE … SET statement_timeout"
_POOLS = "lower postgres_pooler_size, or raise postgres_server_connections"
_EXTENSIONS = "run the playbook deploy.yml with -e postgres_server_extension_update=true"

CONFIG = (
    Check("P01", "What is committed is on the disk", BLOCKER, p01, "remove these settings", _SQL, root="sql"),
    Check("P02", "Data checksums are on", CRITICAL, p02, "pg_checksums --enable on the stopped server", _SQL),
    Check("P03", "Autovacuum is on", BLOCKER, p03, "remove the setting", _SQL),
    Check("P04", "Every setting is in force", CRITICAL, p04, "restart, or correct the line", _SQL),
    Check("P05", "The worst case fits the memory", CRITICAL, p05, _BUDGET, ("container", "engine", "sql"), BOTH),
    Check("P06", "The WAL fits the disk", CRITICAL, p06, "lower max_wal_size, bound the slots", ("sql", "disks")),
    Check("P07", "WAL is archived", BLOCKER, p07, "run the playbook deploy.yml", _SQL),
    Check("P08", "Nothing waits or runs for ever", WARNING, p08, _ENDLESS, _SQL),
    Check("P09", "Pools fit the connections", BLOCKER, p09, _POOLS, ("sql", "pools"), root="pools"),
    Check("P10", "An administrator still gets in", WARNING, p10, _REMOVE, _SQL),
    Check("P11", "The planner knows the disk", WARNING, p11, "correct postgres_server_disk, remove settings", _SQL),
    Check("P12", "The log has what is asked of it", WARNING, p12, _REMOVE, _SQL),
    Check("P13", "Statements and their reads are measured", WARNING, p13, _REMOVE, _SQL),
    Check("P14", "Time zone and encoding are as wanted", WARNING, p14, "remove the setting; dump into UTF8", _SQL),
    Check("P15", "Extensions are those of the image", WARNING, p15, _EXTENSIONS, ("sql", "catalogs")),
)
