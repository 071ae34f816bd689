# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.monitor_fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
name: monitor_fleet
short_description: Make one table of what was seen of many instances
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Makes one row of each result of M(pgkeep.postgres.monitor_info), the worst first. A host without a result, because
    it is unreachable or the module failed there, is a critical row with the reason.
options:
  _input:
    description:
      - Variables of hosts, C(inventory_hostname) and C(monitor_result) among them, the registered result of the module.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show one row for each instance of the play
  ansible.builtin.debug:
    msg: "{{ (ansible_play_hosts_all | map('extract', hostvars) | pgkeep.postgres.monitor_fleet).lines }}"
  run_once: true

# An instance that nobody could look at is critical.
- name: Show critical
  ansible.builtin.debug:
    msg: "{{ ([{'inventory_hostname': 'app', 'monitor_result': {}}] | pgkeep.postgres.monitor_fleet).status }}"

- name: Name the instances that are not healthy
  ansible.builtin.debug:
    msg: "{{ fleet.rows | rejectattr('status', 'eq', 'healthy') | map(attribute='instance') }}"
  vars:
    fleet: "{{ ansible_play_hosts_all | map('extract', hostvars) | pgkeep.postgres.monitor_fleet }}"
"""

RETURN = r"""
_value:
  description:
    - The keys C(rows), a list; C(status), the worst of all; C(reached), the levels from V(warning) to that; and
      C(lines), the rows as a table.
  type: dict
  sample:
    rows: [{instance: app, status: healthy, ready: true}]
    status: healthy
    reached: []
    lines: ["INSTANCE  STATUS", "app       healthy"]
"""

from typing import Any, Callable

from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor_fleet import fleet


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"monitor_fleet": fleet}
