#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: database_restore
short_description: Bring a database or a table back from a backup, beside the old one
version_added: "0.1.0"
description:
  - Restores a physical backup to a moment into a server at the side of the running one, which goes on serving, and
    makes a new database in the running one from what the side server has. M(pgkeep.postgres.restore) takes back the
    whole instance instead, and M(pgkeep.postgres.dump_restore) works from a dump.
  - The side server has no network and archives nothing. It gets half of the server's memory and lies beside the data
    until the end, also when that is a failure. What a killed run leaves goes with the next run, restore or deploy.
  - Where the backup has other databases, only the files of the wanted one are restored, as long as it is still the one
    that the backup knows under that name.
  - Everything comes in one transaction, whose first error ends it. Afterwards every table has to hold the rows that it
    has in the side server. A restore that fails leaves nothing behind.
  - Owner, encoding, locale, settings, rights and connection limit of the new database are those that the database had
    then. Its roles have to exist.
  - With O(exchange) the restored database then takes the name of the old one, which is kept under another name.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
  - pgkeep.postgres._target
  - pgkeep.postgres._beside
attributes:
  check_mode:
    support: full
    details:
      - Validates the target and returns RV(plan). Nothing is touched. Whether the database and the table were there is
        known beforehand for O(label) and O(immediate) only; otherwise the side server tells.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run makes a new database. With O(into) the second run fails, because it exists.
options:
  timeout_seconds:
    description: How long the recovery and the transfer may take.
    type: int
    default: 21600
seealso:
  - module: pgkeep.postgres.backup_info
  - module: pgkeep.postgres.dump_restore
  - module: pgkeep.postgres.restore
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Bring a database back as it was before a mistake, beside the database
  pgkeep.postgres.database_restore:
    name: orders
    database: shop
    time: "2026-11-21T20:12:31Z"

- name: Bring back the rows of one table as they were before a release
  pgkeep.postgres.database_restore:
    name: orders
    database: shop
    schema: sales
    table: invoices
    restore_point: before-release-42
    into: shop_invoices

- name: Say which backup would be taken, and how much space is needed
  pgkeep.postgres.database_restore:
    name: orders
    database: shop
    time: "2026-11-21T20:12:31Z"
  check_mode: true
  register: result

- name: Go back to the backup of the night, and keep what was there under another name
  pgkeep.postgres.database_restore:
    name: orders
    database: shop
    immediate: true
    exchange: true
    confirm: shop

- name: Read why a restore failed
  block:
    - name: Restore
      pgkeep.postgres.database_restore:
        name: orders
        database: shop
        time: "2026-11-21T20:12:31Z"
  rescue:
    - name: Show the reason and what to do
      ansible.builtin.debug:
        msg: "{{ ansible_failed_result.error.why }}. {{ ansible_failed_result.error.next_step }}"
"""

RETURN = r"""
database_restore:
  description: What was made. None in check mode.
  returned: success
  type: dict
  contains:
    database:
      description: Name of the restored database.
      type: str
      returned: always
      sample: shop_restored_2026-11-21_203502
    replaced:
      description: Name that the old database has now. None without O(exchange).
      type: str
      returned: always
      sample: null
    table:
      description: The one table that has rows, with its schema. None when all have.
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
    unlogged:
      description: Tables that are empty because no backup has rows of unlogged tables, with their schema.
      type: list
      elements: str
      returned: always
      sample: []
    target:
      description:
        - V(immediate), the label, the moment in RFC 3339 format, UTC, or the kind and value of the target, such as
          V(lsn 0/3000060).
      type: str
      returned: always
      sample: "2026-11-21T20:12:31Z"
    label:
      description: Label of the backup that recovery began with.
      type: str
      returned: always
      sample: 20261121-020004F
    repository:
      description: Number of the repository that the backup and its WAL came from.
      type: int
      returned: always
      sample: 1
    reached_time:
      description:
        - When the last recovered transaction was committed, in RFC 3339 format, UTC; the end of the backup when no
          transaction was replayed.
      type: str
      returned: always
      sample: "2026-11-21T20:12:29.104512Z"
    recovery_seconds:
      description: How long it took until the side server stood at the target.
      type: float
      returned: always
      sample: 4.118
    duration_seconds:
      description: How long everything took, the recovery and an exchange included.
      type: float
      returned: always
      sample: 31.5
plan:
  description: What was done, or in check mode would be.
  returned: success
  type: dict
  contains:
    database:
      description: Name that the database had then.
      type: str
      returned: always
      sample: shop
    table:
      description: The one table, with its schema. None for all.
      type: str
      returned: always
      sample: null
    into:
      description: Name under which the new database is made.
      type: str
      returned: always
      sample: shop_restored_2026-11-21_203502
    replaced:
      description: Name that the old database gets. None when it keeps its own.
      type: str
      returned: always
      sample: null
    target:
      description: As in RV(database_restore.target).
      type: str
      returned: always
      sample: "2026-11-21T20:12:31Z"
    label:
      description: Label of the backup that recovery begins with.
      type: str
      returned: always
      sample: 20261121-020004F
    repository:
      description: Number of the repository.
      type: int
      returned: always
      sample: 1
    whole_backup:
      description: Whether the files of all databases are restored, and not of the wanted one only.
      type: bool
      returned: always
      sample: false
    needed_bytes:
      description: Estimate of the space that the side server needs on the disk of the data.
      type: int
      returned: always
      sample: 1386547056
    free_bytes:
      description: Free space there.
      type: int
      returned: always
      sample: 77468901376
removed:
  description: What killed drills and restores had left and was removed before, in sentences.
  returned: success
  type: list
  elements: str
  sample: []
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The database shop was not restored
    why: orders at 2026-11-21T20:12:31Z has no table public.invoices
    next_step: give the schema too; there is sales.invoices
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._beside import Wanted
from ansible_collections.pgkeep.postgres.plugins.module_utils._database_restore import restore_database
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import (
    BESIDE,
    ONE_TARGET,
    TARGET,
    argument_spec,
    run_module,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_plan import Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(timeout_seconds={"type": "int", "default": 21600}, **TARGET, **BESIDE)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    wanted = Wanted(**{name: params[name] for name in BESIDE})
    target = {name: params[name] for name in ("name", "timeout_seconds", *TARGET)}
    # Nothing of the instance is replaced.
    return restore_database(run, wanted, Request(confirm=None, keep_previous=0, **target), check_mode)


def main() -> None:
    run_module(manage, SPEC, mutually_exclusive=ONE_TARGET)


if __name__ == "__main__":
    main()
