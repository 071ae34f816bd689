# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the machine (H). Pure. Private to the collection."""

from __future__ import annotations

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
# The oldest one that its makers still mend (kernel.org, Longterm).
OLDEST_KERNEL = (5, 10)
MOST_SWAPPINESS = 10
MIN_OPEN_FILES = 65536


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


def h03(facts: Facts) -> Outcome:
    kernel = facts["host"]["kernel"]
    evidence = "Linux %s, cgroup v%d" % (kernel["release"], kernel["cgroup"])
    return verdict_of(numbers(kernel["release"])[:2] >= OLDEST_KERNEL and kernel["cgroup"] == 2, evidence)


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


def h07(facts: Facts) -> Outcome:
    kernel = facts["host"]["kernel"]
    if not kernel["swap_bytes"]:
        return passed("no swap")
    evidence = "%s of swap, vm.swappiness is %d" % (human(kernel["swap_bytes"]), kernel["swappiness"])
    return verdict_of(kernel["swappiness"] <= MOST_SWAPPINESS, evidence)


def h08(facts: Facts) -> Outcome:
    """Without either a process that takes too much memory lets the kernel kill a backend, and all end with it."""
    mode, limit = facts["host"]["kernel"]["overcommit"], facts["container"]["inspect"]["HostConfig"]["Memory"]
    evidence = "vm.overcommit_memory is %d, the server's limit %s" % (mode, human(limit) if limit else "none")
    return verdict_of(mode == 2 or limit > 0, evidence)


def h09(facts: Facts) -> Outcome:
    mode = facts["host"]["kernel"]["huge_pages"]
    return verdict_of(mode != "always", "transparent huge pages: %s" % (mode or "none in this kernel"))


def h11(facts: Facts) -> Outcome:
    found = facts["host"]["updates"]
    if found is None:
        return skipped("no apt: make sure that nothing restarts the engine at noon")
    problems = []
    if found["reboots"]:
        problems.append("the machine reboots by itself after upgrades")
    if found["unattended"] and not (found["spares_engine"] or facts["engine"]["live_restore"]):
        problems.append("unattended upgrades restart Docker and with it every server")
    if found["reboot_required"]:
        problems.append("a reboot is due")
    return failed("; ".join(problems)) if problems else passed("nothing restarts the engine by itself")


def h12(facts: Facts) -> Outcome:
    allowed = facts["host"]["engine_open_files"]
    if allowed is None:
        return skipped("the engine's process cannot be seen from here")
    return verdict_of(allowed >= MIN_OPEN_FILES, "the engine may open %s files" % files_words(allowed))


def files_words(allowed: int) -> str:
    return "any number of" if allowed >= 2**62 else str(allowed)


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


_DEBIAN = "use Debian 12 or 13 on x86_64 or aarch64"
_LIMIT = "set postgres_server_memory, or sysctl vm.overcommit_memory=2"
_THP = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, at every boot"
_UPGRADES = "blacklist docker and containerd in unattended-upgrades; reboot in a maintenance window"

HOST = (
    Check("H01", "The system is supported", BLOCKER, h01, _DEBIAN, ("host",), BOTH, root="host"),
    Check("H02", "Python and its libraries are there", BLOCKER, h02, "run the role docker_host", ("host",), BOTH),
    Check("H03", "The kernel is kept and knows cgroup v2", WARNING, h03, "upgrade; boot with cgroup v2", ("host",)),
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
    Check("H07", "The machine hardly swaps", WARNING, h07, "sysctl vm.swappiness=10", ("host",)),
    Check("H08", "Memory that runs out kills no backend", WARNING, h08, _LIMIT, ("host", "container")),
    Check("H09", "Huge pages are not forced on everybody", WARNING, h09, _THP, ("host",)),
    Check("H10", "Huge pages fit the setting", CRITICAL, h10, "set huge_pages to off or reserve more", ("host", "sql")),
    Check("H11", "Nothing restarts the engine by itself", WARNING, h11, _UPGRADES, ("host", "engine")),
    Check("H12", "The engine may open enough files", WARNING, h12, "LimitNOFILE=infinity in docker.service", ("host",)),
    Check(
        "H13",
        "The port is free or ours",
        BLOCKER,
        h13,
        "choose another port or end who holds it",
        ("engine", "port"),
        BOTH,
        "port",
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
