#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: alert_test
short_description: Send one alert through the whole way out and wait until it arrived
version_added: "0.1.0"
description:
  - Puts an alert with an id of its own into the queue of the keeper, where every real one goes too, and waits until
    each receiver has accepted it. A webhook accepts with an HTTP status of 2xx, a mail server with 250.
  - Fails when one has not, with the words of that receiver. The alert is then taken back, so that it does not arrive
    hours later.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details:
      - Sends nothing and returns the receivers.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run sends an alert.
options:
  timeout_seconds:
    description: How long to wait for all receivers together, and for O(receiver_check) after that.
    type: int
    default: 30
  receiver_check:
    description:
      - URL of a page that shows what arrived, such as the search of a mail archive. It is read on the host of the
        instance until it contains the id of the alert.
      - V({id}) in it stands for the id.
    type: str
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: See that alerts arrive
  pgkeep.postgres.alert_test:
    name: orders

- name: Believe it only when the archive of the mailing list shows it
  pgkeep.postgres.alert_test:
    name: orders
    timeout_seconds: 120
    receiver_check: https://lists.example.org/search?q={id}

- name: Read which receiver failed
  block:
    - name: See that alerts arrive
      pgkeep.postgres.alert_test:
        name: orders
      register: result
  rescue:
    - name: Show the words of each receiver
      ansible.builtin.debug:
        msg: "{{ result.error.why }}"
"""

RETURN = r"""
alert_test:
  description: The alert and who took it.
  returned: success
  type: dict
  contains:
    id:
      description:
        - Id of the alert. It is in the JSON of a webhook and in the last line of an e-mail. None in check mode.
      type: str
      returned: always
      sample: 8f0c5d6a1b7e4a0d9c3e2f4b5a697887
    receivers:
      description: Every receiver of the inventory.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Its name, V(email) for the mail server.
          type: str
          returned: always
          sample: ops
        delivered:
          description: Whether it accepted the alert. False in check mode.
          type: bool
          returned: always
          sample: true
        seconds:
          description: Seconds from queueing until it was accepted, to the millisecond. None when it was not.
          type: float
          returned: always
          sample: 1.204
        answer:
          description: What it answered. None when it did not accept.
          type: str
          returned: always
          sample: HTTP 200
        error:
          description: Why it did not accept. None when it did.
          type: str
          returned: always
          sample: null
    seen:
      description: Whether O(receiver_check) showed the id. None when it was not asked.
      type: bool
      returned: always
      sample: true
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The test alert of orders did not arrive everywhere
    why: "ops: HTTP 401 Unauthorized; email took it (250 accepted)"
    next_step: >-
      correct what it names in postgres_backup_alerts and deploy, or let the keeper reach the receiver; then repeat
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._alert_proof import prove
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module


def main() -> None:
    run_module(
        prove,
        argument_spec(
            timeout_seconds={"type": "int", "default": 30},
            receiver_check={"type": "str"},
        ),
    )


if __name__ == "__main__":
    main()
