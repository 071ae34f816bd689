# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server logs beyond what every server of the collection does. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  logging:
    description: What the server logs beyond what it always does, which O(settings) may change.
    type: dict
    version_added: "0.2.0"
    suboptions:
      connections:
        description: Logins and their ends.
        type: bool
        default: false
      audit:
        description:
          - Statements that pgaudit logs. V(ddl) are those that change objects, roles and privileges, V(write) besides
            these also those that change rows, V(all) also those that read. An image that lacks pgaudit is refused.
        type: str
        choices: [none, ddl, write, all]
        default: none
"""
