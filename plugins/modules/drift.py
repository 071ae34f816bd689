#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drift
short_description: Tell what differs between a declared instance and the real one
version_added: "0.2.0"
description:
  - Takes what M(pgkeep.postgres.instance) said in check mode, so that the inventory is read once, and adds what no
    deploy looks at. Those are settings of C(ALTER SYSTEM), C(ALTER ROLE) and C(ALTER DATABASE), files that the server
    has not read again, attributes, memberships and passwords of roles, roles and databases that nobody declared, files,
    containers, networks and environment of the instance that nobody declared, and timers that do not run.
  - The role postgres_server calls it, with C(tasks_from=drift); the playbook is C(playbooks/drift.yml).
  - Changes nothing. A server that does not answer is a finding.
  - Not looked at are privileges of single tables, which are the business of applications, and the data.
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
options:
  deploy:
    description:
      - What M(pgkeep.postgres.instance) returned in check mode with
        O(pgkeep.postgres.instance#module:restart=allowed). A failure of it is a finding as well.
    type: dict
    required: true
  host_command:
    description: What M(pgkeep.postgres.host_command) returned in check mode; empty where there is none.
    type: dict
    default: {}
  certificate_due:
    description: Whether the next deploy would make another certificate.
    type: bool
    default: false
  roles:
    description:
      - Declared roles, each with C(name), C(flags) as C(LOGIN,NOSUPERUSER), which is C(LOGIN) where it is not named,
        C(limit) and C(ended).
    type: list
    elements: dict
    default: []
  verifiers:
    description: By name of a role the SCRAM verifier of its password, as P(pgkeep.postgres.scram#filter) makes it.
    type: dict
    default: {}
  databases:
    description: As O(pgkeep.postgres.access#module:databases), with C(extensions).
    type: list
    elements: dict
    default: []
  users:
    description: As O(pgkeep.postgres.access#module:users).
    type: list
    elements: dict
    default: []
  logins:
    description: As O(pgkeep.postgres.access#module:logins).
    type: list
    elements: dict
    default: []
  accepted:
    description:
      - Patterns of findings that are wanted as they are. They are compared with area and item, with a colon and a space
        between them; V(*) stands for anything.
    type: list
    elements: str
    default: []
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Compare with what the deploy declares
  pgkeep.postgres.drift:
    name: app
    deploy: "{{ postgres_server_result }}"
    roles: [{name: shop, flags: "LOGIN,NOSUPERUSER"}]
    databases: [{name: shop}]
    users: [{name: shop, access: {shop: owner}}]
  register: result

- name: A search path that a migration has set is wanted
  pgkeep.postgres.drift:
    name: app
    deploy: "{{ postgres_server_result }}"
    accepted: ["role settings: shop: search_path"]

# Fails with: app: 1 difference. settings: work_mem: declared 4MB, actual 64MB by ALTER SYSTEM.
- name: Fail where anything differs, and say what
  ansible.builtin.assert:
    that: result.drift.in_sync
    fail_msg: "{{ result.drift.summary | join(' ') }}"
"""

RETURN = r"""
drift:
  description: What differs.
  returned: success
  type: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
      returned: success
      sample: app
    in_sync:
      description: Whether nothing differs, accepted findings aside.
      type: bool
      returned: success
      sample: false
    findings:
      description: The differences. Secrets are hidden.
      type: list
      elements: dict
      returned: success
      contains:
        area:
          description:
            - One of archiver, container, databases, deploy, files, hba, host command, image, indexes, network, pooler,
              privileges, release, role settings, roles, schedule, server, settings, tls, version, volumes.
          type: str
          returned: success
          sample: settings
        item:
          description: What of it.
          type: str
          returned: success
          sample: work_mem
        declared:
          description: How it shall be.
          type: str
          returned: success
          sample: 4MB
        actual:
          description: How it is.
          type: str
          returned: success
          sample: 64MB by ALTER SYSTEM
        fix:
          description: What brings the declared state back.
          type: str
          returned: success
          sample: run the playbook deploy.yml
        restart:
          description: What that costs the server, one of none, reload, restart, new container.
          type: str
          returned: success
          sample: reload
    accepted:
      description: Findings that O(accepted) covers, in the same form.
      type: list
      elements: dict
      returned: success
      sample: []
    compared:
      description: What could be asked, of plan, machine and server.
      type: list
      elements: str
      returned: success
      sample: [plan, machine, server]
    summary:
      description: The same for people, the verdict and a line for each finding.
      type: list
      elements: str
      returned: success
      sample: ["app: as declared"]
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._drift import compare
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(
    deploy={"type": "dict", "required": True},
    host_command={"type": "dict", "default": {}},
    certificate_due={"type": "bool", "default": False},
    roles={"type": "list", "elements": "dict", "default": []},
    verifiers={"type": "dict", "default": {}, "no_log": True},
    databases={"type": "list", "elements": "dict", "default": []},
    users={"type": "list", "elements": "dict", "default": []},
    logins={"type": "list", "elements": "dict", "default": []},
    accepted={"type": "list", "elements": "str", "default": []},
)


def drift(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    return compare(run, params)


def main() -> None:
    run_module(drift, SPEC)


if __name__ == "__main__":
    main()
