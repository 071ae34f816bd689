#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Bring an instance back to a release that is kept on its host
version_added: "0.1.0"
description:
  - Images, limits, settings and files become those of the release, as a transaction like that of
    M(pgkeep.postgres.instance), with the gates of the release in force. Needs no inventory.
  - The data stay as they are, and so do the passwords of the roles in them. To bring data back to the moment before a
    deploy, give the restore point of its release to M(pgkeep.postgres.restore).
  - A release of another major version and one whose image is gone are refused.
  - The inventory does not change. The next deploy applies it again, so correct it first.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
    details: Returns the plan.
  diff_mode:
    support: full
    details: Shows every file and every differing field of a container. Secrets are hidden.
  idempotent:
    support: partial
    details: With O(release) a second run changes nothing; without it, it goes one release further back.
options:
  release:
    description:
      - Name of the release, see M(pgkeep.postgres.release_info).
      - Without it it is the one before that in force, or that in force itself where a deploy was killed on its way.
    type: str
seealso:
  - module: pgkeep.postgres.release_info
  - module: pgkeep.postgres.restore
author: The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Back to what was in force before the last deploy
  pgkeep.postgres.rollback:
    name: app

- name: What would going back to a certain release change?
  pgkeep.postgres.rollback:
    name: app
    release: 20260105T020000.000000Z
  check_mode: true
  diff: true

- name: Say what kept it from going back
  block:
    - name: Go back
      pgkeep.postgres.rollback:
        name: app
        release: 20260105T020000.000000Z
      register: result
  rescue:
    - name: Say why and what to do
      ansible.builtin.debug:
        msg: "{{ result.error.why }}; {{ result.error.next_step }}"
"""

RETURN = r"""
instance:
  description: The instance after the run, as M(pgkeep.postgres.instance) returns it.
  returned: success
  type: dict
  sample:
    name: app
    running: true
    release: 20260105T020000.000000Z
    interruption_ms: 1430
    restore_point: deploy-20260106T091500.000000Z
error:
  description: What did not work, with the keys C(what), C(why), C(next_step), C(busy) and, of a gate, C(gate).
  returned: failure
  type: dict
  sample:
    what: The instance app cannot go back to 20260105T020000.000000Z
    why: the image sha256:0d7b is not on this machine any more
    next_step: load it with docker load, or go back to another release
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._rollback import rollback
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run

SPEC = argument_spec(release={"type": "str"})


def go_back(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    return rollback(run, params["name"], params["release"], check_mode)


def main() -> None:
    run_module(go_back, SPEC)


if __name__ == "__main__":
    main()
