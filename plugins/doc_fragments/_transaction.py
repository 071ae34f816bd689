# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module instance that are about the transaction. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  gates:
    description:
      - What a change has to pass. V(login) logs in over TCP and TLS as C(pgkeep_monitor), V(applications) as each
        application that could log in from this host before, V(write) commits a row of the collection's own as that role
        and reads it back, V(archive) waits until a row is in the repository, V(health) looks at all containers and the
        server's health check, V(latency) compares with O(latency_budget_ms).
      - A gate that has nobody to ask is not tried, such as V(login) before its role is there.
    type: list
    elements: str
    choices: [login, applications, write, archive, health, latency]
    default: [login, applications, write, archive, health, latency]
  latency_budget_ms:
    description: What a login, a C(SELECT 1) and a commit may take after a change, each.
    type: int
    default: 1000
  releases_kept:
    description: How many releases can be returned to, that in force included. The images of older ones are removed.
    type: int
    default: 10
  restart:
    description:
      - Whether the server may be interrupted. With V(refuse) a setting that needs a restart is written and reported as
        waiting for it. What needs a new container, such as another limit or image, is refused while the server runs.
      - With V(window) it may be interrupted while O(restart_window) is open. While that is shut, such a setting waits
        as with V(refuse), and a new container waits together with the settings that were made for it; everything else
        is applied. A deploy within the window applies what waited. Another major version is refused until then, and so
        is the removal of a pooler.
    type: str
    choices: [allowed, refuse, window]
    default: allowed
  restart_window:
    description:
      - When the server may be interrupted with O(restart=window), as C([days] HH:MM-HH:MM [time zone]). Days are
        lists and ranges of C(Mon) to C(Sun), every day without them; a window that crosses midnight opens on them.
      - The time zone is a name such as C(Europe/Berlin), UTC without one. The wall clock there decides; an hour that it
        skips in spring is in no window.
    type: str
    default: ""
    version_added: "0.2.0"
  start_timeout_seconds:
    description: How long a start, crash recovery and automatic restore included, may take.
    type: int
    default: 3600
"""
