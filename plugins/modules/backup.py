#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Take a backup and believe it only by its evidence
version_added: "0.1.0"
description:
  - Takes a backup with pgBackRest in the keeper of the instance, while everything runs.
  - pgBackRest's exit code is not enough. The module succeeds only when the new backup is I(clean), which
    RV(backup.clean) explains. It fails with the reasons otherwise, and then removes no older backup.
  - Before anything is touched it refuses what cannot end well, such as a wrong passphrase, WAL that is not archived,
    too little space, or another operation that runs.
  - While the backup runs the rows of all user tables are counted, so that a drill can compare them with what it
    restores. A table that is locked is left out rather than waited for.
  - With several repositories each gets a backup of its own and is judged and expired by its own evidence.
  - Old backups are removed as the retention says, but never the last two clean full ones.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - Makes every check that the real run begins with and returns RV(plan).
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(max_age_seconds), no backup is taken while a clean one is that young. Without it every run takes one.
options:
  type:
    description:
      - V(full) copies everything, V(diff) what changed since the last full backup, V(incr) what changed since the last
        backup of any type.
      - Where there is nothing clean to build on, V(diff) or V(full) is taken instead. RV(plan.why) says so.
    type: str
    choices: [full, diff, incr]
    default: incr
  max_age_seconds:
    description:
      - Take no backup when a clean one ended less than this many seconds ago. For O(type=full) it must be a full one;
        for the other types it may be of any type.
    type: int
  repository:
    description:
      - Number of the repository that gets the backup, or V(all) for one in each, the first one first.
      - One that cannot be reached makes the module fail, but only when the others have theirs.
    type: str
    default: all
  timeout_seconds:
    description:
      - How long to wait for the end. The backup itself goes on after that, and M(pgkeep.postgres.backup_info) finds it.
    type: int
    default: 86400
seealso:
  - module: pgkeep.postgres.backup_info
  - module: pgkeep.postgres.drill
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Take a backup of what changed since the last one
  pgkeep.postgres.backup:
    name: orders

- name: Make sure that there is a clean full backup of this week
  pgkeep.postgres.backup:
    name: orders
    type: full
    max_age_seconds: 604800

- name: Take a backup off-site only, for example after the connection was repaired
  pgkeep.postgres.backup:
    name: orders
    repository: "2"

- name: See what a backup would do, and whether it could
  pgkeep.postgres.backup:
    name: orders
  check_mode: true
  register: result

- name: Say it
  ansible.builtin.debug:
    msg: "{{ result.plan.type }} backup, about {{ result.plan.needed_bytes }} bytes"

- name: Take a backup, and wait while another operation holds the repository
  pgkeep.postgres.backup:
    name: orders
  register: result
  until: result is success or not result.error.busy
  retries: 10
  delay: 60

- name: Read why a backup failed
  block:
    - name: Take a backup
      pgkeep.postgres.backup:
        name: orders
      register: result
  rescue:
    - name: Show the reason and what to do
      ansible.builtin.debug:
        msg: "{{ result.error.why }}. {{ result.error.next_step }}"
"""

RETURN = r"""
backup:
  description:
    - The backup that was taken, or the young one that made it unnecessary. None in check mode without such a one.
  returned: success
  type: dict
  contains:
    label:
      description:
        - Name of the backup in the repository. It begins with the time of the full backup, in UTC; V(F), V(D) and V(I)
          say the type.
      type: str
      returned: always
      sample: 20261121-020004F_20261121-120005I
    type:
      description:
        - V(full), V(diff) (all changes since the last full one) or V(incr) (changes since the last one of any type).
      type: str
      returned: always
      sample: incr
    major: {description: Major version of its server. None if unknown., type: int, returned: always, sample: 17}
    prior:
      description: Label of the backup that this one builds on. None for a full one.
      type: str
      returned: always
      sample: 20261121-020004F
    started_at:
      description: When it began, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T12:00:05Z"
    stopped_at:
      description: When it ended, in RFC 3339 format, UTC. Every later moment can be restored from it.
      type: str
      returned: always
      sample: "2026-11-21T12:00:09Z"
    duration_seconds:
      description: Seconds between the two.
      type: int
      returned: always
      sample: 4
    size_bytes:
      description: Size of the databases in bytes.
      type: int
      returned: always
      sample: 1097540856
    repository_bytes:
      description: What this backup added to the repository, in bytes, compressed.
      type: int
      returned: always
      sample: 8450112
    wal_start:
      description: First WAL segment that a restore of it needs.
      type: str
      returned: always
      sample: "000000010000000000000042"
    wal_stop:
      description: Last WAL segment that a restore of it needs.
      type: str
      returned: always
      sample: "000000010000000000000043"
    lsn_start:
      description: WAL position at which it began.
      type: str
      returned: always
      sample: 0/42000028
    lsn_stop:
      description: WAL position at which it ended.
      type: str
      returned: always
      sample: 0/43000050
    clean:
      description:
        - Whether the evidence is complete. Its command ended with 0, no page has a wrong checksum, every table could be
          read, its manifest and those of the backups it builds on are in the repository, and so is every WAL segment
          that it needs.
      type: bool
      returned: always
      sample: true
    reasons:
      description: Why it is not clean. Empty when it is.
      type: list
      elements: str
      returned: always
      sample: []
    proven_at:
      description: When a drill last restored and proved it, in RFC 3339 format, UTC. None when none did.
      type: str
      returned: always
      sample: "2026-11-21T12:31:50Z"
    rows:
      description:
        - Rows of all user tables, counted while the backup ran. None when nothing was recorded.
      type: int
      returned: always
      sample: 6800748
    page_errors:
      description: Data files with wrong page checksums, relative to the data directory.
      type: list
      elements: str
      returned: always
      sample: []
plan:
  description: What was done, or in check mode would be. None when a young backup made it unnecessary.
  returned: success
  type: dict
  contains:
    type:
      description: Type of the backup.
      type: str
      returned: always
      sample: full
    why:
      description: Why it is not the wanted type. None when it is.
      type: str
      returned: always
      sample: there is no full backup to build on
    stanza_create:
      description: Whether the repository is empty and is prepared for the instance first.
      type: bool
      returned: always
      sample: false
    needed_bytes:
      description: Estimate of the space that it needs in the repository, in bytes.
      type: int
      returned: always
      sample: 77463414
    free_bytes:
      description: Free space in the repository, in bytes. None where it is not on a mounted disk.
      type: int
      returned: always
      sample: 77468901376
expired:
  description: Labels of the old backups that were removed.
  returned: success
  type: list
  elements: str
  sample: [20261107-020003F]
repositories:
  description: The same for each repository that was asked for. What stands beside it belongs to the first of them.
  returned: success
  type: list
  elements: dict
  contains:
    repository:
      description: Number of the repository.
      type: int
      returned: always
      sample: 2
    changed:
      description: Whether a backup was taken there.
      type: bool
      returned: always
      sample: true
    backup:
      description: As RV(backup).
      type: dict
      returned: always
      sample: {label: 20261121-020009F}
    plan:
      description: As RV(plan).
      type: dict
      returned: always
      sample: {type: full}
    expired:
      description: As RV(expired).
      type: list
      elements: str
      returned: always
      sample: []
    error:
      description: Always none, because a failure in one of them is a failure of the module.
      type: dict
      returned: always
      sample: null
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The backup 20261121-120005F was taken but is not clean
    why: page checksum errors in base/5/16384
    next_step: >-
      repair the cause, then take a full backup. Nothing was expired: the last clean backup is 20261121-020004F
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_ask import TYPES, backup
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module


def main() -> None:
    run_module(
        backup,
        argument_spec(
            type={"type": "str", "choices": list(TYPES), "default": "incr"},
            max_age_seconds={"type": "int"},
            repository={"type": "str", "default": "all"},
            timeout_seconds={"type": "int", "default": 86400},
        ),
    )


if __name__ == "__main__":
    main()
