# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.watched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: watched
short_description: How a monitoring machine reaches the instances of an inventory
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - An instance on the same machine is reached over its Docker network, one on another machine at the addresses that its
    server and its keeper are bound to.
  - Two hosts share a machine when both are reached without a connection (C(ansible_connection=local)), or at the same
    C(ansible_host).
  - Fails for an instance on another machine that is bound to the loopback, and says which variable to set.
positional: _input, hostvars, name
options:
  _input:
    description: Names of the instances.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  name:
    description: The host that watches.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show how this machine reaches each instance
  ansible.builtin.debug:
    msg: "{{ groups.postgres | pgkeep.postgres.watched(hostvars, inventory_hostname) }}"

- name: Show the networks of those that are on this machine
  ansible.builtin.debug:
    msg: "{{ groups.postgres | pgkeep.postgres.watched(hostvars, 'watcher') | map(attribute='network') | unique }}"

# Fails with: app cannot be watched from watcher. Why: it is another machine and the keeper is bound to 127.0.0.1.
# Next: set postgres_server_keeper_bind_address to an address of app in a private network and deploy it.
- name: Ask for one that only its own machine reaches
  ansible.builtin.debug:
    msg: "{{ ['app'] | pgkeep.postgres.watched({'app': {}, 'watcher': {}}, 'watcher') }}"
"""

RETURN = r"""
_value:
  description: The instances, each with its addresses as host and port.
  type: list
  elements: dict
  sample:
    - name: shop-db
      cluster: shop-db
      local: false
      network: ""
      keeper: 192.0.2.11:9432
      server: 192.0.2.11:5432
"""

from dataclasses import asdict
from typing import Any, Callable, Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitoring import watch

READ = (
    "ansible_host",
    "postgres_monitoring_cluster",
    "postgres_server_bind_address",
    "postgres_server_keeper_bind_address",
    "postgres_server_keeper_http",
    "postgres_server_keeper_port",
    "postgres_server_network",
    "postgres_server_port",
)


def watched(hosts: Iterable[str], hostvars: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    place = _place(name, hostvars[name])
    try:
        return [
            asdict(watch(host, _read(hostvars[host]), _place(host, hostvars[host]) == place, name)) for host in hosts
        ]
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from None


def _read(variables: Any) -> dict[str, Any]:
    return {key: value for key in READ if (value := _get(variables, key, None)) is not None}


def _get(variables: Any, name: str, default: Any) -> Any:
    """A variable of another host: there, and perhaps without a value."""
    try:
        return variables[name]
    except KeyError:
        return default


def _place(host: str, variables: Any) -> tuple[str, str]:
    if _get(variables, "ansible_connection", "") == "local":
        return ("local", "")
    return ("address", str(_get(variables, "ansible_host", host)))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"watched": watched}
