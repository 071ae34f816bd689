#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Prove a backup by restoring it into a throw-away server
version_added: "0.1.0"
description:
  - Restores the newest clean backup, and all WAL since, into a throw-away server made from the image, the entrypoint
    and the settings of the instance, so that every drill rehearses the loss of the data volume.
  - The throw-away server has no network, sees the repository read-only, archives nothing and has its own limits. Its
    container and volume are always removed, also after a failure or when the module is stopped.
  - The proofs are, in this order, C(archive) (a canary row written now reaches the repository), C(recovery) (the copy
    accepts writes), C(canary) (the row is in the copy), C(amcheck) (C(pg_amcheck) finds no corruption in any database),
    C(rows) (user tables have the rows recorded with the backup, plus and minus what was written since) and C(checksums)
    (no page with a wrong checksum).
  - A drill that passes is recorded on the host and on the backup, which is I(proven) from then on. One that does not
    pass is recorded on the host, and the module fails.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - Tells which backup would be proven. Nothing is written, no container is made.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(max_age_seconds), a backup that was proven that recently is not proven again. Without it every run is a
        drill.
options:
  label:
    description:
      - Label of the backup to prove, as M(pgkeep.postgres.backup_info) lists it. The default is the newest clean one.
    type: str
  max_age_seconds:
    description:
      - Do nothing and return the recorded drill when the backup was proven less than this many seconds ago.
    type: int
  memory:
    description:
      - Memory limit of the throw-away server, such as V(512MB). The default is half of the server's, at least 256MB.
    type: str
  cpus:
    description: Number of processors for the throw-away server. The default is the server's.
    type: float
  heapallindexed:
    description: Also check that every row is found in every index. It reads each table once per index.
    type: bool
    default: true
  timeout_seconds:
    description: How long the restore with its recovery, and the corruption check, may take each.
    type: int
    default: 21600
  keep_on_failure:
    description:
      - Leave the throw-away server in place when a proof fails, to look into it. The next drill removes it.
    type: bool
    default: false
seealso:
  - module: pgkeep.postgres.backup
  - module: pgkeep.postgres.backup_info
  - module: pgkeep.postgres.restore
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Prove the newest backup, unless that was done today
  pgkeep.postgres.drill:
    name: orders
    max_age_seconds: 86400
  register: result

- name: Say what was measured
  ansible.builtin.debug:
    msg: "{{ result.drill.rows }} rows were back after {{ result.drill.rto_seconds }} s"

- name: Prove a certain backup with little of the machine, and keep the copy if it is bad
  pgkeep.postgres.drill:
    name: orders
    label: 20261121-020004F
    memory: 512MB
    cpus: 0.5
    keep_on_failure: true

- name: See which backup would be proven
  pgkeep.postgres.drill:
    name: orders
  check_mode: true

- name: Read which proof failed
  block:
    - name: Prove the newest backup
      pgkeep.postgres.drill:
        name: orders
      register: result
  rescue:
    - name: Show the failed proofs
      ansible.builtin.debug:
        msg: "{{ result.drill.checks | rejectattr('passed') }}"
"""

RETURN = r"""
drill:
  description: What was proven, or in check mode which backup would be.
  returned: success, and when a proof failed
  type: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
      returned: always
      sample: orders
    label:
      description: Label of the backup.
      type: str
      returned: always
      sample: 20261121-020004F
    passed:
      description: Whether every proof succeeded. None in check mode when a drill would be run.
      type: bool
      returned: always
      sample: true
    started_at:
      description: When the drill began, in RFC 3339 format, UTC. None in check mode when a drill would be run.
      type: str
      returned: always
      sample: "2026-11-21T20:12:31Z"
    rto_seconds:
      description: Seconds from making the container to a server that accepts writes. None when it never did.
      type: float
      returned: always
      sample: 3.417
    rpo_seconds:
      description: Seconds from the commit of the canary row until it was safe in the repository.
      type: float
      returned: always
      sample: 0.412
    rows:
      description: Number of rows in all user tables of the copy.
      type: int
      returned: always
      sample: 1200345
    tables:
      description: Number of user tables in the copy.
      type: int
      returned: always
      sample: 41
    databases:
      description: Number of databases in the copy that accept connections.
      type: int
      returned: always
      sample: 3
    checks:
      description: The proofs in their order. After one that makes the next ones impossible the list ends.
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: V(archive), V(recovery), V(canary), V(amcheck), V(rows) or V(checksums).
          type: str
          returned: always
          sample: rows
        passed:
          description: Whether it succeeded.
          type: bool
          returned: always
          sample: true
        detail:
          description: What was found, for people.
          type: str
          returned: always
          sample: 41 of 41 tables could be compared, all hold the rows they must hold
        seconds:
          description: How long it took, in seconds.
          type: float
          returned: always
          sample: 1.204
    error:
      description: What, why and next step of the failure. None when the drill passed.
      type: dict
      returned: always
      sample: null
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The drill of orders with backup 20261121-020004F failed
    why: "canary: the row written at 2026-11-21T20:12:31Z is not in the copy"
    next_step: take a full backup and drill again
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._drill import Request, drill
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_record import DrillError
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run
from ansible_collections.pgkeep.postgres.plugins.module_utils._units import parse_bytes, parse_cpus

SPEC = argument_spec(
    label={"type": "str"},
    max_age_seconds={"type": "int"},
    memory={"type": "str"},
    cpus={"type": "float"},
    heapallindexed={"type": "bool", "default": True},
    timeout_seconds={"type": "int", "default": 21600},
    keep_on_failure={"type": "bool", "default": False},
)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    memory, cpus = params.pop("memory"), params.pop("cpus")
    request = Request(
        **params,
        memory_bytes=None if memory is None else parse_bytes(memory, "memory"),
        cpus=None if cpus is None else parse_cpus(cpus),
    )
    try:
        return drill(run, request, check_mode)
    except DrillError as error:
        # The object too, so that the reader of a failure sees every proof.
        failure = {"changed": True, "failed": True, "msg": str(error), "error": error.to_result()}
        return {**failure, "drill": error.drill.to_result()}


def main() -> None:
    run_module(manage, SPEC)


if __name__ == "__main__":
    main()
