#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: health
short_description: Judge the health of one PostgreSQL instance
version_added: "0.1.0"
description:
  - Logs in from outside as an application does, over TCP with TLS, verified certificate and SCRAM, and times a
    statement on the open connection. A login that fails for a reason a moment can cure is tried again after 1, 2 and
    4 seconds, each try for at most 5 seconds; a wrong password is not.
  - Adds the state of the container, its restarts, the disks of data and repository, the archiver, the age of the newest
    clean backup, how far the repositories besides the first one are, when each of them was last proven by a drill,
    timelines of other servers in the archive, what killed operations left, and the certificate that is really served.
  - Only the first repository is asked. Of the others it is judged what the keeper noted when it brought WAL there. One
    that fails or is 15 minutes behind warns, after 24 hours it is critical.
  - A value that cannot be measured is never counted as healthy; the check that is the cause is critical.
  - Restarts are counted from the log of the container, because the engine keeps no times of them. A crash that ended
    all sessions counts although the container went on; a start after a clean stop, as of a deploy, does not.
  - It changes nothing.
author: The pgkeep maintainers (@pgkeep)
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - The module only reads, so check mode does the same.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  host:
    description:
      - Address to log in to. It must be a name of the certificate.
      - Without it the address that the container publishes is used.
    type: str
  port:
    description: Port to log in to; without it the published one.
    type: int
  backup_warning_hours:
    description: Age of the newest clean backup that warns. The default is a daily schedule with two hours of patience.
    type: float
    default: 26
  backup_critical_hours:
    description: Age of the newest clean backup above which the instance is critical.
    type: float
    default: 50
  drill_warning_days:
    description:
      - Days since the last drill of a repository that passed, from which on it warns. The schedule proves the
        repositories in turn, so the days are multiplied by their number. The default is a drill every week with a day
        of patience.
      - What was never proven counts from its declaration.
    type: float
    default: 8
    version_added: "0.2.0"
  certificate_warning_days:
    description:
      - Days before the end of the certificate, or of the authority that signed it, from which on it warns. A deploy
        renews 30 days before the end, so none has run for nine days then.
    type: float
    default: 21
  certificate_critical_days:
    description: Days before the end of the certificate from which on the instance is critical.
    type: float
    default: 7
  fail_on:
    description: The status from which on the module fails. RV(health) is returned in any case.
    type: str
    choices: [critical, warning, never]
    default: never
"""

EXAMPLES = r"""
- name: Read the health of the instance
  pgkeep.postgres.health:
    name: "{{ inventory_hostname }}"
  register: result

- name: Stop a deploy when the instance is not well
  pgkeep.postgres.health:
    name: "{{ inventory_hostname }}"
    fail_on: critical

- name: Ask through the name that applications use, and wait until a login works
  pgkeep.postgres.health:
    name: app-db
    host: app-db.example.com
    port: 5432
  register: result
  until: result.health.ready
  retries: 5
  delay: 10

# Fails with: The instance app-db is critical. Why: container: the container is exited, exit code 137; database: not
# tried: the server's container does not run. Next: read docker logs app-db, then docker start app-db.
- name: Fail at a stopped server and show every reason
  pgkeep.postgres.health:
    name: app-db
    fail_on: critical
"""

RETURN = r"""
health:
  description: The health of the instance.
  type: dict
  returned: always
  contains:
    instance:
      description: Name of the instance.
      type: str
      returned: always
      sample: app-db
    time:
      description: When it was judged, RFC 3339 in UTC.
      type: str
      returned: always
      sample: "2026-11-21T20:31:05Z"
    status:
      description: The worst status of all checks, V(healthy), V(warning) or V(critical).
      type: str
      returned: always
      sample: warning
    ready:
      description: Whether an application can log in and work now.
      type: bool
      returned: always
      sample: true
    reasons:
      description: One sentence for every check that is not healthy.
      type: list
      elements: str
      returned: always
      sample: ["disk_data: 75.2 % of the space are used, 61 GB free below /var/lib/docker/volumes/app-db-data/_data"]
    checks:
      description: All checks.
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description:
            - One of C(container), C(database), C(response_time), C(connections), C(restarts), C(disk_data),
              C(disk_repository), C(checksums), C(archiver), C(backup), C(off_site), C(drill), C(timelines),
              C(leftovers), C(certificate), C(pooler) and C(pools).
          type: str
          returned: always
          sample: disk_data
        status:
          description: V(healthy), V(warning), V(critical), or V(unknown) when it could not be measured.
          type: str
          returned: always
          sample: warning
        value:
          description: What was measured, in RV(health.checks[].unit).
          type: raw
          returned: always
          sample: 75.2
        unit:
          description: Unit of the value and its bounds.
          type: str
          returned: always
          sample: "%"
        warn:
          description: Value from which on it warns.
          type: float
          returned: always
          sample: 70
        crit:
          description: Value beyond which it is critical.
          type: float
          returned: always
          sample: 85
        message:
          description: The finding as a sentence.
          type: str
          returned: always
          sample: 75.2 % of the space are used, 61 GB free below /var/lib/docker/volumes/app-db-data/_data
        hint:
          description: What to do, empty when healthy.
          type: str
          returned: always
          sample: free space or extend the disk
    connect_ms:
      description: Milliseconds of a new login, TLS and SCRAM included.
      type: float
      returned: always
      sample: 23.1
    response_ms:
      description: Milliseconds of C(SELECT 1) on the open connection, the median of three.
      type: float
      returned: always
      sample: 0.21
    version:
      description: Version of the server.
      type: str
      returned: always
      sample: "17.6"
    role:
      description: V(primary) or V(standby).
      type: str
      returned: always
      sample: primary
    uptime_seconds:
      description: Seconds since the server started.
      type: int
      returned: always
      sample: 5123
error:
  description: The message in its parts.
  type: dict
  returned: failure
  contains:
    what:
      description: What is wrong.
      type: str
      returned: always
      sample: The instance app-db is critical
    why:
      description: The reasons.
      type: str
      returned: always
      sample: "container: the container is exited, exit code 137"
    next_step:
      description: What to do.
      type: str
      returned: always
      sample: read docker logs app-db, then docker start app-db
    busy:
      description: Always false.
      type: bool
      returned: always
      sample: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._health import Limits, answer, judge
from ansible_collections.pgkeep.postgres.plugins.module_utils._health_facts import collect
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(
    host={"type": "str"},
    port={"type": "int"},
    backup_warning_hours={"type": "float", "default": 26},
    backup_critical_hours={"type": "float", "default": 50},
    drill_warning_days={"type": "float", "default": 8},
    certificate_warning_days={"type": "float", "default": 21},
    certificate_critical_days={"type": "float", "default": 7},
    fail_on={"type": "str", "choices": ["critical", "warning", "never"], "default": "never"},
)


def health(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    limits = Limits(
        backup_hours=(params["backup_warning_hours"], params["backup_critical_hours"]),
        drill_days=params["drill_warning_days"],
        certificate_days=(params["certificate_warning_days"], params["certificate_critical_days"]),
    )
    facts = collect(run, Layout(params["name"]), params["host"], params["port"])
    return answer(judge(facts, limits), params["fail_on"])


def main() -> None:
    run_module(health, SPEC)


if __name__ == "__main__":
    main()
