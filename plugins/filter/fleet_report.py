# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.fleet_report."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_report
short_description: One report of the instances of an inventory
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Joins what the modules M(pgkeep.postgres.preflight) and M(pgkeep.postgres.health) said of each host to one report,
    worst first. A host that could not be reached is in it, with the reason.
  - The page needs nothing else, runs no script and can be printed.
positional: _input, hostvars
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - The variable C(hostvars). Of each host C(postgres_preflight_result) and C(postgres_report_health) are read, the
        registered results of the two modules.
    type: dict
    required: true
  form:
    description: V(html) for the page, V(json) for programs.
    type: str
    choices: [html, json]
    default: html
"""

EXAMPLES = r"""
- name: Write the page
  ansible.builtin.copy:
    content: "{{ ansible_play_hosts_all | pgkeep.postgres.fleet_report(hostvars) }}"
    dest: /tmp/report.html
    mode: "0644"

- name: Write the object
  ansible.builtin.copy:
    content: "{{ ansible_play_hosts_all | pgkeep.postgres.fleet_report(hostvars, form='json') }}"
    dest: /tmp/report.json
    mode: "0644"

# The host has no result, so it is reported as NOT_JUDGED: nobody told why.
- name: Report a host that was not asked
  ansible.builtin.debug:
    msg: "{{ ['shop-db'] | pgkeep.postgres.fleet_report({'shop-db': {}}, form='json') }}"
"""

RETURN = r"""
_value:
  description: The report as a text.
  type: str
  sample: "<!DOCTYPE html> <html> <head> <title>2 instances of PostgreSQL</title>"
"""

import json
import time
from typing import Any, Callable, Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils._fleet import fleet, fleet_page


def fleet_report(hosts: Iterable[str], hostvars: Mapping[str, Any], form: str = "html") -> str:
    if form not in ("html", "json"):
        raise AnsibleFilterError("fleet_report knows the forms html and json, not %s" % form)
    report = fleet({str(host): _found(hostvars[host]) for host in hosts}, time.time())
    return fleet_page(report) if form == "html" else json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _found(variables: Any) -> dict[str, Any]:
    """Results of the modules are there only where they ran."""
    results = [_get(variables, name) for name in ("postgres_report_health", "postgres_preflight_result")]
    health, judged = results
    return {
        "health": health.get("health"),
        "preflight": judged.get("preflight"),
        "unreachable": any(result.get("unreachable") for result in results),
        "error": next((str(result["msg"]) for result in results if result.get("msg")), ""),
    }


def _get(variables: Any, name: str) -> Mapping[str, Any]:
    try:
        return dict(variables[name])
    except KeyError:
        return {}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_report": fleet_report}
