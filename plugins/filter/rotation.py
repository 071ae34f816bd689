# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.rotation."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rotation
short_description: How the two logins of a user stand after a step of a password rotation
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Says which login clients shall use, which one is the other and when that ends. Touches nothing.
options:
  _input:
    description: Name of the user.
    type: str
    required: true
  users:
    description: Users of the inventory.
    type: list
    elements: dict
    required: true
  rotations:
    description: How the logins of rotated users stand before.
    type: list
    elements: dict
    required: true
  step:
    description:
      - V(begin) lets the other login in, V(switch) makes it that of clients, V(finish) ends the other one now, V(undo)
        goes back to it.
    type: str
    required: true
    choices: [begin, switch, finish, undo]
  overlap_hours:
    description: How long both logins work after a switch.
    type: float
    default: 24
  password:
    description: The new password, which is only looked at. Without it one is made.
    type: str
    default: ""
  hba:
    description: Lines of C(pg_hba.conf) of the inventory. One that names the user is refused by V(begin).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what a rotation would begin with
  ansible.builtin.debug:
    msg: "{{ 'app' | pgkeep.postgres.rotation([{'name': 'app'}], [], 'begin') }}"
"""

RETURN = r"""
_value:
  description: Both logins. With C(renew) the other one has to get another password before anything else happens.
  type: dict
  sample: {user: app, current: app, other: app_b, until: null, renew: true}
"""

import time
from typing import Any, Callable, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils import _logins
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


def rotation(
    user: str,
    users: list[Any],
    rotations: list[Any],
    step: str,
    overlap_hours: float = 24,
    password: str = "",
    hba: Sequence[str] = (),
) -> dict[str, Any]:
    try:
        return _logins.rotation(user, users, rotations, step, float(overlap_hours), time.time(), password, hba)
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rotation": rotation}
