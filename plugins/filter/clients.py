# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.clients."""

from __future__ import annotations

DOCUMENTATION = r"""
name: clients
short_description: Who may log in to which database, from the users and databases of an inventory
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Joins users, databases and passwords to the list that O(pgkeep.postgres.instance#module:clients) takes.
options:
  _input:
    description:
      - Users, each with C(name) and optionally C(databases) and C(access).
      - Without C(databases) it is those that the user owns.
    type: list
    elements: dict
    required: true
  databases:
    description: Databases, each with C(name) and optionally C(owner).
    type: list
    elements: dict
    required: true
  passwords:
    description: Password of each login by name.
    type: dict
    required: true
  logins:
    description: The logins of these users, where some have two, as P(pgkeep.postgres.logins#filter) returns them.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Show who may log in where
  ansible.builtin.debug:
    msg: "{{ [{'name': 'app'}] | pgkeep.postgres.clients([{'name': 'app', 'owner': 'app'}], {'app': 'secret'}) }}"
"""

RETURN = r"""
_value:
  description: One entry for each database a user may log in to.
  type: list
  elements: dict
  sample:
    - service: app
      database: app
      user: app
      password: secret
"""

from typing import Any, Callable, Optional

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._clients import clients as join
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


def clients(
    users: list[Any], databases: list[Any], passwords: dict[str, str], logins: Optional[list[Any]] = None
) -> list[dict[str, str]]:
    try:
        return join(users, databases, passwords, logins)
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"clients": clients}
