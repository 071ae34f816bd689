# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say what an inventory declares of an instance and its neighbours, to be judged. Private to the
collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  memory:
    description:
      - Memory limit that is declared for the server, such as V(4GB). Settings are derived from it as the filter
        P(pgkeep.postgres.tune#filter) does it, and the module fails when they do not fit.
    type: str
  cpus:
    description: Processors that are declared.
    type: float
  port:
    description: Port of the host that is declared. Without it no port is looked at.
    type: int
  bind_address:
    description: Address that the port will be published on.
    type: str
    default: 127.0.0.1
  keeper_memory:
    description: Memory limit that is declared for the keeper.
    type: str
    version_added: "0.2.0"
  pooler_memory:
    description: Memory limit that is declared for the pooler.
    type: str
    version_added: "0.2.0"
  pooler_port:
    description: Port of the host that is declared for the pooler.
    type: int
    version_added: "0.2.0"
  keeper_port:
    description: Port of the host that is declared for the endpoints of the keeper.
    type: int
    version_added: "0.2.0"
  keeper_bind_address:
    description: Address that it will be published on.
    type: str
    default: 127.0.0.1
    version_added: "0.2.0"
  neighbours:
    description:
      - The other instances of the inventory on this machine, whether they run or not. Their limits count for H04, H05
        and H14, and none of them may want the same port (H13). What runs there and is not named counts as it is.
    type: list
    elements: dict
    default: []
    version_added: "0.2.0"
    suboptions:
      name:
        description: Name of the instance.
        type: str
        required: true
      memory:
        description: As for this instance, like all others here.
        type: str
      keeper_memory:
        description: Of the keeper.
        type: str
      pooler_memory:
        description: Of the pooler.
        type: str
      cpus:
        description: Of the server.
        type: float
      profile:
        description: What the database is used for.
        type: str
        choices: [web, oltp, dw, mixed, desktop]
        default: web
      settings:
        description: Settings of the inventory.
        type: dict
      bind_address:
        description: Address that the ports are published on.
        type: str
        default: 127.0.0.1
      port:
        description: Port of the server.
        type: int
      pooler_port:
        description: Port of the pooler.
        type: int
      keeper_port:
        description: Port of the keeper.
        type: int
      keeper_bind_address:
        description: Address that the port of the keeper is published on.
        type: str
        default: 127.0.0.1
  cpu_overcommit:
    description: How many times the processors of the machine may be promised to servers. No single one may have more.
    type: float
    default: 4.0
    version_added: "0.2.0"
  memory_overcommit:
    description: The same for memory. More than 1 ends with a server that is killed when all use what they may.
    type: float
    default: 1.0
    version_added: "0.2.0"
  restart_window:
    description: The maintenance window that is declared; only its form is looked at.
    type: str
    default: ""
    version_added: "0.2.0"
  major:
    description: Major version of PostgreSQL that is declared.
    type: int
  profile:
    description: What the database is used for; see P(pgkeep.postgres.tune#filter).
    type: str
    choices: [web, oltp, dw, mixed, desktop]
    default: web
  disk:
    description: Kind of the disk below the data volume.
    type: str
    choices: [ssd, hdd, san, nvme]
    default: ssd
  connections:
    description: C(max_connections) that is declared. V(0) means the number of O(profile), lowered until it fits.
    type: int
    default: 0
  settings:
    description: Settings of the inventory; they win over the derived ones.
    type: dict
  users:
    description: Users that are declared, each with C(name) and optionally C(databases). No password is needed.
    type: list
    elements: dict
    default: []
  databases:
    description: Databases that are declared, each with C(name) and optionally C(owner).
    type: list
    elements: dict
    default: []
  init_sql:
    description: SQL files that are declared, each with C(database) and C(file). Only their names are looked at.
    type: list
    elements: dict
    default: []
"""
