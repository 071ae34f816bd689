#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade
short_description: Rehearse an upgrade of the major version, and what remains to be done after it
version_added: "0.2.0"
description:
  - The upgrade itself is done by M(pgkeep.postgres.instance) with its option
    O(pgkeep.postgres.instance#module:upgrade), which wants a rehearsal that passed. C(playbooks/upgrade.yml) does both.
  - With O(action=rehearse) the newest clean backup, which is taken where none is younger than a day, is restored into a
    throw-away volume, and that copy is upgraded for real. Its steps are C(restore), C(upgrade) (C(pg_upgrade) with its
    checks), C(start) (the new server with its settings), C(rows) (every table has as many rows as before),
    C(collation) (indexes that the new image sorts otherwise are rebuilt), C(amcheck), and one C(check <name>) for each
    entry of C(postgres_backup_drill_checks). The server is not touched, whatever fails, and nothing is left.
  - Refused before that are another order of text, see O(collation), and what no upgrade brings along - tablespaces,
    prepared transactions and logical replication slots.
  - The programs of the old version are taken out of the image that the server runs on, with its C library. The image
    of the new version needs nothing of them.
  - With O(action=finish) repositories besides the first are told whose WAL comes, extensions are updated to the version
    of the image, and tables without statistics are analyzed, while the server serves.
  - With O(action=clean) the data directory of the former major is removed, and with it the quick way back. It is
    refused until a backup of the new one is proven.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: partial
    details: Tells whether a rehearsal is due and what O(action=clean) would remove, and nothing of O(action=finish).
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: A rehearsal is performed each time, as long as O(major) is newer than that of the data.
options:
  action:
    description: What to do.
    type: str
    choices: [rehearse, finish, clean]
    default: rehearse
  major:
    description: Major version of the new server. Needed for O(action=rehearse), like the next options.
    type: int
  image:
    description: Image of the new server, present on the host.
    type: str
  way:
    description:
      - How the copy is upgraded. V(clone) is rehearsed as V(link), which takes about as long, because the copy may lie
        on another file system than the data.
    type: str
    choices: [link, clone, copy]
    default: link
  tuned:
    description: Settings derived from the limits for the new major, RV(ignore:settings) of the filter
      P(pgkeep.postgres.tune#filter).
    type: dict
    default: {}
  settings:
    description: Settings of the inventory; they win over O(tuned).
    type: dict
    default: {}
  initdb_args:
    description: Further arguments of C(initdb).
    type: list
    elements: str
    default: []
  collation:
    description: Whether the new image may sort text otherwise than the data were sorted, as in
      M(pgkeep.postgres.instance). With V(refuse) it is refused before anything is rehearsed.
    type: str
    choices: [refuse, reindex]
    default: refuse
  timeout_seconds:
    description: How long each of the two servers of a rehearsal may take to accept writes, and C(amcheck) to end.
    type: int
    default: 21600
seealso:
  - module: pgkeep.postgres.instance
  - module: pgkeep.postgres.drill
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Would the upgrade to PostgreSQL 18 work, and how long would it take?
  pgkeep.postgres.upgrade:
    name: app
    major: 18
    image: pgkeep/postgres:18
    tuned: "{{ ('1GB' | pgkeep.postgres.tune(pg_major=18)).settings }}"
  register: result

- name: Say what to expect
  ansible.builtin.debug:
    msg: "About {{ result.upgrade.interruption_seconds }} s without a server"

- name: Update extensions and statistics after the upgrade
  pgkeep.postgres.upgrade:
    name: app
    action: finish

# Before a backup of the new major is proven this fails with: The data of PostgreSQL 17 of app are kept. Why: no backup
# of PostgreSQL 18 is proven yet. Next: run playbooks/backup.yml and playbooks/verify.yml, then repeat.
- name: Give up the way back
  pgkeep.postgres.upgrade:
    name: app
    action: clean
"""

RETURN = r"""
upgrade:
  description: What was rehearsed or done.
  returned: success, and when a rehearsal failed
  type: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
      returned: always
      sample: app
    action:
      description: What was asked for.
      type: str
      returned: always
      sample: rehearse
    before:
      description: Major version of the release in force.
      type: int
      returned: always
      sample: 17
    after:
      description: Major version that was rehearsed; None for another action.
      type: int
      returned: always
      sample: 18
    label:
      description: Label of the backup that the rehearsal was made with; None where there was none.
      type: str
      returned: always
      sample: 20261121-020004F
    checks:
      description: The steps of the rehearsal; it ends at the first that fails.
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: V(restore), V(upgrade), V(start), V(rows), V(collation), V(amcheck) or V(check <name>).
          type: str
          returned: always
          sample: upgrade
        passed:
          description: Whether it succeeded.
          type: bool
          returned: always
          sample: true
        detail:
          description: What was found, for people. Of a failed C(upgrade) the words of C(pg_upgrade).
          type: str
          returned: always
          sample: pg_upgrade with its checks took 4.1 s
        seconds:
          description: How long it took, in seconds.
          type: float
          returned: always
          sample: 6.51
    interruption_seconds:
      description: Seconds that C(pg_upgrade) and the start of the new server took, about what applications will miss
        the server for. The stop with its checkpoint comes to it.
      type: float
      returned: always
      sample: 8.74
    steps:
      description: What O(action=finish) or O(action=clean) did.
      type: list
      elements: str
      returned: always
      sample: [Analyzed the 12 tables that had no statistics]
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._instance import image_id
from ansible_collections.pgkeep.postgres.plugins.module_utils._majors import known_major
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._rehearsal import RehearsalError, Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run
from ansible_collections.pgkeep.postgres.plugins.module_utils._upgrade import failed, upgrade

SPEC = argument_spec(
    action={"type": "str", "choices": ["rehearse", "finish", "clean"], "default": "rehearse"},
    major={"type": "int"},
    image={"type": "str"},
    way={"type": "str", "choices": ["link", "clone", "copy"], "default": "link"},
    tuned={"type": "dict", "default": {}},
    settings={"type": "dict", "default": {}},
    initdb_args={"type": "list", "elements": "str", "default": []},
    collation={"type": "str", "choices": ["refuse", "reindex"], "default": "refuse"},
    timeout_seconds={"type": "int", "default": 21600},
)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    name, action = params.pop("name"), params.pop("action")
    request = None
    if action == "rehearse":
        major = known_major(params.pop("major"))
        request = Request(image=image_id(run, params.pop("image"), check_mode, major), major=major, **params)
    try:
        return upgrade(run, name, action, request, check_mode)
    except RehearsalError as error:
        failure = {"changed": True, "failed": True, "msg": str(error), "error": error.to_result()}
        return {**failure, "upgrade": failed(error.rehearsal)}


def main() -> None:
    run_module(manage, SPEC, required_if=[("action", "rehearse", ["major", "image"])])


if __name__ == "__main__":
    main()
