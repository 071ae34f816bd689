#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: List the releases that an instance can be brought back to
version_added: "0.1.0"
description:
  - Reads the records on the host. They hold whole files, secrets among them, which are not returned.
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
  - module: pgkeep.postgres.rollback
author: The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: List the releases of an instance
  pgkeep.postgres.release_info:
    name: app
  register: found

- name: Go back to the oldest one that is kept
  pgkeep.postgres.rollback:
    name: app
    release: "{{ found.releases[-1].name }}"

- name: Restore the data of the moment before the last deploy; fails when that interrupted nobody and made no point
  pgkeep.postgres.restore:
    name: app
    confirm: app
    restore_point: "{{ found.releases | selectattr('current') | map(attribute='restore_point') | first }}"
"""

RETURN = r"""
releases:
  description: The kept releases, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: success
      sample: 20260105T020000.000000Z
    current:
      description: Whether it is in force.
      type: bool
      returned: success
      sample: true
    time:
      description: When it came into force the last time, RFC 3339 UTC.
      type: str
      returned: success
      sample: "2026-01-05T02:00:00Z"
    major:
      description: Major version of PostgreSQL.
      type: int
      returned: success
      sample: 17
    image:
      description: Id of the server's image.
      type: str
      returned: success
      sample: sha256:0d7b
    keeper_image:
      description: Id of the keeper's image.
      type: str
      returned: success
      sample: sha256:1e8c
    pooler_image:
      description: Id of the pooler's image, null without a pooler.
      type: str
      returned: success
      sample: sha256:2f9d
    memory_bytes:
      description: Memory limit of the server.
      type: int
      returned: success
      sample: 1073741824
    restore_point:
      description: Name of the restore point of the moment before it came into force, null when nobody was interrupted.
      type: str
      returned: success
      sample: deploy-20260105T015958.000000Z
    interruption_ms:
      description: How long clients were without an answer when it came into force.
      type: int
      returned: success
      sample: 1520
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._rollback import releases
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run


def look(_run: Run, params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    return {"changed": False, "releases": releases(params["name"])}


def main() -> None:
    run_module(look, argument_spec())


if __name__ == "__main__":
    main()
