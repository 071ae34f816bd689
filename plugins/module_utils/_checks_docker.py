# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the engine (D). Pure. Private to the collection."""

from __future__ import annotations

import ipaddress

from ._checks import BLOCKER, BOTH, CRITICAL, WARNING, Check, Facts, Outcome, failed, passed, skipped, verdict_of
from ._checks_capacity import DISK_WARNING, disk_words
from ._checks_host import numbers

OLDEST_API = (1, 41)
# overlayfs is what overlay2 is called when images live in containerd (Docker 29).
DRIVERS = ("overlay2", "overlayfs")


def d01(facts: Facts) -> Outcome:
    engine = facts["engine"]
    evidence = "engine %s, API %s" % (engine["version"], engine["api_version"])
    return verdict_of(numbers(engine["api_version"]) >= OLDEST_API, evidence)


def d02(facts: Facts) -> Outcome:
    engine = facts["engine"]
    good = engine["driver"] in DRIVERS and engine["backing"] in ("extfs", "xfs", "")
    return verdict_of(good, "%s on %s" % (engine["driver"], engine["backing"] or "an unnamed file system"))


def d03(facts: Facts) -> Outcome:
    """Whether containers survive a restart of the engine."""
    engine = facts["engine"]
    if engine["swarm"]:
        return skipped("the engine is in a swarm, which does not know live-restore")
    return verdict_of(engine["live_restore"], "live-restore is %s" % ("on" if engine["live_restore"] else "off"))


def d05(facts: Facts) -> Outcome:
    host = facts["host"]
    open_api = [warning for warning in facts["engine"]["warnings"] if "API is accessible on http" in warning]
    if open_api or host["engine_tcp"]:
        return failed(open_api[0] if open_api else "somebody listens on TCP 2375")
    mode = host["engine_socket"]
    if mode is not None and mode & 0o007:
        return failed("the engine's socket has mode %04o: everybody on the machine is root" % mode)
    return passed("no TCP, socket mode %s" % ("%04o" % mode if mode is not None else "unknown"))


def d06(facts: Facts) -> Outcome:
    found = facts["engine"]["insecure_registries"]
    return failed("trusted without TLS: %s" % ", ".join(found)) if found else passed("none is trusted without TLS")


def d07(facts: Facts) -> Outcome:
    disk = facts["engine"]["root_disk"]
    if disk is None:
        return skipped("the folder of the engine cannot be seen from here")
    return verdict_of(disk["used_percent"] < DISK_WARNING, disk_words(disk))


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


def d10(facts: Facts) -> Outcome:
    """AppArmor and SELinux are two ways to the same; a kernel has at most one of them."""
    found = [option.partition(",")[0] for option in facts["engine"]["security"]]
    evidence = "the engine confines by %s" % (", ".join(found) or "nothing")
    return verdict_of("seccomp" in found and bool({"apparmor", "selinux"} & set(found)), evidence)


_LIVE = 'write {"live-restore": true} in /etc/docker/daemon.json and reload the engine'

DOCKER = (
    Check(
        "D01",
        "The engine answers and is new enough",
        BLOCKER,
        d01,
        "start or upgrade Docker",
        ("engine",),
        BOTH,
        "engine",
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
    Check("D03", "Servers survive a restart of the engine", WARNING, d03, _LIVE, ("engine",)),
    Check(
        "D05",
        "Nobody else can be root by the engine",
        BLOCKER,
        d05,
        "remove -H tcp; socket 0660",
        ("engine", "host"),
        BOTH,
    ),
    Check("D06", "No registry is trusted without TLS", WARNING, d06, "remove insecure-registries", ("engine",)),
    Check("D07", "The engine's folder has room", WARNING, d07, "free space or give it an own disk", ("engine",), BOTH),
    Check(
        "D08", "Published ports obey a firewall", CRITICAL, d08, "bind to 127.0.0.1 or filter", ("container", "host")
    ),
    Check("D09", "The engine starts with the machine", CRITICAL, d09, "systemctl enable docker containerd", ("host",)),
    Check("D10", "The kernel confines containers", WARNING, d10, "install and start apparmor", ("engine",)),
)
