#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: host_command
short_description: Install the command pgkeep on a machine
version_added: "0.2.0"
description:
  - Installs C(pgkeep), with which somebody on the machine looks after its instances without a control node, as in
    C(pgkeep app status) or C(pgkeep app restore --confirm app). C(pgkeep --help) tells the rest.
  - It is the library of this collection as one file, so that modules and command cannot disagree. One install serves
    all instances of a machine.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the checksum of the file.
  idempotent:
    support: full
options:
  prefix:
    description: Where C(bin/pgkeep) and C(lib/pgkeep/pgkeep.pyz) are.
    type: path
    default: /usr/local
  version:
    description: What C(pgkeep --version) says; the version of the collection.
    type: str
    required: true
requirements:
  - psycopg2 in the Python that runs modules, or in C(/usr/bin/python3), which is preferred.
  - The module runs as root.
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Have the command on the machine, as the role docker_host does
  pgkeep.postgres.host_command:
    version: 0.2.0

- name: Is it the one of this version?
  pgkeep.postgres.host_command:
    version: 0.2.0
  check_mode: true
  register: result
  failed_when: result is changed

- name: What is not ours is left alone, and the message says so
  pgkeep.postgres.host_command:
    version: 0.2.0
    prefix: /opt/other
  register: result
  failed_when: result is failed and result.error.why is not search('is not ours')
"""

RETURN = r"""
host_command:
  description: The command.
  returned: success
  type: dict
  contains:
    path:
      description: The command, a link to RV(host_command.library).
      type: str
      returned: success
      sample: /usr/local/bin/pgkeep
    library:
      description: The file with the library.
      type: str
      returned: success
      sample: /usr/local/lib/pgkeep/pgkeep.pyz
    version:
      description: Its version.
      type: str
      returned: success
      sample: 0.2.0
    sha256:
      description: Checksum of the file.
      type: str
      returned: success
      sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    size_bytes:
      description: Size of the file.
      type: int
      returned: success
      sample: 412345
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The command pgkeep cannot be installed
    why: "/opt/other/bin/pgkeep is there and is not ours: it is no link"
    next_step: move it away, or give another prefix
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._host_command import install
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import run_module

SPEC = {
    "prefix": {"type": "path", "default": "/usr/local"},
    "version": {"type": "str", "required": True},
}


def main() -> None:
    run_module(install, SPEC)


if __name__ == "__main__":
    main()
