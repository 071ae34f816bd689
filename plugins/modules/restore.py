#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Take an instance back to its newest state, a backup or a moment
version_added: "0.1.0"
description:
  - Restores beside the old data, starts the copy without network, waits for the end of recovery, reads every database,
    and only then exchanges the data directories. Whatever fails before, the old server serves as before.
  - Without O(label) and O(time) the target is the newest state. The old server is stopped first, and WAL that it could
    not archive any more is rescued from its data directory. For the other targets it serves until the copy is proven.
  - Works from the release record and the repository alone. Containers and the data volume may be gone; the containers
    are then made as the last deploy made them.
  - The old data stay on the volume, and the result says how to go back to them.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - Everything is validated and RV(restore.steps) is the plan. Nothing is touched.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run is a restore.
options:
  confirm:
    description: The name of the instance once more. Without it nothing happens, and the module fails with the reason.
    type: str
  label:
    description:
      - Restore the state at the end of this backup, as M(pgkeep.postgres.backup_info) lists it. WAL written later is
        not replayed. A backup that is not clean is taken too; the copy has to prove itself all the same.
    type: str
  time:
    description:
      - Restore the state at this moment, such as V(2026-11-21T20:12:31Z) or V(2026-11-21 21:12:31.5+01:00). What was
        committed later is not there. The timezone is required.
    type: str
  repository:
    description:
      - Number of the repository to restore from.
      - Without it, the first one that has a backup is taken. The one on the instance's own volume comes first, and is
        passed over only when it has no backup or its volume is gone.
    type: int
  keep_previous:
    description:
      - How many old data directories stay on the volume after a success, the one that this restore replaces included.
        With V(0) there is no way back.
    type: int
    default: 1
  timeout_seconds:
    description: How long the restore with its recovery, and then the start of the server, may take each.
    type: int
    default: 21600
seealso:
  - module: pgkeep.postgres.backup_info
  - module: pgkeep.postgres.drill
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Bring the newest state back, for example after the data volume was lost
  pgkeep.postgres.restore:
    name: orders
    confirm: orders
  register: result

- name: Say what was done and how to undo it
  ansible.builtin.debug:
    msg: "{{ result.restore.steps + [result.restore.undo] }}"

- name: See what a restore to a moment before a mistake would do
  pgkeep.postgres.restore:
    name: orders
    confirm: orders
    time: "2026-11-21T20:12:31Z"
  check_mode: true

- name: Bring back the state at the end of a backup
  pgkeep.postgres.restore:
    name: orders
    confirm: orders
    label: 20261121-020004F

- name: Bring everything back from the off-site repository, the local one notwithstanding
  pgkeep.postgres.restore:
    name: orders
    confirm: orders
    repository: 2

- name: Read why a restore failed
  block:
    - name: Restore
      pgkeep.postgres.restore:
        name: orders
        confirm: orders
      register: result
  rescue:
    - name: Show the reason, and whether the old server serves again
      ansible.builtin.debug:
        msg: "{{ result.error.why }} (rolled back: {{ result.error.rolled_back | default('nothing was touched') }})"
"""

RETURN = r"""
restore:
  description: What was done, or in check mode would be.
  returned: success
  type: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
      returned: always
      sample: orders
    target:
      description: V(latest), the label or the moment in RFC 3339 format, UTC.
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
    timeline_before:
      description: Timeline that was in production.
      type: int
      returned: always
      sample: 1
    timeline_after:
      description: Timeline that is in production now. None in check mode.
      type: int
      returned: always
      sample: 2
    reached_time:
      description:
        - When the last recovered transaction was committed, in RFC 3339 format, UTC; the end of the backup when no
          transaction was replayed. None in check mode.
      type: str
      returned: always
      sample: "2026-11-21T20:12:29.104512Z"
    rescued_segments:
      description: Number of WAL segments that only the old data directory had. None in check mode.
      type: int
      returned: always
      sample: 1
    previous_data:
      description: Path on the host of the old data. None when there were none, when none are kept, and in check mode.
      type: str
      returned: always
      sample: /var/lib/docker/volumes/orders-data/_data/17/data.previous-20261121T201301.103451Z
    rto_seconds:
      description: Seconds from the first change to a server that accepts writes. None in check mode.
      type: float
      returned: always
      sample: 5.318
    interruption_seconds:
      description: Seconds without a server that accepts writes. None when none did before, and in check mode.
      type: float
      returned: always
      sample: 1.207
    undo:
      description: The command, to be run as root on the host, that brings the old data back. None without old data.
      type: str
      returned: always
      sample: docker stop orders && mv … && mv … && docker start orders
    steps:
      description: What was done, in sentences; in check mode the plan.
      type: list
      elements: str
      returned: always
      sample:
        - Stopped the server
        - Exchanged the data directories
        - Started the server; it accepts writes
error:
  description:
    - What did not work, with the keys C(what), C(why), C(next_step) and C(busy). C(rolled_back) is there when the
      restore had begun, and says whether everything is as before.
  returned: failure
  type: dict
  sample:
    what: The restore of orders to latest failed
    why: >-
      The restore failed: [055]: unable to open missing file; in the repository: file missing
      '20261121-020004F/bundle/2'; the server was started again on its old data
    next_step: choose another backup with label (backup_info lists them), then look after the repository's disk
    busy: false
    rolled_back: true
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore import restore
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_plan import Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(
    confirm={"type": "str"},
    label={"type": "str"},
    time={"type": "str"},
    repository={"type": "int"},
    keep_previous={"type": "int", "default": 1},
    timeout_seconds={"type": "int", "default": 21600},
)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    return restore(run, Request(**params), check_mode)


def main() -> None:
    run_module(manage, SPEC, mutually_exclusive=[("label", "time")])


if __name__ == "__main__":
    main()
