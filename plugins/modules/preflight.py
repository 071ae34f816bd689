#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Judge whether a machine, or an instance, is ready
version_added: "0.1.0"
description:
  - Looks at everything once and reports all findings together, each with its evidence and what to do about it.
  - Before a deploy it checks what must hold for it, such as system, engine, memory, port and disk. After a deploy it
    checks machine, engine, image, container, settings, security and backups.
  - A check that cannot be made is reported as V(skip) with the reason and never as passed. With any check skipped or
    waived the verdict is at best V(READY_WITH_WARNINGS).
  - What has to be seen on the machine is read; nothing is changed, except by O(restart_test),
    O(exercise) and O(report_dir).
author: The pgkeep maintainers (@pgkeep)
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
  - pgkeep.postgres._wanted
attributes:
  check_mode:
    support: full
    details:
      - The checks are made. The report is not written and O(restart_test) is not done.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Writing the report, which carries its time, is not counted as a change.
options:
  phase:
    description: Whether the instance is still to be deployed or is deployed.
    type: str
    choices: [before, after]
    default: after
  keys:
    description:
      - Which passphrases of backups and dumps the control node has, so that check B12 can tell whether it misses one
        that the host uses. For each the name of its file, such as C(repository.passphrase), C(repository2.passphrase)
        and C(dumps.passphrase), and the SHA-256 of its content without the line end. Without it B12 is skipped.
    type: dict
  restart_test:
    description:
      - Stop and start the server and watch that the stop is clean and the data is the same (check C12).
      - It interrupts the instance for some seconds, so it belongs to the day before going live.
    type: bool
    default: false
  exercise:
    description:
      - What to try for real. V(restart) is O(restart_test) (checks C12 and K05), V(load) runs pgbench in a database of
        its own (K03), V(disk) writes to the disk of the data for a second (K02).
      - Not in check mode. Without it these checks are skipped.
    type: list
    elements: str
    choices: [restart, load, disk]
    default: []
    version_added: "0.2.0"
  load:
    description:
      - What V(load) of O(exercise) wants. C(clients) connections for C(seconds) have to make C(tps) transactions a
        second, 95 of 100 within C(p95_ms). What is left out is 4, 5, 50 and 100.
    type: dict
    default: {}
    version_added: "0.2.0"
  rpo_seconds:
    description: How much may be lost, as somebody promised it; B10 compares the last drill with it.
    type: float
    version_added: "0.2.0"
  rto_seconds:
    description: How long a restore may take, as somebody promised it; B10 and K05 compare with it.
    type: float
    version_added: "0.2.0"
  prometheus_url:
    description: Where Prometheus answers, as this host reaches it. Without it M01, M02, M06 and M07 are skipped.
    type: str
    default: ""
    version_added: "0.2.0"
  prometheus_selector:
    description: Matcher of the series of this instance. Without it C(instance="<name>").
    type: str
    default: ""
    version_added: "0.2.0"
  alertmanager_url:
    description: Where Alertmanager answers, as this host reaches it. Without it M03 is skipped.
    type: str
    default: ""
    version_added: "0.2.0"
  panels:
    description: Expressions of dashboards, in PromQL. Each has to have data (M07).
    type: list
    elements: str
    default: []
    version_added: "0.2.0"
  waivers:
    description:
      - Failures that are accepted, by the id of their check. Each has a C(reason) and may have an C(until), a date
        after which the check fails again. A waived check never counts as passed.
    type: dict
    default: {}
  report_dir:
    description:
      - Folder of the managed host for C(preflight.json), C(preflight.md), C(preflight.html), which is one page without
        anything beside it, and C(preflight.xml), which CI servers read as JUnit.
      - What the keeper serves as C(/production-readiness) is written too, without anything that the host keeps secret.
    type: path
  enforce:
    description: Whether the module fails at V(NOT_READY). RV(preflight) is returned in any case.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Stop before a deploy that could not work
  pgkeep.postgres.preflight:
    name: "{{ inventory_hostname }}"
    phase: before
    memory: 4GB
    cpus: 2
    port: 5432
    major: 17
    profile: oltp

- name: Look without failing, and keep the report on the host
  pgkeep.postgres.preflight:
    name: "{{ inventory_hostname }}"
    enforce: false
    report_dir: /var/lib/pgkeep/{{ inventory_hostname }}/preflight
  register: result

- name: Go live, and accept for a while that the only copy of the backups is on the same host
  pgkeep.postgres.preflight:
    name: "{{ inventory_hostname }}"
    restart_test: true
    waivers:
      B05:
        reason: The object store is ordered.
        until: "2027-01-31"

# Fails with: The instance app-db is not ready: 1 check failed. Why: H13 (The port is free or ours) 127.0.0.1:5432:
# address in use, held by process nginx pid=812 fd=6. Next: H13: choose another port or end who holds it.
- name: Find the port taken
  pgkeep.postgres.preflight:
    name: app-db
    phase: before
    port: 5432
"""

RETURN = r"""
preflight:
  description: The findings and what follows from them.
  type: dict
  returned: always
  contains:
    schema:
      description: Version of this object.
      type: int
      returned: always
      sample: 1
    instance:
      description: Name of the instance.
      type: str
      returned: always
      sample: app-db
    phase:
      description: V(before) or V(after).
      type: str
      returned: always
      sample: after
    generated_at:
      description: When it was judged, RFC 3339 in UTC.
      type: str
      returned: always
      sample: "2026-11-21T20:31:05Z"
    verdict:
      description:
        - V(NOT_READY) when a blocker or critical check failed, V(READY) when every check passed, else
          V(READY_WITH_WARNINGS).
      type: str
      returned: always
      sample: READY_WITH_WARNINGS
    score:
      description: How many percent of the checks that could be made passed. It decides nothing.
      type: int
      returned: always
      sample: 96
    checklist:
      description:
        - What is to be done before going live, after a deploy. Each C(step) is C(done) when its C(checks) passed or are
          waived.
      type: list
      elements: dict
      returned: always
      sample: [{"step": A restore is tested, "done": true, "checks": [{"id": B03, "result": pass}]}]
    measured:
      description:
        - Numbers that a report of many instances compares, after a deploy. C(version), when the newest clean backup was
          made (C(backup_at)), when one was last proven (C(proven_at)), C(rto_seconds) and C(rpo_seconds) of the last
          drill, C(goals) and C(disks) with C(used_percent) and C(free_bytes).
      type: dict
      returned: always
      sample: {"version": "17.6", "backup_at": "2026-11-21T02:00:09Z", "rto_seconds": 12.5, "rpo_seconds": 0.4}
    summary:
      description: Number of checks that passed, failed as a warning, failed, were skipped and were waived.
      type: dict
      returned: always
      sample: {"pass": 41, "warn": 1, "fail": 0, "skip": 9, "waived": 1}
    checks:
      description: All checks of the phase.
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: Id of the check; it stays the same over all releases.
          type: str
          returned: always
          sample: H13
        area:
          description: What it looks at.
          type: str
          returned: always
          sample: host
        title:
          description: What holds when it passes.
          type: str
          returned: always
          sample: The port is free or ours
        severity:
          description: V(blocker), V(critical) or V(warning).
          type: str
          returned: always
          sample: blocker
        result:
          description: V(pass), V(fail), V(skip) or V(waived).
          type: str
          returned: always
          sample: fail
        evidence:
          description: What was seen; for a skipped check why it could not be made.
          type: str
          returned: always
          sample: "127.0.0.1:5432: address in use, held by process nginx pid=812 fd=6"
        fix:
          description: What to do; empty unless it failed.
          type: str
          returned: always
          sample: choose another port or end who holds it
        waiver:
          description: The reason why the failure is accepted.
          type: str
          returned: always
          sample: null
        waived_until:
          description: The last day of the waiver; null where it has none.
          type: str
          returned: always
          sample: "2027-01-31"
error:
  description: The message in its parts.
  type: dict
  returned: failure
  contains:
    what:
      description: What is wrong.
      type: str
      returned: always
      sample: "The instance app-db is not ready: 1 check failed"
    why:
      description: The evidence of every failed check.
      type: str
      returned: always
      sample: "H13 (The port is free or ours) 127.0.0.1:5432: address in use, held by process nginx pid=812 fd=6"
    next_step:
      description: What to do about each.
      type: str
      returned: always
      sample: "H13: choose another port or end who holds it"
    busy:
      description: Whether another operation holds the instance, so that O(restart_test) could not be done.
      type: bool
      returned: always
      sample: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._host_budget import CPU_OVERCOMMIT, MEMORY_OVERCOMMIT
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import preflight
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import PROFILES

NEIGHBOUR = {
    "name": {"type": "str", "required": True},
    "memory": {"type": "str"},
    "keeper_memory": {"type": "str"},
    "pooler_memory": {"type": "str"},
    "cpus": {"type": "float"},
    "profile": {"type": "str", "choices": list(PROFILES), "default": "web"},
    "settings": {"type": "dict"},
    "bind_address": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int"},
    "pooler_port": {"type": "int"},
    "keeper_port": {"type": "int"},
    "keeper_bind_address": {"type": "str", "default": "127.0.0.1"},
}

SPEC = argument_spec(
    phase={"type": "str", "choices": ["before", "after"], "default": "after"},
    memory={"type": "str"},
    cpus={"type": "float"},
    port={"type": "int"},
    bind_address={"type": "str", "default": "127.0.0.1"},
    keeper_memory={"type": "str"},
    pooler_memory={"type": "str"},
    pooler_port={"type": "int"},
    keeper_port={"type": "int"},
    keeper_bind_address={"type": "str", "default": "127.0.0.1"},
    neighbours={"type": "list", "elements": "dict", "default": [], "options": NEIGHBOUR},
    cpu_overcommit={"type": "float", "default": CPU_OVERCOMMIT},
    memory_overcommit={"type": "float", "default": MEMORY_OVERCOMMIT},
    restart_window={"type": "str", "default": ""},
    major={"type": "int"},
    profile={"type": "str", "choices": ["web", "oltp", "dw", "mixed", "desktop"], "default": "web"},
    disk={"type": "str", "choices": ["ssd", "hdd", "san", "nvme"], "default": "ssd"},
    connections={"type": "int", "default": 0},
    settings={"type": "dict"},
    users={"type": "list", "elements": "dict", "default": []},
    databases={"type": "list", "elements": "dict", "default": []},
    init_sql={"type": "list", "elements": "dict", "default": []},
    keys={"type": "dict", "no_log": True},
    restart_test={"type": "bool", "default": False},
    exercise={"type": "list", "elements": "str", "choices": ["restart", "load", "disk"], "default": []},
    load={"type": "dict", "default": {}},
    rpo_seconds={"type": "float"},
    rto_seconds={"type": "float"},
    prometheus_url={"type": "str", "default": ""},
    prometheus_selector={"type": "str", "default": ""},
    alertmanager_url={"type": "str", "default": ""},
    panels={"type": "list", "elements": "str", "default": []},
    waivers={"type": "dict", "default": {}},
    report_dir={"type": "path"},
    enforce={"type": "bool", "default": True},
)


def main() -> None:
    run_module(preflight, SPEC)


if __name__ == "__main__":
    main()
