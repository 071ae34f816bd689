# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.scram."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scram
short_description: SCRAM verifiers of passwords, as PostgreSQL stores them
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Computes for each password what PostgreSQL would store of it, so that no statement, log or error message of the
    server ever holds the password itself.
options:
  _input:
    description: Passwords by name of the role.
    type: dict
    required: true
  salts:
    description: A random salt by name of the role. The same salt gives the same verifier.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: A role whose password the server never sees
  community.postgresql.postgresql_user:
    name: app
    password: "{{ ({'app': app_password} | pgkeep.postgres.scram({'app': app_salt})).app }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: Verifiers by name of the role.
  type: dict
  sample:
    app: SCRAM-SHA-256$4096:c2FsdA==$1Xd1Ymjm5ZgV9uPzmeCtOBUoWBWq8dGHUt0CK4Ka8UU=:a1xnk8dEAvxVJLwvGfMbIPqvhKQwkI1v
"""

from typing import Any, Callable

from ansible_collections.pgkeep.postgres.plugins.module_utils._scram import verifier


def scram(passwords: dict[str, str], salts: dict[str, str]) -> dict[str, str]:
    return {name: verifier(password, salts[name].encode()) for name, password in passwords.items()}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scram": scram}
