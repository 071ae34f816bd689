#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: init_sql
short_description: Run an SQL script once in a database
version_added: "0.1.0"
description:
  - Runs a script in one transaction as superuser, and remembers its name and checksum in the table C(pgkeep.init_sql)
    of that database. A script of a known name is not run again.
  - A script that changed after it ran is refused, because running half of it again helps nobody.
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
  database:
    description: Database it runs in.
    type: str
    required: true
  script:
    description: Name it is remembered by, such as the name of its file.
    type: str
    required: true
  content:
    description:
      - SQL, without commands of C(psql). The whole script is one transaction; one that begins or ends a transaction
        itself is refused, and nothing of it stays. It is never logged, since it may hold a password.
    type: str
    required: true
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Create the first tables
  pgkeep.postgres.init_sql:
    name: app
    database: app
    script: 001_tables.sql
    content: "{{ lookup('ansible.builtin.file', 'sql/001_tables.sql', rstrip=false) }}"

- name: Would it run?
  pgkeep.postgres.init_sql:
    name: app
    database: app
    script: 002_indexes.sql
    content: CREATE INDEX ON orders (customer)
  check_mode: true

- name: A script that changed after it ran is refused, and the message names both checksums
  pgkeep.postgres.init_sql:
    name: app
    database: app
    script: 001_tables.sql
    content: CREATE TABLE other (id int)
  register: result
  failed_when: result.error.what is not search('changed after it ran')
"""

RETURN = r"""
init_sql:
  description: What is remembered of the script.
  returned: success
  type: dict
  contains:
    database:
      description: Database it ran in.
      type: str
      returned: success
      sample: app
    script:
      description: Name of the script.
      type: str
      returned: success
      sample: 001_tables.sql
    sha256:
      description: Checksum of its content.
      type: str
      returned: success
      sample: 9f86d081884c7d65
    applied_at:
      description: When it ran, RFC 3339 UTC; null in check mode when it has not run.
      type: str
      returned: success
      sample: "2026-01-05T02:00:00Z"
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The script 001_tables.sql changed after it ran in the database app
    why: it ran at 2026-01-05T02:00:00Z with the SHA-256 9f86d081884c, the file now has 60303ae22b99
    next_step: put the old content back and add the change as a new file; if it is another script of the same name, give
      it a name of its own
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._init_sql import run_once
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(
    database={"type": "str", "required": True},
    script={"type": "str", "required": True},
    content={"type": "str", "required": True, "no_log": True},
)


def init_sql(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    return run_once(Layout(params["name"]), params["database"], params["script"], params["content"], check_mode)


def main() -> None:
    run_module(init_sql, SPEC)


if __name__ == "__main__":
    main()
