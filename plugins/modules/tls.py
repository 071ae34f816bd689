#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: tls
short_description: Exchange the certificate of an instance without an interruption
version_added: "0.2.0"
description:
  - Gives the server and its pooler, where there is one, another certificate and reloads them. Nothing else changes,
    whatever the inventory says meanwhile. Open connections stay, and new ones see the new certificate.
  - Refused before anything is touched is what clients would refuse - a certificate that has expired, lacks a name, is
    not signed by one of O(ca_certificate), or does not belong to O(private_key). An exchange that does not pass the
    gates of M(pgkeep.postgres.instance) is taken back.
  - At the end every port is asked for the certificate that it really serves.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details: Returns the plan, and refuses what would be refused.
  diff_mode:
    support: full
    details: Shows the certificates; the key is hidden.
  idempotent:
    support: full
options:
  certificate:
    description: PEM text, the server's own first, then those of authorities between it and one of O(ca_certificate).
    type: str
    required: true
  private_key:
    description: PEM text, without a passphrase.
    type: str
    required: true
  ca_certificate:
    description:
      - PEM text of the authorities that clients trust. While one is replaced it is both, so that clients know the new
        one before the first server shows it.
    type: str
    required: true
  names:
    description: Names that the certificate has to be good for, besides the address of the port.
    type: list
    elements: str
    default: []
seealso:
  - module: pgkeep.postgres.instance
  - module: pgkeep.postgres.rollback
author: The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: A certificate that the company's authority has signed
  pgkeep.postgres.tls:
    name: app
    certificate: "{{ lookup('ansible.builtin.file', 'app.crt', rstrip=false) }}"
    private_key: "{{ vault_app_key }}"
    ca_certificate: "{{ lookup('ansible.builtin.file', 'company.crt', rstrip=false) }}"
    names: [db.example.com]

- name: Would clients take it, and what would change?
  pgkeep.postgres.tls:
    name: app
    certificate: "{{ lookup('ansible.builtin.file', 'app.crt', rstrip=false) }}"
    private_key: "{{ vault_app_key }}"
    ca_certificate: "{{ lookup('ansible.builtin.file', 'company.crt', rstrip=false) }}"
  check_mode: true
  diff: true

# It fails with: The certificate of app cannot be used. Why: a client of 192.0.2.11 would refuse it: …
- name: Say why it was refused
  block:
    - name: Exchange it
      pgkeep.postgres.tls:
        name: app
        certificate: "{{ lookup('ansible.builtin.file', 'app.crt', rstrip=false) }}"
        private_key: "{{ vault_app_key }}"
        ca_certificate: "{{ lookup('ansible.builtin.file', 'company.crt', rstrip=false) }}"
      register: result
  rescue:
    - name: Say why and what to do
      ansible.builtin.debug:
        msg: "{{ result.error.why }}; {{ result.error.next_step }}"
"""

RETURN = r"""
tls:
  description: What every port serves; empty in check mode.
  returned: success
  type: dict
  contains:
    serial:
      description: Serial number of the certificate, hexadecimal.
      type: str
      returned: not in check mode
      sample: 3A5F0C1B
    not_after:
      description: When it ends, in the words of OpenSSL.
      type: str
      returned: not in check mode
      sample: Feb  6 09:15:00 2027 GMT
    served_by:
      description: The containers whose ports were asked.
      type: list
      elements: str
      returned: not in check mode
      sample: [app, app-pooler]
instance:
  description: The instance after the run, as M(pgkeep.postgres.instance) returns it.
  returned: success
  type: dict
  sample:
    name: app
    running: true
    release: 20260105T020000.000000Z
    interruption_ms: 0
    restore_point: null
error:
  description: What did not work, with the keys C(what), C(why), C(next_step), C(busy) and, of a gate, C(gate).
  returned: failure
  type: dict
  sample:
    what: The certificate of app cannot be used
    why: "a client of 192.0.2.11 would refuse it: IP address mismatch, certificate is not valid for '192.0.2.11'."
    next_step: have it signed for that name too
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run
from ansible_collections.pgkeep.postgres.plugins.module_utils._tls import OPTIONS, exchange

SPEC = argument_spec(**OPTIONS)


def renew(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    return exchange(run, params["name"], params, check_mode)


def main() -> None:
    run_module(renew, SPEC)


if __name__ == "__main__":
    main()
