#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Bring one PostgreSQL server, its keeper and its pooler to a declared state
version_added: "0.1.0"
description:
  - Takes the whole declared state of an instance (limits, settings, files, image, volumes, port, keeper), compares it
    with the machine and makes a plan. Check mode returns the plan; otherwise it is carried out.
  - A plan says for each step what changes, whether by a reload, a restart or a new container and which field forces
    that, and how many seconds of interruption to expect.
  - A change of a server that serves has to pass gates before it is committed as a release, and a change that interrupts
    it makes a named restore point first. A deploy that changes nothing passes no gate and costs nothing.
  - When a step or a gate fails, files, settings and containers are put back and the server of before serves again.
    Volumes are never removed. A run that was killed is gone on with by the next one, or taken back as a whole.
  - The first deploy has nothing to go back to. When it fails, containers are removed and volumes stay.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._clients
  - pgkeep.postgres._instance
  - pgkeep.postgres._keeper
  - pgkeep.postgres._pooler
  - pgkeep.postgres._server_log
  - pgkeep.postgres._repositories
  - pgkeep.postgres._transaction
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows every file and every differing field of a container. Secrets are hidden.
  idempotent:
    support: full
options:
  state:
    description: V(absent) stops and removes the containers; volumes, settings and backups stay.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: Image of the server, present on the host. Its id is pinned in the release.
    type: str
  major:
    description: Major version of PostgreSQL; must be that of the image.
    type: int
  memory:
    description: Memory limit of the server, for example V(2GB). Swap is not given.
    type: str
  cpus:
    description: Processors the server may use; fractions are allowed.
    type: float
    default: 1.0
  shm_size:
    description: Size of C(/dev/shm), which parallel queries and index builds use.
    type: str
    default: 256MB
  pids_limit:
    description: Greatest number of processes and threads in the server container.
    type: int
    default: 300
  bind_address:
    description: Address of the host that the port is published on. Published ports bypass the host's firewall.
    type: str
    default: 127.0.0.1
  port:
    description: Port of the host.
    type: int
    default: 5432
  network:
    description: User-defined network of the server; created when absent.
    type: str
    default: pgkeep
  stop_timeout_seconds:
    description: Patience of a clean stop before the engine kills the server.
    type: int
    default: 120
  tuned:
    description: Settings derived from the limits, RV(ignore:settings) of the filter P(pgkeep.postgres.tune#filter).
    type: dict
    default: {}
  settings:
    description: Settings of the inventory; they win over O(tuned).
    type: dict
    default: {}
  on_empty:
    description:
      - What a start does that finds an empty data directory although repository or history know of one. V(require)
        restores too, and does not even initialise a new one.
    type: str
    choices: [restore, refuse, require]
    default: restore
  initdb_args:
    description: Further arguments of C(initdb), used once.
    type: list
    elements: str
    default: []
  collation:
    description:
      - What to do where another image sorts text otherwise than the data were sorted, because of its C library or
        ICU. The image itself is asked. With V(refuse) nothing is changed and the indexes are named. With V(reindex)
        they are rebuilt right after the change, beside the old ones and while applications work, and the new versions
        are recorded. An image that lacks a locale of the data is always refused.
      - The default locale C.UTF-8 sorts by code point, whatever the library.
    type: str
    choices: [refuse, reindex]
    default: refuse
    version_added: "0.2.0"
  upgrade:
    description:
      - What to do where O(major) is not that of the data. A newer one needs a rehearsal that passed, see
        M(pgkeep.postgres.upgrade).
      - With V(link) the new data directory shares its files with the old one, with V(clone) their blocks on a file
        system that can (XFS, Btrfs), and V(copy) needs the space of the data. Where the new server was started and
        fails, the old one serves again, with V(link) after a restore of its data from the repository.
      - V(undo) goes back to the major before the last upgrade, with the data as they were before it.
    type: str
    choices: [refuse, link, clone, copy, undo]
    default: refuse
    version_added: "0.2.0"
author: The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: A small server with its keeper
  pgkeep.postgres.instance: &app
    name: app
    image: pgkeep/postgres:17
    keeper_image: pgkeep/keeper:17
    major: 17
    memory: 1GB
    tuned: "{{ ('1GB' | pgkeep.postgres.tune).settings }}"
    monitor_password: "{{ app_monitor_password }}"
    tls: "{{ app_tls }}"
    backup:
      cipher_pass: "{{ app_cipher_pass }}"

- name: What would change, and would it interrupt anybody? Read RV(instance.plan)
  pgkeep.postgres.instance: *app
  check_mode: true
  diff: true

- name: The same with a pooler, whose clients wait while the server restarts
  pgkeep.postgres.instance:
    <<: *app
    pooler:
      image: pgkeep/pooler:17
      password: "{{ app_pooler_password }}"

- name: Remove the containers; data, settings and backups stay
  pgkeep.postgres.instance:
    name: app
    state: absent

# A port that is taken fails with: The port 127.0.0.1:5432 cannot be published for app. Why: Address already in use.
# Next: find its owner with ss -ltnp, or choose another postgres_server_port. Nothing was changed.
"""

RETURN = r"""
instance:
  description: The instance after the run, or as it is now in check mode.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the instance.
      type: str
      returned: success
      sample: app
    running:
      description: Whether the server accepts writes.
      type: bool
      returned: success
      sample: true
    image:
      description: Id of the image that is declared.
      type: str
      returned: O(state=present)
      sample: sha256:0d7b
    host: {description: Address the port is published on., type: str, returned: O(state=present), sample: 127.0.0.1}
    port: {description: Published port., type: int, returned: O(state=present), sample: 5432}
    pooler_port:
      description: Published port of the pooler, on the same address; null without a pooler.
      type: int
      returned: O(state=present)
      sample: 6432
    keeper_address:
      description: Address and port of the keeper's endpoints; null without O(keeper_http).
      type: str
      returned: O(state=present)
      sample: 127.0.0.1:9432
    plan:
      description:
        - The steps, carried out or planned, in their order; empty when nothing differs. C(clean up) removes what killed
          restores and drills left, or puts back data that it left under another name. Check mode does not foresee it.
      type: list
      elements: dict
      returned: success
      sample: []
      contains:
        action:
          description: One of create, write, replace, start, reload, restart, remove.
          type: str
          returned: success
          sample: replace
        target:
          description: What it is done to.
          type: str
          returned: success
          sample: container app
        reason:
          description: Why; for a replaced container each differing field with its actual and wanted value.
          type: str
          returned: success
          sample: "memory_bytes: 1073741824 -> 2147483648"
        interruption_seconds:
          description: Seconds applications are expected to be without the server.
          type: int
          returned: success
          sample: 5
    differences:
      description: What differs by setting, line, file and field, as RV(pgkeep.postgres.drift#module:drift.findings).
      type: list
      elements: dict
      returned: check mode and O(state=present)
      sample: []
    interruption_ms:
      description:
        - How long clients were without an answer, measured by one that is connected over TCP and TLS and connects anew;
          in check mode the expectation. A reload takes 0.
      type: int
      returned: O(state=present)
      sample: 1520
    restore_point:
      description: Name of the restore point that was made before an interruption, for M(pgkeep.postgres.restore).
      type: str
      returned: O(state=present)
      sample: deploy-20260105T020000.000000Z
    gates:
      description: The gates that the change passed, with C(gate), C(passed), C(measured) and C(expected).
      type: list
      elements: dict
      returned: O(state=present)
      sample:
        - gate: write
          passed: true
          measured: committed within 2.1 ms and read back
          expected: a row that is committed and read back
    restart_required:
      description: Whether a setting waits for a restart.
      type: bool
      returned: O(state=present)
      sample: false
    pending_settings:
      description: Names of the settings that wait for a restart.
      type: list
      elements: str
      returned: O(state=present)
      sample: []
    waiting:
      description: What is declared and waits for a restart or for O(restart_window), in the form of RV(instance.plan).
      type: list
      elements: dict
      returned: O(state=present)
      sample: []
    window_opens_at:
      description: When O(restart_window) opens, RFC 3339 UTC; null when nothing waits for it.
      type: str
      returned: O(state=present)
      sample: "2026-01-11T02:00:00Z"
    release:
      description: Name of the release that is in force, for M(pgkeep.postgres.rollback); null before the first.
      type: str
      returned: O(state=present)
      sample: 20260105T020000.000000Z
    version:
      description: Version of the running server.
      type: str
      returned: O(state=present)
      sample: "17.6"
    system_id:
      description: System identifier of the data directory.
      type: str
      returned: O(state=present)
      sample: "7431234567890123456"
    role:
      description: V(primary) or V(standby).
      type: str
      returned: O(state=present)
      sample: primary
    started_at:
      description: When the server started, RFC 3339 UTC.
      type: str
      returned: O(state=present)
      sample: "2026-01-05T02:00:00Z"
error:
  description: What did not work, with the keys C(what), C(why), C(next_step), C(busy) and, of a gate, C(gate).
  returned: failure
  type: dict
  sample:
    what: The gate write of app did not pass
    why: "measured: cannot execute INSERT in a read-only transaction; expected: a row that is committed and read back;
      the previous settings are back"
    next_step: correct the cause and run again; postgres_server_gates without write deploys all the same
    busy: false
"""

from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._instance import ensure, image_id, remove
from ansible_collections.pgkeep.postgres.plugins.module_utils._keeper_config import HTTP as KEEPER_HTTP
from ansible_collections.pgkeep.postgres.plugins.module_utils._later import declare_for_now
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module
from ansible_collections.pgkeep.postgres.plugins.module_utils._pooler_config import SPEC as POOLER
from ansible_collections.pgkeep.postgres.plugins.module_utils._repositories import SPEC as REPOSITORIES
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Run
from ansible_collections.pgkeep.postgres.plugins.module_utils._server_log import SPEC as LOGGING
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import GATES, terms_from
from ansible_collections.pgkeep.postgres.plugins.module_utils._tls import OPTIONS as TLS
from ansible_collections.pgkeep.postgres.plugins.module_utils._tls import refuse
from ansible_collections.pgkeep.postgres.plugins.module_utils._units import parse_bytes

SIZES = {"memory": "memory_bytes", "shm_size": "shm_bytes", "keeper_memory": "keeper_memory_bytes"}

SPEC = argument_spec(
    state={"type": "str", "choices": ["present", "absent"], "default": "present"},
    image={"type": "str"},
    keeper_image={"type": "str"},
    major={"type": "int"},
    memory={"type": "str"},
    cpus={"type": "float", "default": 1.0},
    shm_size={"type": "str", "default": "256MB"},
    pids_limit={"type": "int", "default": 300},
    bind_address={"type": "str", "default": "127.0.0.1"},
    port={"type": "int", "default": 5432},
    network={"type": "str", "default": "pgkeep"},
    stop_timeout_seconds={"type": "int", "default": 120},
    start_timeout_seconds={"type": "int", "default": 3600},
    tuned={"type": "dict", "default": {}},
    settings={"type": "dict", "default": {}},
    logging={"type": "dict", "options": LOGGING},
    hba={"type": "list", "elements": "str", "default": []},
    allowed_networks={"type": "list", "elements": "str", "default": ["samenet"]},
    clients={
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "service": {"type": "str", "required": True},
            "database": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    monitor_password={"type": "str", "no_log": True},
    tls={"type": "dict", "options": TLS},
    backup={"type": "dict", "options": REPOSITORIES},
    on_empty={"type": "str", "choices": ["restore", "refuse", "require"], "default": "restore"},
    initdb_args={"type": "list", "elements": "str", "default": []},
    keeper={"type": "dict", "default": {}},
    keeper_secrets={"type": "dict", "default": {}, "no_log": True},
    keeper_http={"type": "dict", "options": KEEPER_HTTP},
    keeper_memory={"type": "str", "default": "512MB"},
    keeper_cpus={"type": "float", "default": 1.0},
    pooler={"type": "dict", "options": POOLER},
    restart={"type": "str", "choices": ["allowed", "refuse", "window"], "default": "allowed"},
    restart_window={"type": "str", "default": ""},
    collation={"type": "str", "choices": ["refuse", "reindex"], "default": "refuse"},
    upgrade={"type": "str", "choices": ["refuse", "link", "clone", "copy", "undo"], "default": "refuse"},
    gates={"type": "list", "elements": "str", "choices": list(GATES), "default": list(GATES)},
    latency_budget_ms={"type": "int", "default": 1000},
    releases_kept={"type": "int", "default": 10},
)


def manage(run: Run, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    if params["state"] == "absent":
        return remove(run, Layout(params["name"]), check_mode)
    sizes = {byte_name: parse_bytes(params[name], name) for name, byte_name in SIZES.items()}
    images = [image_id(run, params[name], check_mode, params["major"]) for name in ("image", "keeper_image")]
    if params["pooler"]:
        # Not of a major version.
        images.append(image_id(run, params["pooler"]["image"], check_mode))
    declared, restart_allowed = declare_for_now(run, {**params, **sizes}, images)
    refuse(declared, params["tls"])
    return ensure(run, declared, terms_from({**params, "restart_allowed": restart_allowed}), check_mode)


def main() -> None:
    present = ["image", "keeper_image", "major", "memory", "monitor_password", "tls", "backup"]
    run_module(manage, SPEC, required_if=[("state", "present", present)])


if __name__ == "__main__":
    main()
