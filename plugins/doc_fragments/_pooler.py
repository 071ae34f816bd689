# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module instance that are about the pooler. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  pooler:
    description:
      - PgBouncer beside the server. Without this option there is none, and one that is there is removed.
      - Its clients wait while the collection restarts or replaces the server, at most O(pooler.queue_timeout_seconds).
    type: dict
    suboptions:
      image:
        description: Image of the pooler, present on the host.
        type: str
        required: true
      port:
        description: Port of the host, on the same address as the server's.
        type: int
        default: 6432
      password:
        description: Password of the role C(pgkeep_pooler), which looks up the verifiers of all others.
        type: str
        required: true
      mode:
        description: When a connection to the server goes back to its pool.
        type: str
        choices: [session, transaction, statement]
        default: transaction
      size:
        description:
          - Connections to the server for each pair of database and user. V(0) means 20, lowered until all pools
            together stay below 80 % of C(max_connections), but never below O(pooler.min_size).
          - Pools that together could take every connection of the server are refused, and the sum is told.
        type: int
        default: 0
      sizes:
        description: The same by database, for those that shall have more or less than the others.
        type: dict
        default: {}
      min_size:
        description: Connections that a pool in use keeps open.
        type: int
        default: 2
      max_clients:
        description: Clients that may be connected to the pooler.
        type: int
        default: 500
      queue_timeout_seconds:
        description: How long a query may wait for a connection to the server before its client gets an error.
        type: int
        default: 15
      memory:
        description: Memory limit of the pooler.
        type: str
        default: 128MB
      cpus:
        description: Processors the pooler may use; PgBouncer itself uses one.
        type: float
        default: 1.0
"""
