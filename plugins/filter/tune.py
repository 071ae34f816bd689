# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.tune."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tune
short_description: Settings of PostgreSQL from the limits of its container
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Computes settings, the number of connections and the remaining limits of a container from its memory and processors.
  - The formulas are those of pgtune, U(https://github.com/le0pard/pgtune), over the memory limit of the container.
  - The worst case is summed up and must not exceed 85 % of the memory. It is C(shared_buffers), C(work_mem) and 10 MB
    for every connection, C(autovacuum_work_mem) for every autovacuum worker, and 64 MB.
  - To fit, a default number of connections is lowered first, then C(work_mem) down to 4 MB. A declared number of
    connections is kept. When that is not enough the filter fails and prints the sum.
  - Deviations from pgtune are C(huge_pages=off), a bounded C(autovacuum_work_mem), C(io_method=worker) for PostgreSQL
    18, C(max_wal_size) of at most 1 GB or twice the memory, whichever is greater, and no C(wal_level=minimal) for the
    profile V(desktop).
options:
  _input:
    description:
      - Memory limit of the container, as bytes or as a size such as V(512MB) or V(4GB). A unit is a power of 1024.
    type: raw
    required: true
  cpus:
    description: Processors of the container. Parallel query is set from 4 whole processors on.
    type: float
    default: 1
  profile:
    description: What the database is used for.
    type: str
    choices:
      web: Many short statements. 200 connections.
      oltp: Many short transactions that write. 300 connections.
      dw: Few long statements over much data. 40 connections.
      mixed: Both. 100 connections.
      desktop: A development machine. 20 connections and a small share of the memory.
    default: web
  disk:
    description: Kind of the disk below the data volume.
    type: str
    choices: [ssd, hdd, san, nvme]
    default: ssd
  connections:
    description:
      - C(max_connections), at least 10.
      - Without it the number of the profile is used, lowered until the budget fits.
    type: int
  pg_major:
    description: Major version of PostgreSQL.
    type: int
    default: 17
"""

EXAMPLES = r"""
- name: Show the settings of a web application's database in 4 GB
  ansible.builtin.debug:
    msg: "{{ '4GB' | pgkeep.postgres.tune(cpus=2) }}"

- name: Write only the settings, for a fixed number of connections
  ansible.builtin.copy:
    dest: /tmp/tuned.conf
    mode: "0644"
    content: |
      {% for key, value in ('8GB' | pgkeep.postgres.tune(cpus=4, connections=100)).settings | dictsort %}
      {{ key }} = '{{ value }}'
      {% endfor %}

# Fails with: The memory limit 256 MB is too small. Why: shared_buffers 64 MB + 10 connections x (work_mem 4 MB + 10 MB)
# + ... = 316 MB, more than 217.6 MB = 85 % of 256 MB. Next: give the instance at least 448MB.
- name: Ask for too much
  ansible.builtin.debug:
    msg: "{{ '256MB' | pgkeep.postgres.tune }}"
"""

RETURN = r"""
_value:
  description: The settings and what follows from them.
  type: dict
  contains:
    settings:
      description: Name and text for C(postgresql.conf) of every setting.
      type: dict
      sample:
        shared_buffers: 1GB
        work_mem: 5041kB
    budget:
      description: The worst case in bytes. The sum is never more than the limit.
      type: dict
      contains:
        shared_buffers_bytes:
          description: C(shared_buffers).
          type: int
          sample: 1073741824
        connections_bytes:
          description: All connections, each with C(work_mem) and 10 MB.
          type: int
          sample: 2300218368
        autovacuum_bytes:
          description: All autovacuum workers.
          type: int
          sample: 201326592
        overhead_bytes:
          description: The processes of the server itself.
          type: int
          sample: 67108864
        total_bytes:
          description: The sum.
          type: int
          sample: 3642395648
        limit_bytes:
          description: What the sum may be.
          type: int
          sample: 3650722201
        share:
          description: Share of the memory that the sum may be.
          type: float
          sample: 0.85
    connections:
      description: C(max_connections).
      type: int
      sample: 147
    shm_bytes:
      description: Size of C(/dev/shm) for the container.
      type: int
      sample: 1073741824
    pids_limit:
      description: Limit of processes for the container.
      type: int
      sample: 258
    memory_bytes:
      description: The input as bytes.
      type: int
      sample: 4294967296
    notes:
      description: One sentence about every value that was lowered to fit.
      type: list
      elements: str
      sample:
        - max_connections lowered from 200 to 147 so that the memory budget fits
"""

from typing import Any, Callable, Union

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import tune as _tune


def tune(memory: Union[int, str], **options: Any) -> dict[str, Any]:
    try:
        return _tune(memory, **options)
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from None
    except TypeError as error:
        # An unknown option; Python's words name it.
        raise AnsibleFilterError(
            "The filter pgkeep.postgres.tune cannot be called like that. Why: %s." % error
        ) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"tune": tune}
