#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: monitor_info
short_description: Tell how an instance is at this moment
version_added: "0.2.0"
description:
  - Asks the keeper of the instance for its newest snapshot, and the engine for the state of the containers, as
    C(pgkeep <instance> monitor) does. It changes nothing and takes less than a second.
  - It succeeds also when the keeper or the server is down; then RV(monitor.status) is V(critical) and
    RV(monitor.reasons) says why. M(pgkeep.postgres.health) looks by itself instead of asking the keeper, and takes
    longer.
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
seealso:
  - module: pgkeep.postgres.health
  - module: pgkeep.postgres.backup_info
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Ask how it is
  pgkeep.postgres.monitor_info:
    name: orders
  register: result

- name: Go on only when it is well
  ansible.builtin.assert:
    that: result.monitor.status == 'healthy'
    fail_msg: "{{ result.monitor.reasons | join('; ') }}"

- name: Wait until few sessions are left
  pgkeep.postgres.monitor_info:
    name: orders
  register: result
  until: result.monitor.sessions is not none and result.monitor.sessions < 5
"""

RETURN = r"""
monitor:
  description: The instance at this moment; what is not known is null.
  returned: success
  type: dict
  contains:
    instance:
      description: Its name.
      type: str
      returned: success
      sample: orders
    status:
      description: V(healthy), V(warning) or V(critical); V(critical) too where nobody answers.
      type: str
      returned: success
      sample: healthy
    ready:
      description: Whether it takes work now.
      type: bool
      returned: success
      sample: true
    version:
      description: Version of PostgreSQL.
      type: str
      returned: success
      sample: "17.12"
    role:
      description: V(primary) or V(replica).
      type: str
      returned: success
      sample: primary
    sessions:
      description: Sessions of clients.
      type: int
      returned: success
      sample: 9
    sessions_maximum:
      description: How many there may be.
      type: int
      returned: success
      sample: 100
    transactions_per_second:
      description: Transactions a second.
      type: float
      returned: success
      sample: 123.4
    response_ms:
      description: Time of SELECT 1 on a kept connection.
      type: float
      returned: success
      sample: 0.2
    disk_worst_percent:
      description: Use of the fullest volume.
      type: float
      returned: success
      sample: 75.2
    backup_age_seconds:
      description: Age of the newest clean backup.
      type: float
      returned: success
      sample: 34211.0
    drill_result:
      description: Result of the last drill.
      type: str
      returned: success
      sample: ok
    drill_age_seconds:
      description: How long ago that was.
      type: float
      returned: success
      sample: 30000.0
    alerts_failing:
      description: Receivers that get no alerts.
      type: list
      elements: str
      returned: success
      sample: []
    alerts_waiting:
      description: Alerts that wait.
      type: int
      returned: success
      sample: 0
    reasons:
      description: Why it is not healthy.
      type: list
      elements: str
      returned: success
      sample: []
    status_object:
      description:
        - The whole answer of the keeper's C(/status), with C(containers), what the engine says of each container, and
          C(silent), why the keeper gives no answer.
      type: dict
      returned: success
      sample: {}
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The instance name 'Orders' cannot be used
    why: "names are 2 to 32 characters: lower-case letters, digits and hyphens, starting with a letter"
    next_step: rename the inventory host
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor_fleet import look


def main() -> None:
    run_module(look, argument_spec())


if __name__ == "__main__":
    main()
