# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module instance that are about the keeper. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  keeper_image:
    description: Image of the keeper, present on the host.
    type: str
  keeper:
    description:
      - What the keeper does, by topic, such as C(schedule). Its own program checks it before it is in force.
      - The topics are those that the role P(pgkeep.postgres.postgres_backup#role) makes of its variables.
    type: dict
    default: {}
  keeper_secrets:
    description: Secrets that O(keeper) speaks of, as file name and content. Each is a file for the keeper alone.
    type: dict
    default: {}
  keeper_http:
    description:
      - Endpoints of the keeper, C(/live), C(/health), C(/ready), C(/status), C(/production-readiness) and C(/metrics).
        Without this option there are none. With it the keeper is in O(network).
    type: dict
    version_added: "0.2.0"
    suboptions:
      port:
        description: Port of the host.
        type: int
        required: true
      bind_address:
        description: Address of the host that it is published on. Published ports bypass the host's firewall.
        type: str
        default: 127.0.0.1
      token:
        description: What C(/status), C(/production-readiness) and C(/metrics) want to see. The others tell states only.
        type: str
        required: true
      environment:
        description: Whether somebody who restarts the instance has to write its name first.
        type: str
        choices: [production, development]
        default: production
      interval_seconds:
        description: How often the keeper looks at the instance.
        type: int
        default: 5
  keeper_memory:
    description: Memory limit of the keeper.
    type: str
    default: 512MB
  keeper_cpus:
    description: Processors the keeper may use.
    type: float
    default: 1.0
"""
