#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: dump_restore
short_description: Bring a database or a table back from a dump, beside the old one
version_added: "0.1.0"
description:
  - Makes a new database from a dump that M(pgkeep.postgres.dump) took. The old database goes on serving, untouched.
  - Before anything is made, the checksum of the dump is compared and pg_restore has to be able to read all of it.
    Afterwards every table has to hold the rows that were counted in the snapshot of the dump. A restore that fails
    leaves nothing behind.
  - Owner, encoding, locale, settings, rights and connection limit of the new database are those that the dumped one
    had.
  - With O(exchange) the restored database then takes the name of the old one, which is kept under another name.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
  - pgkeep.postgres._beside
attributes:
  check_mode:
    support: full
    details:
      - Makes every check that the real run begins with, reads the whole dump and returns RV(plan).
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run makes a new database. With O(into) the second run fails, because it exists.
options:
  file:
    description: Name of the dump, as M(pgkeep.postgres.dump_info) lists it. By default the newest one of the database.
    type: str
  timeout_seconds:
    description:
      - How long to wait for the end. The restore itself goes on after that until its own deadline.
    type: int
    default: 86400
seealso:
  - module: pgkeep.postgres.dump
  - module: pgkeep.postgres.dump_info
  - module: pgkeep.postgres.database_restore
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Bring the newest dump of a database back, beside the database
  pgkeep.postgres.dump_restore:
    name: orders
    database: shop

- name: Bring back the rows of one table as they were in a certain dump
  pgkeep.postgres.dump_restore:
    name: orders
    database: shop
    schema: sales
    table: invoices
    file: shop_backup_2026-11-21_013005.dump.enc
    into: shop_invoices

- name: Go back to the dump, and keep what was there under another name
  pgkeep.postgres.dump_restore:
    name: orders
    database: shop
    exchange: true
    confirm: shop
  register: result

- name: Say how the old one is called now
  ansible.builtin.debug:
    msg: "{{ result.dump_restore.replaced }}"

- name: Read why a restore failed
  block:
    - name: Restore
      pgkeep.postgres.dump_restore:
        name: orders
        database: shop
      register: result
  rescue:
    - name: Show the reason and what to do
      ansible.builtin.debug:
        msg: "{{ result.error.why }}. {{ result.error.next_step }}"
"""

RETURN = r"""
dump_restore:
  description: What was made. None in check mode.
  returned: success
  type: dict
  contains:
    database:
      description: Name of the restored database.
      type: str
      returned: always
      sample: shop_restored_2026-11-21_101502
    replaced:
      description: Name that the old database has now. None without O(exchange).
      type: str
      returned: always
      sample: null
    file:
      description: Name of the dump.
      type: str
      returned: always
      sample: shop_backup_2026-11-21_013005.dump.enc
    dumped_at:
      description: When the run of the dump began, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T01:30:05Z"
    table:
      description: The one table that has rows. None when all have.
      type: str
      returned: always
      sample: null
    tables:
      description: Number of tables whose rows were compared.
      type: int
      returned: always
      sample: 41
    rows:
      description: Rows of these tables.
      type: int
      returned: always
      sample: 6800748
    duration_seconds:
      description: How long making, filling and comparing took, without the exchange.
      type: float
      returned: always
      sample: 31.5
plan:
  description: What was done, or in check mode would be.
  returned: success
  type: dict
  contains:
    database:
      description: Name of the dumped database.
      type: str
      returned: always
      sample: shop
    run:
      description: Run of the dump.
      type: str
      returned: always
      sample: 2026-11-21_013005
    file:
      description: Name of the dump.
      type: str
      returned: always
      sample: shop_backup_2026-11-21_013005.dump.enc
    table:
      description: The one table, with its schema. None for all.
      type: str
      returned: always
      sample: null
    into:
      description: Name under which the new database is made.
      type: str
      returned: always
      sample: shop_restored_2026-11-21_101502
    replaced:
      description: Name that the old database gets. None when it keeps its own.
      type: str
      returned: always
      sample: null
    needed_bytes:
      description: Estimate of the space that the new database needs.
      type: int
      returned: always
      sample: 386547056
    free_bytes:
      description: Free space on the disk of the data.
      type: int
      returned: always
      sample: 77468901376
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The database shop was not restored
    why: >-
      shop_backup_2026-11-21_013005.dump.enc is damaged: its checksum is not the one that was written down
    next_step: restore an older dump (pgkeep dumps lists them), and replace the disk
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_ask import dump_restore
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import BESIDE, argument_spec, run_module


def main() -> None:
    run_module(
        dump_restore,
        argument_spec(
            file={"type": "str"},
            timeout_seconds={"type": "int", "default": 86400},
            **BESIDE,
        ),
    )


if __name__ == "__main__":
    main()
