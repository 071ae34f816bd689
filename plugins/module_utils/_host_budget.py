# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all instances of a machine may take together, beside what it has. Pure arithmetic. Private to the collection.

Counted is what the inventory declares for the machine, and what runs there and is not declared: other instances, known
by their labels, and containers of strangers. Memory is what server, keeper and pooler may use. Processors are those of
servers: the limits of keepers and poolers are there so that neither ever starves its server. Disk is the WAL that an
instance which is not there yet may fill; what is there is already part of what the disk has.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ._checks import Facts
from ._container import plain_address
from ._errors import PgkeepError
from ._layout import Layout
from ._tune import tune
from ._units import MB, human, parse_bytes, parse_cpus

# Processors are shared by time and seldom wanted by all at once. Memory that is promised twice kills a server.
CPU_OVERCOMMIT = 4.0
MEMORY_OVERCOMMIT = 1.0
# Of the space that is free, for everything else: from 85 % used on a deploy is refused anyway (K01).
_DISK_SHARE = 0.85


# Variable of a port -> what is declared under: the port, and the address that it is published on.
_PORTS = {
    "postgres_server_port": ("port", "bind_address"),
    "postgres_pooler_port": ("pooler_port", "bind_address"),
    "postgres_server_keeper_port": ("keeper_port", "keeper_bind_address"),
}


@dataclass(frozen=True)
class Row:
    """What one instance, or one container of a stranger, may take; bytes, processors."""

    name: str
    memory_bytes: int
    cpus: float
    wal_bytes: int = 0


@dataclass(frozen=True)
class HostBudget:
    rows: tuple[Row, ...]
    memory_bytes: int
    processors: int
    free_bytes: int
    memory_overcommit: float
    cpu_overcommit: float
    unlimited: tuple[str, ...]

    @property
    def memory_total(self) -> int:
        return sum(row.memory_bytes for row in self.rows)

    @property
    def cpus_total(self) -> float:
        return sum(row.cpus for row in self.rows)

    @property
    def wal_total(self) -> int:
        return sum(row.wal_bytes for row in self.rows)

    @property
    def memory_fits(self) -> bool:
        return self.memory_total <= self.memory_bytes * self.memory_overcommit

    @property
    def cpus_fit(self) -> bool:
        return self.cpus_total <= self.processors * self.cpu_overcommit

    @property
    def disk_fits(self) -> bool:
        return self.wal_total <= self.free_bytes * _DISK_SHARE

    def table(self) -> str:
        """For a person who was refused: each instance, the sum, what the machine has, and what it means."""
        lines = [("instance", "memory", "cpus", "new WAL")]
        lines += [(row.name, _size(row.memory_bytes), "%g" % row.cpus, _size(row.wal_bytes)) for row in self.rows]
        lines += [("sum", human(self.memory_total), "%g" % self.cpus_total, _size(self.wal_total))]
        memory = human(self.memory_bytes) + _factor(self.memory_overcommit)
        lines += [("machine", memory, "%d%s" % (self.processors, _factor(self.cpu_overcommit)), human(self.free_bytes))]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        rows = ["  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([*rows, "memory is that of server, keeper and pooler, cpus those of servers"])


def _size(size_bytes: int) -> str:
    return human(size_bytes) if size_bytes else "-"


def _factor(overcommit: float) -> str:
    return "" if overcommit == 1 else " x %g" % overcommit


def wants(instance: Mapping[str, Any]) -> dict[str, Any]:
    """One declared instance as numbers: name, memory (container -> bytes), cpus, wal_bytes, ports (variable -> number)
    and addresses (variable -> what that port is published on). instance has name and what is declared of memory,
    keeper_memory, pooler_memory, cpus, profile, settings, bind_address, port, pooler_port, keeper_bind_address and
    keeper_port. Raises PgkeepError with its name."""
    layout = Layout(instance["name"])
    sizes = {layout.server: "memory", layout.keeper: "keeper_memory", layout.pooler: "pooler_memory"}
    ports = {word: instance.get(key) for word, (key, _address) in _PORTS.items()}
    try:
        cpus = parse_cpus(instance["cpus"]) if instance.get("cpus") else 0.0
        return {
            "name": layout.name,
            "memory": {name: parse_bytes(instance[key], key) for name, key in sizes.items() if instance.get(key)},
            "cpus": cpus,
            "wal_bytes": _wal_bytes(instance, cpus),
            "ports": {word: int(port) for word, port in ports.items() if port},
            "addresses": {
                word: plain_address(instance.get(address) or "127.0.0.1") for word, (_key, address) in _PORTS.items()
            },
        }
    except PgkeepError as error:
        error.what = "The instance %s cannot be counted: %s" % (layout.name, error.what)
        raise


def _wal_bytes(instance: Mapping[str, Any], cpus: float) -> int:
    own = (instance.get("settings") or {}).get("max_wal_size")
    if own is None and instance.get("memory"):
        tuned = tune(instance["memory"], cpus or 1, instance.get("profile") or "web")
        own = tuned["settings"]["max_wal_size"]
    # A number without unit is megabytes (pg_settings.unit).
    return 0 if own is None else int(own) * MB if str(own).isdigit() else parse_bytes(own, "max_wal_size")


def host_budget(facts: Facts) -> HostBudget:
    """From the facts engine and declared."""
    engine, declared = facts["engine"], facts["declared"]
    running = [container for container in engine["containers"] if container["running"]]
    there = {container["name"] for container in engine["containers"]}
    memory = {container["name"]: container["memory_bytes"] for container in running}
    cpus = {container["name"]: _cpus(container) for container in running}
    owner = {container["name"]: container["instance"] or container["name"] for container in running}
    wal: dict[str, int] = {}
    for instance in _declared(declared):
        memory.update(instance["memory"])
        owner.update(dict.fromkeys(instance["memory"], instance["name"]))
        if instance["cpus"]:
            cpus[instance["name"]] = instance["cpus"]
            owner[instance["name"]] = instance["name"]
        if instance["name"] not in there:
            wal[instance["name"]] = instance["wal_bytes"]
    names = sorted({*owner.values(), *wal})
    return HostBudget(
        rows=tuple(
            Row(
                name,
                sum(memory.get(container, 0) for container in owner if owner[container] == name),
                sum(cpus.get(container, 0.0) for container in owner if owner[container] == name),
                wal.get(name, 0),
            )
            for name in names
        ),
        memory_bytes=engine["memory_bytes"],
        processors=engine["processors"],
        free_bytes=(engine["root_disk"] or {}).get("free_bytes", 0),
        memory_overcommit=declared["memory_overcommit"],
        cpu_overcommit=declared["cpu_overcommit"],
        unlimited=tuple(sorted(name for name, size in memory.items() if not size)),
    )


def _declared(declared: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [declared["wants"], *declared["neighbours"]]


def _cpus(container: Mapping[str, Any]) -> float:
    """Of servers and strangers; the others have a role that says what they are."""
    return float(container["cpus"]) if container["role"] in (None, "server") else 0.0


def same_port(facts: Facts) -> list[str]:
    """One sentence for each port that two declared instances of the machine want."""
    mine = facts["declared"]["wants"]
    return [
        "%s %d is also the %s of %s" % (word, port, other_word, other["name"])
        for other in facts["declared"]["neighbours"]
        for word, port in mine["ports"].items()
        for other_word, other_port in other["ports"].items()
        if port == other_port and _meet(mine["addresses"][word], other["addresses"][other_word])
    ]


def _meet(first: str, second: str) -> bool:
    """Whether two addresses cannot both publish one port: they are the same, or one is for all."""
    return first == second or any(ipaddress.ip_address(address).is_unspecified for address in (first, second))
