#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Take an instance back to its newest state, a backup, a moment or a position
version_added: "0.1.0"
description:
  - Restores beside the old data, starts the copy without network, waits for the end of recovery, reads every database,
    and only then exchanges the data directories. Whatever fails before, the old server serves as before.
  - Without a target it is the newest state. The old server is stopped first, and WAL that it could not archive any more
    is rescued from its data directory. For the other targets it serves until the copy is proven.
  - Targets are validated against the archive before anything stops. One in a gap of the archive is refused.
  - Works from the release record and the repository alone. Containers and the data volume may be gone; the containers
    are then made as the last deploy made them.
  - The old data stay on the volume, and the result says how to go back to them.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
  - pgkeep.postgres._target
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
  action:
    description:
      - V(restore) replaces the data.
      - V(preview) makes a copy that stands at the target, read-only and without network, while the server goes on.
      - V(promote) puts the preview in the place of the data, as a restore does.
      - V(clone) makes a throw-away copy O(into) with a volume of its own, which cannot archive.
      - V(abandon) removes the preview, or with O(into) that clone.
      - V(sweep) removes the copies whose time is over. Every other action does so too.
    type: str
    choices: [restore, preview, promote, clone, abandon, sweep]
    default: restore
  confirm:
    description:
      - The name of the instance once more. Without it O(action=restore) and O(action=promote) do nothing, and the
        module fails with the reason.
    type: str
  into:
    description: Name of the clone.
    type: str
  port:
    description: Port of 127.0.0.1 for the clone. Without it there is only C(docker exec).
    type: int
  masking_sql:
    description:
      - Script for C(psql) that runs in a clone before it has a network, in the database C(postgres) until it says
        C(\\connect). The first error ends it, and the clone is removed.
    type: str
  ttl_seconds:
    description: How long a preview or a clone stands. Then it ends by itself and removes its data.
    type: int
    default: 14400
  keep_previous:
    description:
      - How many old data directories stay on the volume after a success, the one that this restore replaces and those
        that an undo left aside included. With V(0) there is no way back.
    type: int
    default: 1
  timeout_seconds:
    description: How long the restore with its recovery, and then the start of the server, may take each.
    type: int
    default: 21600
seealso:
  - module: pgkeep.postgres.backup_info
  - module: pgkeep.postgres.restore_point
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

- name: Look at the state before a release, then bring it back
  pgkeep.postgres.restore:
    name: orders
    action: "{{ item }}"
    confirm: orders
    restore_point: "{{ 'before-release-42' if item == 'preview' else omit }}"
  loop: [preview, promote]

- name: Give developers a masked copy for a day
  pgkeep.postgres.restore:
    name: orders
    action: clone
    into: orders-look
    port: 5499
    masking_sql: "{{ lookup('ansible.builtin.file', 'masking.sql') }}"
    ttl_seconds: 86400

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
      description:
        - V(latest), V(immediate), the label, the moment in RFC 3339 format, UTC, or the kind and value of the target,
          such as V(lsn 0/3000060). None for V(abandon) and V(sweep), as is everything but the copies and steps.
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
    lost:
      description:
        - The time whose commits are not in what is restored, with C(from), C(to) (RFC 3339, UTC) and C(seconds). None
          for the newest state, for a clone, and for an O(lsn) or O(xid) in check mode. The old data have them.
      type: dict
      returned: always
      sample: {from: "2026-11-21T20:12:31Z", to: "2026-11-21T20:13:01Z", seconds: 30}
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
      description:
        - The command, to be run as root on the host, that brings the old data back. None without old data.
        - It leaves the restored data aside as C(data.undone-<time>), which the next restore treats as old data.
      type: str
      returned: always
      sample: docker stop orders && mv … && mv … && docker start orders
    copies:
      description:
        - The previews and clones that stand now, with C(kind), C(name), C(container), C(target), C(label),
          C(reached_time), C(created_at), C(expires_at), C(port), C(masked), and in C(psql) the command to look at it.
      type: list
      elements: dict
      returned: always
      sample: []
    steps:
      description:
        - What was done, in sentences; in check mode the plan. They also say why the backup is not clean, if it is
          not, and which volumes and containers were gone and made anew.
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

from ansible_collections.pgkeep.postgres.plugins.module_utils._module import (
    ONE_TARGET,
    TARGET,
    argument_spec,
    run_module,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_actions import act
from ansible_collections.pgkeep.postgres.plugins.module_utils._restore_plan import Request
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

ACTIONS = ["restore", "preview", "promote", "clone", "abandon", "sweep"]

SPEC = argument_spec(
    action={"type": "str", "choices": ACTIONS, "default": "restore"},
    confirm={"type": "str"},
    into={"type": "str"},
    port={"type": "int"},
    masking_sql={"type": "str", "no_log": True},
    ttl_seconds={"type": "int", "default": 14400},
    keep_previous={"type": "int", "default": 1},
    timeout_seconds={"type": "int", "default": 21600},
    **TARGET,
)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    return act(run, Request(**params), check_mode)


def main() -> None:
    run_module(
        manage,
        SPEC,
        mutually_exclusive=ONE_TARGET,
        required_if=[("action", "clone", ["into"])],
    )


if __name__ == "__main__":
    main()
