# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.logins."""

from __future__ import annotations

DOCUMENTATION = r"""
name: logins
short_description: The login roles of users, of which some have two while their password is rotated
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Puts into the place of each user that was ever rotated the login that clients use and the other one. A role has one
    password at a time, so only two roles can have an overlap.
options:
  _input:
    description: Users, each with C(name).
    type: list
    elements: dict
    required: true
  rotations:
    description: How the logins of rotated users stand, as P(pgkeep.postgres.rotation#filter) returns it.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who may log in
  ansible.builtin.debug:
    msg: "{{ [{'name': 'app'}] | pgkeep.postgres.logins([rotated]) }}"
  vars:
    rotated: {user: app, current: app_b, other: app, until: "2026-01-06T02:00:00Z"}
"""

RETURN = r"""
_value:
  description:
    - Users and in the place of rotated ones their logins, with C(user), C(expires), C(spare) and C(ended) besides.
  type: list
  elements: dict
  sample:
    - {name: app_b, user: app, expires: infinity, spare: false, ended: false}
    - {name: app, user: app, expires: "2026-01-06T02:00:00Z", spare: true, ended: false}
"""

import time
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils import _logins
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


def logins(users: list[Any], rotations: list[Any]) -> list[dict[str, Any]]:
    try:
        return _logins.logins(users, rotations, time.time())
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"logins": logins}
