#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Say that somebody works on an instance
version_added: "0.2.0"
description:
  - While maintenance is announced, a server that is down, WAL that is not archived and a repository that cannot be read
    alarm nobody, and the instance says that it is not ready, so that traffic goes elsewhere. Everything else, such as a
    disk that fills up, is told as always.
  - It ends by itself. What stands still longer than that is told.
  - Deploy, restore, restart and upgrade need none of it; nobody is alarmed while one of them works.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - Announcing it again begins the minutes anew.
options:
  minutes:
    description: How long it may take, at most 1440. 0 ends what was announced.
    type: int
    required: true
  reason:
    description: What is being done, for those who wonder. Needed unless O(minutes=0).
    type: str
seealso:
  - module: pgkeep.postgres.alert_test
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Say that the disk is exchanged
  pgkeep.postgres.maintenance:
    name: orders
    minutes: 45
    reason: exchange of the disk

- name: Say that it is done
  pgkeep.postgres.maintenance:
    name: orders
    minutes: 0

- name: See whether anything is announced
  pgkeep.postgres.maintenance:
    name: orders
    minutes: 0
  check_mode: true
  register: result
"""

RETURN = r"""
maintenance:
  description: What is announced now, V(none) when nothing is.
  returned: success
  type: dict
  contains:
    reason:
      description: What is being done.
      type: str
      returned: always
      sample: exchange of the disk
    who:
      description: Who said so.
      type: str
      returned: always
      sample: ansible:alice
    since:
      description: When it was announced, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T20:12:31.204512Z"
    until:
      description: When it ends by itself, in RFC 3339 format, UTC.
      type: str
      returned: always
      sample: "2026-11-21T20:57:31.204512Z"
    drains:
      description: Whether traffic is to go elsewhere meanwhile.
      type: bool
      returned: always
      sample: true
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: Maintenance of orders is not announced
    why: it takes a reason, and 1 to 1440 minutes, after which somebody hears of trouble again
    next_step: give both; what takes longer can be announced again
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._maintenance import ask
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module

SPEC = argument_spec(
    minutes={"type": "int", "required": True},
    reason={"type": "str"},
)


def main() -> None:
    run_module(ask, SPEC)


if __name__ == "__main__":
    main()
