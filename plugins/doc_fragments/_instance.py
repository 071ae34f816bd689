# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that names the instance. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the instance. It is the name of the server container, the stanza of the repository and the prefix of
        the volumes; in the playbooks of this collection it is the inventory host name.
    type: str
    required: true
requirements:
  - A Docker engine and its command line on the managed host.
  - The module runs as root.
"""
