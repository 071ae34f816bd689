#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_prune
short_description: Keep only the newest clean backups of an instance, in an emergency
version_added: "0.2.0"
description:
  - For a repository whose disk is full or nearly so. Removes all backups but the newest clean ones and those that they
    build on, with the WAL that only the removed ones need.
  - What was committed before RV(prune.recoverable_from) can only be restored as part of the state at that time
    afterwards. Without a clean backup nothing is removed at all.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - RV(prune) is the plan. Nothing is removed.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  keep:
    description: How many of the newest clean backups stay, at least 1.
    type: int
    default: 3
seealso:
  - module: pgkeep.postgres.backup_info
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: See what would go
  pgkeep.postgres.backup_prune:
    name: orders
  check_mode: true
  register: result

- name: Keep the three newest clean backups
  pgkeep.postgres.backup_prune:
    name: orders

- name: Keep only the newest one, and read why nothing was removed
  block:
    - name: Prune
      pgkeep.postgres.backup_prune:
        name: orders
        keep: 1
      register: result
  rescue:
    - name: Show the reason
      ansible.builtin.debug:
        msg: "{{ result.error.why }}. {{ result.error.next_step }}"
"""

RETURN = r"""
prune:
  description: What was removed, or in check mode would be.
  returned: success
  type: dict
  contains:
    kept:
      description: Labels of the backups that stay, oldest first.
      type: list
      elements: str
      returned: always
      sample: [20261121-020004F, 20261121-020004F_20261122-020005D]
    removed:
      description: Labels of the backups that go, oldest first.
      type: list
      elements: str
      returned: always
      sample: [20261114-020004F]
    fulls:
      description: How many full backups stay.
      type: int
      returned: always
      sample: 1
    freed_bytes:
      description: What the removed backups had added to the repository, in bytes. Their WAL comes on top.
      type: int
      returned: always
      sample: 412345678
    repository_bytes:
      description: Size of the instance's backups and WAL in the repository, in bytes; afterwards, or in check mode now.
      type: int
      returned: always
      sample: 98765432
    recoverable_from:
      description: Earliest moment that can be restored afterwards, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T02:00:09Z"
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The backups cannot be pruned
    why: none of the 2 backups is clean
    next_step: take a backup first (pgkeep backup --type full)
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_ask import backup_prune
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module


def main() -> None:
    run_module(backup_prune, argument_spec(keep={"type": "int", "default": 3}))


if __name__ == "__main__":
    main()
