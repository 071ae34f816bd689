#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore_point
short_description: Make a named point that an instance can be restored to
version_added: "0.1.0"
description:
  - Makes the point in the WAL, remembers its position in the instance's catalogue, finishes the WAL segment and waits
    until it is in the repository. After that M(pgkeep.postgres.restore) can go back to exactly there.
  - Cheap enough to be made before every release. It needs no backup of its own; M(pgkeep.postgres.backup_info) lists
    the points that can still be reached.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - Says whether the point can be made. Nothing is touched.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - A name that was used is refused.
options:
  restore_point:
    description:
      - Name of the point, 1 to 63 letters, digits, and any of C(_.+-) or a colon. It must not have been used before,
        because PostgreSQL would stop at the first one.
    type: str
    required: true
  timeout_seconds:
    description: How long its WAL may take to the repository.
    type: int
    default: 60
seealso:
  - module: pgkeep.postgres.restore
  - module: pgkeep.postgres.backup_info
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Make a point before a release
  pgkeep.postgres.restore_point:
    name: orders
    restore_point: before-release-42

- name: See whether the name is free
  pgkeep.postgres.restore_point:
    name: orders
    restore_point: before-release-42
  check_mode: true

- name: Go on without a point that is not in the repository after 5 s, and say why
  block:
    - name: Make it
      pgkeep.postgres.restore_point:
        name: orders
        restore_point: before-release-42
        timeout_seconds: 5
      register: result
  rescue:
    - name: Say why
      ansible.builtin.debug:
        msg: "{{ result.error.what }}: {{ result.error.why }}"
"""

RETURN = r"""
restore_point:
  description: The point; in check mode all but the name is None.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: before-release-42
    lsn:
      description: Its position in the WAL.
      type: str
      returned: always
      sample: 0/43000098
    timeline:
      description: The timeline that the position belongs to.
      type: int
      returned: always
      sample: 1
    created_at:
      description: When it was made, by the server's clock, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T20:12:31.204512Z"
    system_id:
      description: Identifier of the database cluster.
      type: str
      returned: always
      sample: "7710752740587556885"
    archived_seconds:
      description: Seconds until its WAL was in the repository.
      type: float
      returned: always
      sample: 0.412
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The restore point before-release-42 cannot be made
    why: there is one of that name, from 2026-11-21T20:12:31.204512Z at 0/43000098
    next_step: choose another name; PostgreSQL would stop at the first one
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_ask import restore_point
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module

SPEC = argument_spec(
    restore_point={"type": "str", "required": True},
    timeout_seconds={"type": "int", "default": 60},
)


def main() -> None:
    run_module(restore_point, SPEC)


if __name__ == "__main__":
    main()
