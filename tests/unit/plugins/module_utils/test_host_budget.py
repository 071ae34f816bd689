# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All instances of a machine together, beside what it has."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._host_budget import Row, host_budget, wants
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import answer, judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._units import GB, MB

from .recorded import load

BEFORE = load("preflight/before.json")


def container(name: str, memory: int, cpus: float = 0.0, **more: Any) -> dict[str, Any]:
    values = {"name": name, "instance": None, "role": None, "running": True, "memory_bytes": memory, "cpus": cpus}
    return {**values, "published": [], **more}


def machine(*containers: dict[str, Any], **declared: Any) -> dict[str, Any]:
    """8 GB, 2 processors, 10 GB of free disk; app is declared with 2 GB and a keeper of 512 MB."""
    mine = wants({"name": "app", "memory": "2GB", "keeper_memory": "512MB", "cpus": 1, "port": 5432})
    return {
        **BEFORE,
        "engine": {
            **BEFORE["engine"],
            "memory_bytes": 8 * GB,
            "processors": 2,
            "root_disk": {**BEFORE["engine"]["root_disk"], "free_bytes": 10 * GB},
            "containers": list(containers),
        },
        "declared": {**BEFORE["declared"], "name": "app", "wants": mine, **declared},
        "port": {"error": None, "holder": None},
    }


def neighbour(name: str, memory: str = "2GB", **more: Any) -> dict[str, Any]:
    return wants({"name": name, "memory": memory, "keeper_memory": "512MB", "cpus": 1, "port": 5433, **more})


def result_of(facts: dict[str, Any], id: str) -> tuple[str, str]:
    found = next(check for check in judge(facts, "before", {})["checks"] if check["id"] == id)
    return found["result"], found["evidence"]


def test_what_is_declared_counts_and_so_does_what_runs_and_is_not() -> None:
    facts = machine(
        # Mine, smaller than it is to be, and the keeper that I have.
        container("app", 1 * GB, 1.0, instance="app", role="server"),
        container("app-keeper", 512 * MB, 1.0, instance="app", role="keeper"),
        # Another instance, which this inventory does not know, with a copy that a drill has made.
        container("shop", 1 * GB, 1.5, instance="shop", role="server"),
        container("shop-keeper", 256 * MB, 1.0, instance="shop", role="keeper"),
        container("shop-drill", 512 * MB, 1.0, instance="shop", role="restore"),
        # Strangers: one without a limit, one that does not run.
        container("web", 0, 0.5),
        container("old", 4 * GB, 4.0, running=False),
        neighbours=[neighbour("wiki-db", "1GB", pooler_memory="128MB")],
    )
    budget = host_budget(facts)
    assert budget.rows == (
        Row("app", 2560 * MB, 1.0),
        Row("shop", 1792 * MB, 1.5),
        Row("web", 0, 0.5),
        Row("wiki-db", 1664 * MB, 1.0, 2 * GB),
    )
    assert (budget.memory_total, budget.cpus_total, budget.wal_total) == (6016 * MB, 4.0, 2 * GB)
    assert budget.unlimited == ("web",)
    assert result_of(facts, "H04") == (
        "pass",
        "limits of 4 instances and others 5.9 GB, memory 8 GB; without a limit: web",
    )
    assert result_of(facts, "H05")[0] == "pass"
    assert result_of(facts, "H14") == ("pass", "new instances may write 2 GB of WAL, 10 GB are free")


def test_instances_of_one_inventory_that_do_not_fit_together_are_refused_with_the_table() -> None:
    """None of them runs yet, so each alone would fit."""
    facts = machine(neighbours=[neighbour("shop", "4GB"), neighbour("wiki-db", "2GB")])
    result = answer(judge(facts, "before", {}), True, host_budget(facts).table())
    assert result["failed"]
    *lines, explained = result["error"]["why"].splitlines()
    assert explained.startswith("memory is that of server, keeper and pooler")
    assert lines[0].startswith("H04 (The memory holds all limits) limits of 3 instances and others 9.5 GB, memory 8 GB")
    assert [line.split("  ")[0] for line in lines[1:]] == ["instance", "app", "shop", "wiki-db", "sum", "machine"]
    assert [" ".join(line.split()) for line in lines[2:4]] == ["app 2.5 GB 1 4 GB", "shop 4.5 GB 1 4 GB"]
    assert " ".join(lines[-2].split()) == "sum 9.5 GB 3 12 GB"
    assert " ".join(lines[-1].split()) == "machine 8 GB 2 x 4 10 GB"
    assert "H04" in result["error"]["next_step"]


def test_memory_is_promised_twice_only_where_somebody_wrote_it() -> None:
    neighbours = [neighbour("shop", "4GB"), neighbour("wiki-db", "2GB")]
    facts = machine(neighbours=neighbours, memory_overcommit=1.2)
    assert result_of(facts, "H04") == (
        "pass",
        "limits of 3 instances and others 9.5 GB, memory 8 GB, accepted 1.2 times",
    )


def test_processors_are_shared_up_to_the_factor() -> None:
    servers = [container("s%d" % i, 1, 1.0, instance="s%d" % i, role="server") for i in range(7)]
    assert result_of(machine(*servers), "H05")[0] == "pass"
    more = [*servers, container("s8", 1, 1.0, instance="s8", role="server")]
    assert result_of(machine(*more), "H05") == (
        "fail",
        "1 wanted, 2 there; all servers want 9, accepted 4 times",
    )
    assert result_of(machine(*more, cpu_overcommit=5.0), "H05")[0] == "pass"


def test_new_instances_must_find_room_for_their_wal() -> None:
    facts = machine(neighbours=[neighbour("shop", settings={"max_wal_size": "6GB"})])
    assert result_of(facts, "H14") == ("fail", "new instances may write 10 GB of WAL, 10 GB are free")
    # What is there has its WAL already, whether it runs or not.
    there = [container("shop", 1, instance="shop", role="server", running=False)]
    facts = machine(*there, neighbours=[neighbour("shop", settings={"max_wal_size": "6GB"})])
    assert result_of(facts, "H14")[0] == "pass"
    # A number without unit is megabytes.
    assert neighbour("shop", settings={"max_wal_size": 3072})["wal_bytes"] == 3 * GB


@pytest.mark.parametrize(
    "other, words",
    [
        ({"port": 5432}, "postgres_server_port 5432 is also the postgres_server_port of wiki-db"),
        ({"pooler_port": 5432}, "postgres_server_port 5432 is also the postgres_pooler_port of wiki-db"),
        ({"port": 5432, "bind_address": "0.0.0.0"}, "postgres_server_port 5432 is also"),
        ({"port": 5432, "bind_address": "192.0.2.7"}, ""),
        ({"keeper_port": 5432}, "postgres_server_port 5432 is also the postgres_server_keeper_port of wiki-db"),
        ({"keeper_port": 5432, "keeper_bind_address": "192.0.2.7"}, ""),
        ({"port": 5433}, ""),
    ],
)
def test_two_instances_of_one_machine_do_not_share_a_port(other: dict[str, Any], words: str) -> None:
    result, evidence = result_of(machine(neighbours=[neighbour("wiki-db", **other)]), "H13")
    assert result == ("fail" if words else "pass")
    assert evidence.startswith(words or "127.0.0.1:5432 is free")


def test_a_neighbour_that_cannot_be_counted_is_named() -> None:
    with pytest.raises(PgkeepError, match=r"The instance wiki-db cannot be counted: The keeper_memory 'lots'"):
        neighbour("wiki-db", keeper_memory="lots")
