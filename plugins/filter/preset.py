# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.preset."""

from __future__ import annotations

DOCUMENTATION = r"""
name: preset
short_description: Limits of an instance under a name
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Returns what a preset says about an instance. The role postgres_server takes its defaults from it, so that each of
    them can be overridden by a variable of its own.
  - A quarter of the memory and half of the processors of a machine are the server's. V(small) is for 2 processors and
    4 GB, V(medium) for 4 and 16 GB, V(large) for 8 and 64 GB. There are as many connections as fit the memory.
options:
  _input:
    description: Name of the preset.
    type: str
    required: true
    choices: [small, medium, large]
"""

EXAMPLES = r"""
- name: Show what an instance gets that is called medium
  ansible.builtin.debug:
    msg: "{{ 'medium' | pgkeep.postgres.preset }}"

- name: Show its settings
  ansible.builtin.debug:
    msg: "{{ medium.memory | pgkeep.postgres.tune(cpus=medium.cpus, profile=medium.profile) }}"
  vars:
    medium: "{{ 'medium' | pgkeep.postgres.preset }}"

# Fails with: The preset 'huge' is unknown. Why: known are small, medium, large. Next: correct postgres_server_preset.
- name: Ask for one that is not there
  ansible.builtin.debug:
    msg: "{{ 'huge' | pgkeep.postgres.preset }}"
"""

RETURN = r"""
_value:
  description: What the preset says.
  type: dict
  contains:
    memory:
      description: Memory limit of the server.
      type: str
      sample: 4GB
    cpus:
      description: Processors of the server.
      type: float
      sample: 2.0
    profile:
      description: What the database is used for, see P(pgkeep.postgres.tune#filter).
      type: str
      sample: web
    disk:
      description: Kind of the disk below the data volume.
      type: str
      sample: ssd
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._presets import preset as _preset


def preset(name: str) -> dict[str, Any]:
    try:
        return _preset(name)
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"preset": preset}
