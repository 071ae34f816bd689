# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.command_is_current."""

from __future__ import annotations

DOCUMENTATION = r"""
name: command_is_current
short_description: Whether the command pgkeep of a machine is the one of this collection
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Spares a deploy the module M(pgkeep.postgres.host_command) where it would change nothing. When in doubt the answer
    is no, and the module decides.
options:
  _input:
    description:
      - What the role P(pgkeep.postgres.docker_host#role) saw of the installed file, a JSON list of the Python that
        should run it, the SHA-256 checksum of the file, and the names in it. Anything else means that there is none.
    type: str
    required: true
  version:
    description: The version that O(pgkeep.postgres.host_command#module:version) would get.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show true or false
  ansible.builtin.debug:
    msg: "{{ docker_host_state.stdout_lines[1] | default('') | pgkeep.postgres.command_is_current('0.2.0') }}"

# Nothing is known about it.
- name: Show false
  ansible.builtin.debug:
    msg: "{{ '' | pgkeep.postgres.command_is_current('0.2.0') }}"

- name: Install it where it is not current
  pgkeep.postgres.host_command:
    version: 0.2.0
  when: not docker_host_state.stdout_lines[1] | default('') | pgkeep.postgres.command_is_current('0.2.0')
"""

RETURN = r"""
_value:
  description: Whether the module would change nothing.
  type: bool
  sample: true
"""

from typing import Any, Callable

from ansible_collections.pgkeep.postgres.plugins.module_utils._host_command import is_current


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"command_is_current": is_current}
