# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits under a name, and who shares a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.filter import neighbours as beside
from ansible_collections.pgkeep.postgres.plugins.filter.preset import FilterModule
from ansible_collections.pgkeep.postgres.plugins.module_utils._presets import PRESETS
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import tune

PRESET = FilterModule().filters()["preset"]
NEIGHBOURS = beside.FilterModule().filters()["neighbours"]
ROOT = Path(__file__).parents[4]


def defaults(role: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text())


@pytest.mark.parametrize(
    "name, memory, cpus, shared_buffers, connections",
    [("small", "1GB", 1, "256MB", 35), ("medium", "4GB", 2, "1GB", 147), ("large", "16GB", 4, "4GB", 300)],
)
def test_what_a_preset_gives_is_what_is_documented(
    name: str, memory: str, cpus: int, shared_buffers: str, connections: int
) -> None:
    limits = PRESET(name)
    tuned = tune(limits["memory"], limits["cpus"], limits["profile"], limits["disk"])
    assert (limits["memory"], limits["cpus"]) == (memory, cpus)
    assert (tuned["settings"]["shared_buffers"], tuned["connections"]) == (shared_buffers, connections)
    row = [name, memory.replace("GB", " GB"), str(cpus), limits["profile"], str(connections)]
    page = (ROOT / "docs/operations.md").read_text()
    assert any([cell.strip(" `") for cell in line.split("|")[1:6]] == row for line in page.splitlines()), row


def test_the_specification_knows_the_same_names() -> None:
    specification = yaml.safe_load((ROOT / "roles/postgres_server/meta/argument_specs.yml").read_text())
    option = specification["argument_specs"]["main"]["options"]["postgres_server_preset"]
    assert option["choices"] == list(PRESETS)
    # The filter of another host's variables has to know which one it is that nobody names.
    assert option["default"] == "small"


def test_another_name_is_told_with_those_that_are_known() -> None:
    with pytest.raises(
        AnsibleFilterError, match=r"The preset 'huge' is unknown\. Why: known are small, medium, large\."
    ):
        PRESET("huge")


def test_neighbours_have_the_defaults_of_the_roles() -> None:
    server, pooler = defaults("postgres_server"), defaults("postgres_pooler")
    assert {name: server[name] for name in beside.DEFAULTS} == beside.DEFAULTS
    assert {name: pooler[name] for name in beside.POOLER} == beside.POOLER


def test_who_is_reached_at_the_same_place_is_a_neighbour() -> None:
    hosts = {
        "app": {"ansible_host": "192.0.2.12"},
        "wiki": {
            "ansible_host": "192.0.2.12",
            "postgres_server_preset": "medium",
            "postgres_server_cpus": 1,
            "postgres_server_port": 5433,
            "postgres_pooler_enabled": "true",
        },
        "shop": {"ansible_host": "192.0.2.11"},
        "here": {"ansible_connection": "local", "ansible_host": "192.0.2.12"},
        "there": {"ansible_connection": "local"},
    }
    assert NEIGHBOURS(list(hosts), hosts, "app") == [
        {
            "name": "wiki",
            "memory": "4GB",
            "cpus": 1,
            "profile": "web",
            "settings": {},
            "keeper_memory": "512MB",
            "bind_address": "127.0.0.1",
            "port": 5433,
            "keeper_bind_address": "127.0.0.1",
            "keeper_port": 9433,
            "pooler_memory": "128MB",
            "pooler_port": 6432,
        }
    ]
    assert [found["name"] for found in NEIGHBOURS(list(hosts), hosts, "here")] == ["there"]
    assert NEIGHBOURS(list(hosts), hosts, "shop") == []


def test_a_neighbour_with_an_unknown_preset_is_told() -> None:
    hosts = {"app": {"ansible_host": "a"}, "wiki": {"ansible_host": "a", "postgres_server_preset": "huge"}}
    with pytest.raises(AnsibleFilterError, match="The preset 'huge' is unknown"):
        NEIGHBOURS(list(hosts), hosts, "app")
