# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the machine (H), the engine (D) and the room on the disks (K). Pure. Private to the collection."""

from __future__ import annotations

import ipaddress

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
from ._container import NANO
from ._host_budget import host_budget, same_port
from ._units import human

# Systems on which everything of ours was run; others may work.
TRIED_SYSTEMS = {"debian": ("12", "13")}
MACHINES = ("x86_64", "aarch64")
OLDEST_PYTHON = (3, 9)
OLDEST_API = (1, 41)
# overlayfs is what overlay2 is called when images live in containerd (Docker 29).
DRIVERS = ("overlay2", "overlayfs")
DISK_WARNING, DISK_BLOCKER, INODES_WARNING = 70, 85, 80


def numbers(version: str) -> tuple[int, ...]:
    """1.41 -> (1, 41); anything after the digits of a part is left out."""
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version.split(".")[:3])


def h01(facts: Facts) -> Outcome:
    host = facts["host"]
    system = host["system"]
    evidence = "%s, %s, %d bit" % (system["name"] or "unknown system", host["machine"], host["bits"])
    if host["machine"] not in MACHINES or host["bits"] != 64:
        return failed(evidence)
    known = system["version"] in TRIED_SYSTEMS.get(system["id"], ())
    return passed(evidence) if known else warned(evidence + ": not tried")


def h02(facts: Facts) -> Outcome:
    host = facts["host"]
    missing = []
    if numbers(host["python"])[:2] < OLDEST_PYTHON:
        missing.append("Python %d.%d or newer" % OLDEST_PYTHON)
    if host["psycopg2"] is None:
        missing.append("python3-psycopg2")
    if host["docker_cli"] is None:
        missing.append("the command docker")
    if missing:
        return failed("missing: %s (Python %s)" % (", ".join(missing), host["python"]))
    return passed("Python %s, psycopg2 %s, %s" % (host["python"], host["psycopg2"], host["docker_cli"]))


def h04(facts: Facts) -> Outcome:
    """The limits of all containers must fit the machine together, ours in the declared size where one is declared."""
    budget = host_budget(facts)
    words = "limits of %d instances and others %s, memory %s" % (
        len(budget.rows),
        human(budget.memory_total),
        human(budget.memory_bytes),
    )
    if budget.memory_overcommit != 1:
        words += ", accepted %g times" % budget.memory_overcommit
    if budget.unlimited:
        words += "; without a limit: %s" % ", ".join(budget.unlimited)
    return verdict_of(budget.memory_fits, words)


def h05(facts: Facts) -> Outcome:
    """One instance may have what there is, all together more, since few want it at once."""
    wanted, budget = facts["declared"]["wants"]["cpus"], host_budget(facts)
    if not wanted and "container" in facts:
        wanted = facts["container"]["inspect"]["HostConfig"]["NanoCpus"] / NANO
    if not wanted:
        return skipped("no processors are declared")
    words = "%g wanted, %d there" % (wanted, budget.processors)
    if not budget.cpus_fit:
        words += "; all servers want %g, accepted %g times" % (budget.cpus_total, budget.cpu_overcommit)
    return verdict_of(wanted <= budget.processors and budget.cpus_fit, words)


def h06(facts: Facts) -> Outcome:
    synchronised = facts["host"]["clock_synchronised"]
    if synchronised is None:
        return skipped("timedatectl gives no answer: make sure that the clock is synchronised")
    return verdict_of(synchronised == "yes", "NTPSynchronized=%s" % synchronised)


def h10(facts: Facts) -> Outcome:
    pages, settings = facts["host"]["huge_pages"], facts["sql"]["settings"]
    mode = settings["huge_pages"]["setting"]
    if mode == "off":
        return passed("huge_pages is off")
    # PostgreSQL tells it from 15 on.
    need = int(settings.get("shared_memory_size_in_huge_pages", {"setting": "0"})["setting"])
    evidence = "huge_pages is %s, %d pages needed, %d of %d free" % (mode, need, pages["free"], pages["total"])
    # With none reserved, try falls back to normal pages; with too few of them it can die with SIGBUS.
    return verdict_of((pages["total"] == 0 and mode == "try") or pages["free"] >= need, evidence)


def h13(facts: Facts) -> Outcome:
    declared = facts["declared"]
    wants, name = declared["wants"], declared["name"]
    asked = (
        ("postgres_server_port", facts["port"], name),
        ("postgres_pooler_port", facts.get("pooler_port"), name + "-pooler"),
        ("postgres_server_keeper_port", facts.get("keeper_port"), name + "-keeper"),
    )
    found = [(word, port, own) for word, port, own in asked if port is not None]
    if not found and "container" in facts and facts["container"]["addresses"]:
        return passed("published by the instance itself")
    if not found:
        return skipped("no port is declared")
    taken, fine = same_port(facts), []
    for word, port, own in found:
        where = "%s:%s" % (wants["addresses"][word], wants["ports"].get(word))
        if port["error"] is None:
            fine.append("%s is free" % where)
        elif port["holder"] == "container %s" % own:
            fine.append("%s is published by the instance itself" % where)
        else:
            holder = ", held by %s" % port["holder"] if port["holder"] else ""
            taken.append("%s: %s%s" % (where, port["error"], holder))
    return failed("; ".join(taken)) if taken else passed("; ".join(fine))


def h14(facts: Facts) -> Outcome:
    """New instances alone: what the others may still write, nobody knows who has just room for it."""
    budget = host_budget(facts)
    if not budget.wal_total:
        return passed("no new instance")
    if not budget.free_bytes:
        return skipped("the folder of the engine cannot be seen from here")
    words = "new instances may write %s of WAL, %s are free" % (human(budget.wal_total), human(budget.free_bytes))
    return verdict_of(budget.disk_fits, words)


def d01(facts: Facts) -> Outcome:
    engine = facts["engine"]
    evidence = "engine %s, API %s" % (engine["version"], engine["api_version"])
    return verdict_of(numbers(engine["api_version"]) >= OLDEST_API, evidence)


def d02(facts: Facts) -> Outcome:
    engine = facts["engine"]
    good = engine["driver"] in DRIVERS and engine["backing"] in ("extfs", "xfs", "")
    return verdict_of(good, "%s on %s" % (engine["driver"], engine["backing"] or "an unnamed file system"))


def d05(facts: Facts) -> Outcome:
    host = facts["host"]
    open_api = [warning for warning in facts["engine"]["warnings"] if "API is accessible on http" in warning]
    if open_api or host["engine_tcp"]:
        return failed(open_api[0] if open_api else "somebody listens on TCP 2375")
    mode = host["engine_socket"]
    if mode is not None and mode & 0o007:
        return failed("the engine's socket has mode %04o: everybody on the machine is root" % mode)
    return passed("no TCP, socket mode %s" % ("%04o" % mode if mode is not None else "unknown"))


def d07(facts: Facts) -> Outcome:
    disk = facts["engine"]["root_disk"]
    if disk is None:
        return skipped("the folder of the engine cannot be seen from here")
    return verdict_of(disk["used_percent"] < DISK_WARNING, disk_words(disk))


def disk_words(disk: Facts) -> str:
    return "%(path)s: %(used_percent)s %% used, %(inodes_percent)s %% of the inodes" % disk


def d08(facts: Facts) -> Outcome:
    addresses = facts["container"]["addresses"]
    exposed = [address for address in addresses if not is_private(address)]
    if not addresses:
        return passed("no port is published")
    if not exposed:
        return passed("published on %s" % ", ".join(addresses))
    rules = facts["host"]["docker_user_rules"]
    if rules is None:
        return failed("published on %s, and the chain DOCKER-USER cannot be read" % ", ".join(exposed))
    filtered = [rule for rule in rules.splitlines() if " -j DROP" in rule or " -j REJECT" in rule]
    evidence = "published on %s, DOCKER-USER refuses with %d rules" % (", ".join(exposed), len(filtered))
    return verdict_of(bool(filtered), evidence)


def is_private(address: str) -> bool:
    """Whether nobody on the Internet reaches address; an address for all is not private."""
    found = ipaddress.ip_address(address)
    return not found.is_unspecified and (found.is_loopback or found.is_private)


def d09(facts: Facts) -> Outcome:
    enabled = facts["host"]["docker_enabled"]
    if enabled is None:
        return skipped("no systemd: make sure that the engine starts with the machine")
    return verdict_of(enabled == "enabled", "docker.service is %s" % enabled)


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


HOST = (
    Check("H01", "The system is supported", BLOCKER, h01, "use Debian 12 or 13 on x86_64 or aarch64", ("host",), BOTH),
    Check("H02", "Python and its libraries are there", BLOCKER, h02, "run the role docker_host", ("host",), BOTH),
    Check("H04", "The memory holds all limits", BLOCKER, h04, "lower memory limits or add memory", ("engine",), BOTH),
    Check(
        "H05",
        "The processors are there",
        CRITICAL,
        h05,
        "lower postgres_server_cpus, or accept more with postgres_preflight_cpu_overcommit",
        ("engine",),
        BOTH,
    ),
    Check("H06", "The clock is synchronised", CRITICAL, h06, "install and start chrony", ("host",)),
    Check("H10", "Huge pages fit the setting", CRITICAL, h10, "set huge_pages to off or reserve more", ("host", "sql")),
    Check(
        "H13",
        "The port is free or ours",
        BLOCKER,
        h13,
        "choose another port or end who holds it",
        ("engine", "port"),
        BOTH,
    ),
    Check(
        "H14",
        "The disk holds the WAL of new instances",
        BLOCKER,
        h14,
        "lower max_wal_size or extend the disk",
        ("engine",),
        (BEFORE,),
    ),
)

DOCKER = (
    Check(
        "D01", "The engine answers and is new enough", BLOCKER, d01, "start or upgrade Docker", ("engine",), BOTH, True
    ),
    Check(
        "D02",
        "The storage driver is overlay2",
        CRITICAL,
        d02,
        "move the engine's folder to ext4 or xfs",
        ("engine",),
        BOTH,
    ),
    Check(
        "D05",
        "Nobody else can be root by the engine",
        BLOCKER,
        d05,
        "remove -H tcp; socket 0660",
        ("engine", "host"),
        BOTH,
    ),
    Check("D07", "The engine's folder has room", WARNING, d07, "free space or give it an own disk", ("engine",), BOTH),
    Check(
        "D08", "Published ports obey a firewall", CRITICAL, d08, "bind to 127.0.0.1 or filter", ("container", "host")
    ),
    Check("D09", "The engine starts with the machine", CRITICAL, d09, "systemctl enable docker containerd", ("host",)),
)

CAPACITY = (
    Check(
        "K01",
        "The disks have room",
        BLOCKER,
        k01,
        "free space, extend the disks or shorten postgres_server_retention_days",
        ("engine", "disks"),
        BOTH,
    ),
)
