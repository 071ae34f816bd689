#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: dump_info
short_description: List the dumps of an instance and what is wrong with them
version_added: "0.1.0"
description:
  - Lists the dumps that the keeper of the instance has, with their manifests. It changes nothing.
  - By default it compares the size of every file. With O(verify) it reads everything.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  verify:
    description:
      - Compare the checksum of every file, and let pg_restore read every dump to its end. Takes about as long as
        dumping them.
    type: bool
    default: false
  timeout_seconds:
    description: How long to wait for the answer.
    type: int
    default: 86400
seealso:
  - module: pgkeep.postgres.dump
  - module: pgkeep.postgres.dump_restore
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: List the dumps
  pgkeep.postgres.dump_info:
    name: orders
  register: result

- name: Say which run has the newest dump of a database
  ansible.builtin.debug:
    msg: "{{ result.dumps.newest.shop }}"

- name: Read all of them, and insist that none is damaged
  pgkeep.postgres.dump_info:
    name: orders
    verify: true
  register: result
  failed_when: result is failed or result.dumps.runs | rejectattr('good')

- name: List damaged files, and why
  ansible.builtin.debug:
    msg: "{{ files | rejectattr('problem', 'none') | map(attribute='problem') }}"
  vars:
    files: "{{ result.dumps.runs | map(attribute='databases') | flatten }}"
"""

RETURN = r"""
dumps:
  description: What is known about the dumps.
  returned: success
  type: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
      returned: always
      sample: orders
    verified:
      description: Whether everything was read for this answer.
      type: bool
      returned: always
      sample: false
    runs:
      description: All complete runs, oldest first.
      type: list
      elements: dict
      returned: always
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
    unreadable:
      description: Runs whose manifest is missing or cannot be read. They are never removed by themselves.
      type: list
      elements: dict
      returned: always
      contains:
        run:
          description: Name of the run.
          type: str
          returned: always
          sample: 2026-11-13_013005
        why:
          description: What is wrong with its manifest.
          type: str
          returned: always
          sample: it has no manifest.json
    newest:
      description: For every database the run that has its newest dump without a problem.
      type: dict
      returned: always
      sample: {"orders": "2026-11-21_013005", "postgres": "2026-11-21_013005"}
    size_bytes:
      description: Size of all runs.
      type: int
      returned: always
      sample: 434803712
    free_bytes:
      description: Free space on the disk of the dumps.
      type: int
      returned: always
      sample: 77468901376
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The keeper of orders cannot be asked
    why: "Error: No such container: orders-keeper"
    next_step: docker start orders-keeper; if there is no such container, run the playbook deploy.yml
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_ask import dump_info
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module


def main() -> None:
    run_module(
        dump_info,
        argument_spec(
            verify={"type": "bool", "default": False},
            timeout_seconds={"type": "int", "default": 86400},
        ),
    )


if __name__ == "__main__":
    main()
