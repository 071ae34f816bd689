#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: access
short_description: Bring roles, schemas and privileges of databases to their declared state
version_added: "0.1.0"
description:
  - Asks the catalogues of each database in one query what is missing, and grants or revokes that in one transaction.
  - A database to which a user has C(access) gets three roles that cannot log in, C(<database>_owner),
    C(<database>_readwrite) and C(<database>_readonly). The first one owns the database and its schemas, unless it
    has an C(owner); what it makes later can be read and written by the members of the others too.
    A role of such a name that somebody else made, or that can log in or has another attribute, is refused.
  - The sessions of a user with the access V(owner) begin as the owner, so that whatever several of them make has one
    owner. What such a user made before goes to the owner.
  - Every database is closed to everybody else, and its schema C(public) to new tables of everybody else.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  databases:
    description:
      - Databases, which must exist, as O(pgkeep.postgres.postgres_server#role:main:postgres_server_databases).
        Looked at are C(name), C(owner) and C(schemas).
    type: list
    elements: dict
    required: true
  users:
    description:
      - Roles that may use them, which must exist, as
        O(pgkeep.postgres.postgres_server#role:main:postgres_server_users).
        Looked at are C(name), C(databases) and C(access).
    type: list
    elements: dict
    required: true
  logins:
    description:
      - The roles that log in for these users, where some have two, as P(pgkeep.postgres.logins#filter) returns them.
        Looked at are C(name), C(user), C(expires) and C(ended); one that has ended need not exist.
    type: list
    elements: dict
    default: []
  roles:
    description:
      - Roles that have to be there first, with C(name), C(flags) in the words of
        M(community.postgresql.postgresql_user) and C(limit), the number of connections.
      - With it nothing is done while one of these roles, a database or one of its C(extensions) is not there or not as
        declared; RV(access.absent) says which.
    type: list
    elements: dict
  verifiers:
    description: For the password of these roles the SHA-256 of the SCRAM verifier, in hexadecimal, by name.
    type: dict
    default: {}
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: One application that owns its database, and a report that reads it
  pgkeep.postgres.access:
    name: app
    databases:
      - name: shop
        schemas: [billing]
    users:
      - name: shop
        access: {shop: owner}
      - name: reporting
        access: {shop: readonly}

- name: What would be granted?
  pgkeep.postgres.access:
    name: app
    databases: [{name: shop}]
    users: [{name: reporting, access: {shop: readwrite}}]
  check_mode: true
  register: result

- name: A role that is not there is named, and nothing stays of what was granted before
  pgkeep.postgres.access:
    name: app
    databases: [{name: shop}]
    users: [{name: nobody, access: {shop: readonly}}]
  register: result
  failed_when: result.error.why is not search('role "nobody" does not exist')
"""

RETURN = r"""
access:
  description: What was done, or in check mode would be.
  returned: success
  type: dict
  contains:
    statements:
      description: SQL in the order it was run in.
      type: list
      elements: dict
      returned: success
      contains:
        database:
          description: Database it ran in.
          type: str
          returned: success
          sample: shop
        statement:
          description: SQL.
          type: str
          returned: success
          sample: grant "shop_readonly" to "reporting"
    absent:
      description: What of O(roles) and O(databases) is not there or not as declared, so that nothing was done.
      type: dict
      returned: success
      contains:
        roles: {description: Names of roles., type: list, elements: str, returned: success, sample: [shop]}
        databases: {description: Names of databases., type: list, elements: str, returned: success, sample: [shop]}
        extensions:
          description: Extensions, with C(database) and C(name).
          type: list
          elements: dict
          returned: success
          sample: [{database: shop, name: pg_trgm}]
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: Privileges in the database shop are not as declared
    why: canceling statement due to lock timeout
    next_step: correct what it names, then run again; in this database nothing was changed
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._access import bring_about
from ansible_collections.pgkeep.postgres.plugins.module_utils._clients import check_objects
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(
    databases={"type": "list", "elements": "dict", "required": True},
    users={"type": "list", "elements": "dict", "required": True},
    logins={"type": "list", "elements": "dict", "default": []},
    roles={"type": "list", "elements": "dict"},
    verifiers={"type": "dict", "default": {}, "no_log": True},
)


def access(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    databases, users = params["databases"], params["users"]
    check_objects(users, databases)
    layout, logins = Layout(params["name"]), params["logins"]
    return bring_about(layout, databases, users, logins, check_mode, params["roles"], params["verifiers"])


def main() -> None:
    run_module(access, SPEC)


if __name__ == "__main__":
    main()
