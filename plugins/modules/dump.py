#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: dump
short_description: Dump databases as files that any PostgreSQL can read
version_added: "0.1.0"
description:
  - Dumps databases with pg_dump in the keeper of the instance, each as one file in the custom format, and the roles
    with pg_dumpall. They are for exporting, for bringing back one database or table, and for moving to another major
    version. Backups are what M(pgkeep.postgres.backup) takes.
  - A run appears as a whole or not at all. It has a manifest with checksums and with the rows of every table, counted
    in the very snapshot that was dumped.
  - The module believes a dump only when the disk gives back what was written and pg_restore can read its contents.
    Then it removes old runs as P(pgkeep.postgres.postgres_backup#role) says, but never the newest ones of a database.
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
    support: none
    details:
      - Every run makes new files.
options:
  databases:
    description:
      - Names of the databases. By default those that the inventory says, and without that all but templates.
    type: list
    elements: str
  timeout_seconds:
    description:
      - How long to wait for the end. The dump itself goes on after that until its own deadline.
    type: int
    default: 86400
seealso:
  - module: pgkeep.postgres.dump_info
  - module: pgkeep.postgres.dump_restore
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Dump what the inventory says
  pgkeep.postgres.dump:
    name: orders

- name: Dump one database before a risky migration
  pgkeep.postgres.dump:
    name: orders
    databases: [shop]

- name: See whether a dump could be taken and what it would need
  pgkeep.postgres.dump:
    name: orders
  check_mode: true
  register: result

- name: Dump, and wait while another run holds the dumps
  pgkeep.postgres.dump:
    name: orders
  register: result
  until: result is success or not result.error.busy
  retries: 10
  delay: 60

- name: Read why a dump failed
  block:
    - name: Dump
      pgkeep.postgres.dump:
        name: orders
      register: result
  rescue:
    - name: Show the reason and what to do
      ansible.builtin.debug:
        msg: "{{ result.error.why }}. {{ result.error.next_step }}"
"""

RETURN = r"""
dump:
  description: The run of dumps. None in check mode.
  returned: success
  type: dict
  contains:
    run:
      description: Name of the run, its time in UTC. Every file of it carries it too.
      type: str
      returned: always
      sample: 2026-11-21_013005
    folder:
      description: Where it is, on the volume of the dumps in the keeper.
      type: str
      returned: always
      sample: /var/lib/pgkeep-dumps/2026-11-21_013005
    started_at:
      description: When it began, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T01:30:05Z"
    stopped_at:
      description: When it ended, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T01:31:12Z"
    duration_seconds:
      description: Seconds between the two.
      type: float
      returned: always
      sample: 67.2
    verified_at:
      description: When all of its files had been read back from the disk and compared, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T01:31:12Z"
    encrypted:
      description: Whether its files are encrypted.
      type: bool
      returned: always
      sample: true
    size_bytes:
      description: Size of all its files.
      type: int
      returned: always
      sample: 62114816
    good:
      description: Whether nothing is wrong with any of its files, as far as was looked.
      type: bool
      returned: always
      sample: true
    globals:
      description: The file with roles, their memberships and settings, and tablespaces, as SQL.
      type: dict
      returned: always
      contains:
        file:
          description: Name of the file in the folder.
          type: str
          returned: always
          sample: globals_backup_2026-11-21_013005.sql.enc
        size_bytes:
          description: Its size.
          type: int
          returned: always
          sample: 1360
        sha256:
          description: Its checksum, as it is on the disk.
          type: str
          returned: always
          sample: 5dee323f6ef035525403e055d66d9a8f9430559edbf7c4ab84bad04378af8ec2
        problem:
          description: What is wrong with it. None when nothing is.
          type: str
          returned: always
          sample: null
    databases:
      description: The dumps, one for each database.
      type: list
      elements: dict
      returned: always
      contains:
        database:
          description: Name of the database.
          type: str
          returned: always
          sample: orders
        file:
          description: Name of the file in the folder; what a file name must not hold is percent-encoded.
          type: str
          returned: always
          sample: orders_backup_2026-11-21_013005.dump.enc
        format:
          description: Format of pg_dump.
          type: str
          returned: always
          sample: custom
        size_bytes:
          description: Its size.
          type: int
          returned: always
          sample: 62113456
        sha256:
          description: Its checksum, as it is on the disk.
          type: str
          returned: always
          sample: 50275fa6190fcfca5f55d754bcb196a7c9555f7863d7e62e184f68635bca5225
        duration_seconds:
          description: How long this database took.
          type: float
          returned: always
          sample: 66.4
        tables:
          description: Number of its tables.
          type: int
          returned: always
          sample: 41
        rows:
          description: Rows of all its tables, counted in the snapshot that was dumped.
          type: int
          returned: always
          sample: 6800748
        problem:
          description: What is wrong with it. None when nothing is.
          type: str
          returned: always
          sample: null
plan:
  description: What was done, or in check mode would be.
  returned: success
  type: dict
  contains:
    databases:
      description: Names of the databases.
      type: list
      elements: str
      returned: always
      sample: [orders, postgres]
    needed_bytes:
      description: Estimate of the space that the files need.
      type: int
      returned: always
      sample: 75584723
    free_bytes:
      description: Free space on the disk of the dumps.
      type: int
      returned: always
      sample: 77468901376
removed:
  description: Names of the old runs that were removed.
  returned: success
  type: list
  elements: str
  sample: [2026-11-13_013005]
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The dump of orders was not started
    why: "the disk of the dumps is too full: about 75584723 bytes are needed, 12288 are free"
    next_step: free space or enlarge the disk, or lower keep_days of postgres_backup_dumps; no older dump was removed
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_ask import dump
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module


def main() -> None:
    run_module(
        dump,
        argument_spec(
            databases={"type": "list", "elements": "str"},
            timeout_seconds={"type": "int", "default": 86400},
        ),
    )


if __name__ == "__main__":
    main()
