# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.neighbours."""

from __future__ import annotations

DOCUMENTATION = r"""
name: neighbours
short_description: The other instances of an inventory on the same machine
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Finds the hosts of the inventory that share the machine of one of them, and what they declare about their limits
    and ports, for the option O(pgkeep.postgres.preflight#module:neighbours).
  - Two hosts share a machine when both are reached without a connection (C(ansible_connection=local)), or at the same
    C(ansible_host).
positional: _input, hostvars, name
options:
  _input:
    description: Names of the hosts to look at.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  name:
    description: The host whose neighbours are looked for.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show who shares the machine
  ansible.builtin.debug:
    msg: "{{ groups.postgres | pgkeep.postgres.neighbours(hostvars, inventory_hostname) | map(attribute='name') }}"

- name: Judge whether all of them fit
  pgkeep.postgres.preflight:
    name: "{{ inventory_hostname }}"
    phase: before
    memory: 4GB
    neighbours: "{{ groups.postgres | pgkeep.postgres.neighbours(hostvars, inventory_hostname) }}"

# Fails with: The preset 'huge' is unknown. Why: known are small, medium, large. Next: correct postgres_server_preset.
- name: Find a neighbour whose preset is none
  ansible.builtin.debug:
    msg: "{{ ['wiki'] | pgkeep.postgres.neighbours({'app': here, 'wiki': here}, 'app') }}"
  vars:
    here: {ansible_connection: local, postgres_server_preset: huge}
"""

RETURN = r"""
_value:
  description: The neighbours, each with what it declares or would get by default.
  type: list
  elements: dict
  sample:
    - name: wiki-db
      memory: 1GB
      cpus: 1.0
      profile: web
      settings: {}
      keeper_memory: 512MB
      bind_address: 127.0.0.1
      port: 5433
      keeper_bind_address: 127.0.0.1
      keeper_port: 9433
"""

from typing import Any, Callable, Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._presets import preset

# What the roles postgres_server and postgres_pooler say, whose defaults are not among the variables of another host.
DEFAULTS = {
    "postgres_server_settings": {},
    "postgres_server_keeper_memory": "512MB",
    "postgres_server_bind_address": "127.0.0.1",
    "postgres_server_port": 5432,
    "postgres_server_keeper_bind_address": "127.0.0.1",
}
# From the port of the server to that of its keeper.
KEEPER_DISTANCE = 4000
POOLER = {"postgres_pooler_memory": "128MB", "postgres_pooler_port": 6432}


def neighbours(hosts: Iterable[str], hostvars: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    try:
        place = _place(name, hostvars[name])
        return [
            _declared(host, hostvars[host]) for host in hosts if host != name and _place(host, hostvars[host]) == place
        ]
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from None


def _get(variables: Any, name: str, default: Any) -> Any:
    """A variable of another host: there, and perhaps without a value."""
    try:
        return variables[name]
    except KeyError:
        return default


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "yes", "1", "on")


def _place(host: str, variables: Any) -> tuple[str, str]:
    if _get(variables, "ansible_connection", "") == "local":
        return ("local", "")
    return ("address", str(_get(variables, "ansible_host", host)))


def _declared(host: str, variables: Any) -> dict[str, Any]:
    limits = preset(str(_get(variables, "postgres_server_preset", "small")))
    wanted = {"postgres_server_" + key: limits[key] for key in ("memory", "cpus", "profile")}
    wanted.update(DEFAULTS)
    if _is_true(_get(variables, "postgres_pooler_enabled", False)):
        wanted.update(POOLER)
    found = {name: _get(variables, name, default) for name, default in wanted.items()}
    if _is_true(_get(variables, "postgres_server_keeper_http", True)):
        default = int(found["postgres_server_port"]) + KEEPER_DISTANCE
        found["postgres_server_keeper_port"] = _get(variables, "postgres_server_keeper_port", default)
    return {
        "name": host,
        **{name.replace("postgres_server_", "").replace("postgres_", ""): found[name] for name in found},
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"neighbours": neighbours}
