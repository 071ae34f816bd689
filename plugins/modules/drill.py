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
  - On the host the throw-away server is a container with its own limits and a read-only repository, and without a
    network, unless the repository is reached over one. Then it has the network of the instance's server, no published
    port, listens on its private socket only and starts no background worker, so no subscription and no job of an
    extension.
  - In the keeper it is a process on the keeper's scratch volume, behind a private socket.
  - Either way it archives nothing and is always removed, also after a failure or when the module is stopped; a keeper
    that was killed removes it when it starts again.
  - The proofs are, in this order, C(archive) (a canary row written now reaches the repository), C(recovery) (the copy
    accepts writes), C(canary) (the row is in the copy), C(amcheck) (C(pg_amcheck) finds no corruption in any database),
    C(rows) (user tables have the rows recorded with the backup, plus and minus what was written since), C(dumps) (the
    same against the newest run of dumps, if there is one), one C(check <name>) for each entry of
    C(postgres_backup_drill_checks) in the inventory, and C(checksums) (no page with a wrong checksum). What nobody
    could look at, such as a database that allows no connections, is named and never counted as equal.
  - A drill that passes is recorded on the host and on the backup, which is I(proven) from then on. One that does not
    pass is recorded on the host, and the module fails. A backup is condemned (not clean any more) only by what is about
    its own data, a damaged file, C(amcheck), C(rows) or C(checksums). A wrong answer to a check of the inventory or of
    C(dumps) fails the drill and condemns nothing, for the check or the dump may be what is wrong, and so does a proof
    that could not look.
  - A drill proves one repository, see O(repository). It reads backup and WAL from that one alone, and the canary has to
    reach that one, so what is wrong with a repository is found by its drill and condemns its own backup only.
  - One drill at a time. One that meets another on the host or in the keeper fails with C(busy).
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
  where:
    description:
      - With V(host) the copy is a container with the processors and the settings of the server, so that
        RV(drill.rto_seconds) is about what a lost data volume would take. With V(keeper) it runs as the scheduled job
        does, within the memory and processors of the keeper, with low priority.
    type: str
    choices: [host, keeper]
    default: host
    version_added: "0.2.0"
  repository:
    description:
      - Number of the repository to prove. V(1) is the one on the instance's own volume, the others are those of
        C(postgres_backup_repositories) in the inventory.
      - The scheduled job needs no number, it takes the repository whose proof is the oldest.
    type: int
    default: 1
    version_added: "0.2.0"
  label:
    description:
      - Label of the backup to prove, as the repository lists it. The default is its newest clean one.
    type: str
  max_age_seconds:
    description:
      - Do nothing and return the recorded drill when the backup was proven less than this many seconds ago.
    type: int
  memory:
    description:
      - Memory limit of the throw-away server, such as V(512MB). The default is half of the server's, at least 256MB.
      - Only with O(where=host).
    type: str
  cpus:
    description: Number of processors for the throw-away server. The default is the server's. Only with O(where=host).
    type: float
  heapallindexed:
    description: Also check that every row is found in every index. It reads each table once per index.
    type: bool
    default: true
  timeout_seconds:
    description:
      - How long the proofs may take. After that the copy is ended and the drill has failed, which condemns no backup.
      - The default is C(postgres_backup_drill_timeout_minutes) of the inventory.
    type: int
  keep_on_failure:
    description:
      - Leave the throw-away server in place when a proof fails, to look into it. The next drill removes it, and in the
        keeper, where only its files stay, so does the next clean-up, within five minutes.
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

- name: Drill as the schedule does, in the keeper
  pgkeep.postgres.drill:
    name: orders
    where: keeper
    timeout_seconds: 3600

- name: Prove the repository that is off-site, and give up after half an hour
  pgkeep.postgres.drill:
    name: orders
    repository: 2
    timeout_seconds: 1800

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
    where:
      description: V(host) or V(keeper).
      type: str
      returned: always
      sample: host
    repository:
      description: Number of the repository that the backup was in.
      type: int
      returned: always
      sample: 1
    duration_seconds:
      description: How long all of it took, the removal of the copy included.
      type: float
      returned: always
      sample: 12.75
    rto_seconds:
      description: Seconds from starting the copy to a server that accepts writes. None when it never did.
      type: float
      returned: always
      sample: 3.417
    rpo_seconds:
      description:
        - Seconds of work that would have been lost if the host had vanished when the drill began, with nothing left but
          this repository. It is the time since the newest heartbeat in the copy that was in the repository then, less
          the time in which nothing was written; V(0.0) when everything was there.
        - None without a heartbeat, and when the archive lags by more than the heartbeat remembers.
      type: float
      returned: always
      sample: 41.25
    archive_seconds:
      description: Seconds from the commit of the canary row until it was safe in the repository.
      type: float
      returned: always
      sample: 0.412
    size_bytes:
      description: Size of the databases in the backup.
      type: int
      returned: always
      sample: 1073741824
    repository_bytes:
      description: Size of what the backup added to the repository.
      type: int
      returned: always
      sample: 55574528
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
          description:
            - V(archive), V(recovery), V(canary), V(amcheck), V(rows), V(dumps), V(check <name>) for a check of the
              inventory, V(checksums), and V(deadline) when it took too long.
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
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_ask import drill_in_keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_record import DrillError
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run
from ansible_collections.pgkeep.postgres.plugins.module_utils._sandbox_host import on_host
from ansible_collections.pgkeep.postgres.plugins.module_utils._units import parse_bytes, parse_cpus

SPEC = argument_spec(
    where={"type": "str", "choices": ["host", "keeper"], "default": "host"},
    repository={"type": "int", "default": 1},
    label={"type": "str"},
    max_age_seconds={"type": "int"},
    memory={"type": "str"},
    cpus={"type": "float"},
    heapallindexed={"type": "bool", "default": True},
    timeout_seconds={"type": "int"},
    keep_on_failure={"type": "bool", "default": False},
)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    name, where, memory, cpus = (params.pop(key) for key in ("name", "where", "memory", "cpus"))
    memory_bytes = None if memory is None else parse_bytes(memory, "memory")
    processors = None if cpus is None else parse_cpus(cpus)
    request = Request(**params)
    try:
        if where == "host":
            return drill(on_host(run, name, memory_bytes, processors), request, check_mode)
        if memory is not None or cpus is not None:
            raise PgkeepError(
                "The keeper of %s cannot drill like this" % name,
                "memory and cpus are limits of a container of its own",
                "leave them out, or drill with where=host",
            )
        return drill_in_keeper(run, name, request, check_mode)
    except DrillError as error:
        # The object too, so that the reader of a failure sees every proof.
        failure = {"changed": True, "failed": True, "msg": str(error), "error": error.to_result()}
        return {**failure, "drill": error.drill.to_result()}


def main() -> None:
    run_module(manage, SPEC)


if __name__ == "__main__":
    main()
