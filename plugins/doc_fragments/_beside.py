# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules that make a new database beside the old one. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  database:
    description: Name that the database had then.
    type: str
    required: true
  schema:
    description: Schema of O(table).
    type: str
    default: public
  table:
    description:
      - Bring back the rows of this table only. The new database has all definitions (types, functions, tables), but
        only this table has rows, and there are no indexes, constraints and triggers.
      - Of a partitioned table, name a partition.
    type: str
  into:
    description: Name of the new database. It must not exist. By default C(<database>_restored_<time>).
    type: str
  exchange:
    description:
      - Let the restored database take the name of the old one, which gets the name in RV(plan.replaced) and stays.
        Its sessions are ended, and it is reachable again under its other name.
    type: bool
    default: false
  confirm:
    description: The name of the database again. Required with O(exchange).
    type: str
"""
