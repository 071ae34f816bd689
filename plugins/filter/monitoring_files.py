# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.monitoring_files."""

from __future__ import annotations

DOCUMENTATION = r"""
name: monitoring_files
short_description: The configuration of Prometheus, Alertmanager and the exporter of PostgreSQL
version_added: 0.2.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Makes all files of the three from what P(pgkeep.postgres.watched#filter) says of the instances. Secrets are files
    of their own, so the result is one.
  - Fails for receivers that cannot be used and for a disabled alert that does not exist. Whether Prometheus and
    Alertmanager take the files is for their own tools to say.
options:
  _input:
    description: The instances.
    type: list
    elements: dict
    required: true
  stack:
    description: Prefix of the names of the containers.
    type: str
    required: true
  machine:
    description: Name of the machine that they run on.
    type: str
    required: true
  scrape_seconds:
    description: How often everything is asked.
    type: int
    required: true
  rules:
    description: The rules of the collection, as read from YAML.
    type: dict
    required: true
  disabled:
    description: Alerts of these rules that nobody wants.
    type: list
    elements: str
    required: true
  own_rules:
    description: Further files of rules, by file name.
    type: dict
    required: true
  tokens:
    description: The token of each keeper, by instance.
    type: dict
    required: true
  passwords:
    description: The password of C(pgkeep_monitor), by instance.
    type: dict
    required: true
  authorities:
    description: Certificates that the certificate of the server has to be signed by, by instance.
    type: dict
    required: true
  receivers:
    description: Whom Alertmanager tells, with C(webhooks) and C(email) of the variable C(postgres_backup_alerts).
    type: dict
    required: true
  deadman_url:
    description: Where the alert C(Watchdog) goes. Nowhere when it is empty.
    type: str
    required: true
  times:
    description: Seconds for C(wait), C(interval), C(repeat_critical), C(repeat_warning) and C(deadman).
    type: dict
    required: true
  templates:
    description: The templates of Alertmanager.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the names of all files
  ansible.builtin.debug:
    msg: "{{ (watched | pgkeep.postgres.monitoring_files(**settings)).prometheus.keys() }}"

- name: Show the jobs of Prometheus
  ansible.builtin.debug:
    msg: "{{ (files.prometheus['prometheus.yml'] | from_json).scrape_configs | map(attribute='job_name') }}"
  vars:
    files: "{{ watched | pgkeep.postgres.monitoring_files(**settings) }}"

# Fails with: The rules cannot be written. Why: there is no alert PostgresIsDown that could be disabled. ...
- name: Disable an alert that does not exist
  ansible.builtin.debug:
    msg: "{{ watched | pgkeep.postgres.monitoring_files(**(settings | combine({'disabled': ['PostgresIsDown']}))) }}"
"""

RETURN = r"""
_value:
  description: For each of C(prometheus), C(alertmanager) and C(postgres_exporter) its files, name and content.
  type: dict
  sample:
    prometheus: {prometheus.yml: "{…}", app.token: "…"}
    alertmanager: {alertmanager.yml: "{…}", pgkeep.tmpl: "…"}
    postgres_exporter: {postgres_exporter.yml: "{…}", app.ca.crt: "…"}
"""

from typing import Any, Callable, Iterable, Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.module_utils import _alertmanager, _monitoring
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


def monitoring_files(
    instances: Iterable[Mapping[str, Any]],
    *,
    stack: str,
    machine: str,
    scrape_seconds: int,
    rules: Mapping[str, Any],
    disabled: Sequence[str],
    own_rules: Mapping[str, str],
    tokens: Mapping[str, str],
    passwords: Mapping[str, str],
    authorities: Mapping[str, str],
    receivers: Mapping[str, Any],
    deadman_url: str,
    times: Mapping[str, int],
    templates: str,
) -> dict[str, dict[str, str]]:
    watched = [_monitoring.Watched(**each) for each in instances]
    try:
        return {
            "prometheus": _monitoring.prometheus(
                watched, stack, machine, int(scrape_seconds), rules, disabled, own_rules, tokens
            ),
            "alertmanager": _alertmanager.alertmanager(
                receivers,
                deadman_url,
                _alertmanager.Times(**{name: int(value) for name, value in times.items()}),
                templates,
            ),
            "postgres_exporter": _monitoring.postgres_exporter(watched, passwords, authorities),
        }
    except PgkeepError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"monitoring_files": monitoring_files}
