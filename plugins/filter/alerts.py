# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.alerts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: alerts
short_description: What the keeper reads of the alerts of an inventory, and what lies in secret files
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Takes URLs, tokens, passwords and certificates out of the variable C(postgres_backup_alerts) and gives each the name
    of a file, for O(pgkeep.postgres.instance#module:keeper) and O(pgkeep.postgres.instance#module:keeper_secrets).
  - It judges nothing. The keeper itself refuses what cannot be used, before it is in force.
options:
  _input:
    description: The variable C(postgres_backup_alerts) of the role P(pgkeep.postgres.postgres_backup#role).
    type: dict
    required: true
  host:
    description: Name of the machine for the reader of an alert.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show which files the keeper gets for its alerts
  ansible.builtin.debug:
    msg: "{{ (postgres_backup_alerts | pgkeep.postgres.alerts('db1.example.org')).files.keys() }}"
"""

RETURN = r"""
_value:
  description:
    - The C(topic), which is no secret, and the C(files) that it names, with their content. Both empty without alerts.
  type: dict
  sample:
    topic:
      host: db1.example.org
      webhooks: [{format: slack, url_file: alerts-webhook-1.url}]
    files:
      alerts-webhook-1.url: "https://hooks.example.org/services/T000/B000/secret\n"
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_config import split


def alerts(wanted: Any, host: str) -> dict[str, dict[str, Any]]:
    if not isinstance(wanted, dict):
        raise AnsibleFilterError("postgres_backup_alerts is not a dictionary. Next: correct it in the inventory.")
    return split(wanted, host)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"alerts": alerts}
