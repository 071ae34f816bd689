# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgkeep.postgres.subject_names."""

from __future__ import annotations

DOCUMENTATION = r"""
name: subject_names
short_description: Subject alternative names of a certificate from host names and addresses
version_added: 0.1.0
author: The pgkeep maintainers (@pgkeep)
description:
  - Tells host names from addresses of both families and writes each as a certificate shows it, so that a certificate
    on disk can be compared with what it should be good for.
options:
  _input:
    description: Host names and addresses. An IPv6 address may be in brackets.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show what a certificate for this host must hold
  ansible.builtin.debug:
    msg: "{{ ['localhost', '127.0.0.1', ansible_host] | pgkeep.postgres.subject_names }}"

- name: Describe a server that listens on IPv6
  community.crypto.openssl_csr_pipe:
    privatekey_path: /etc/ssl/private/server.key
    subject_alt_name: "{{ [inventory_hostname, '[2001:db8::5]'] | pgkeep.postgres.subject_names }}"

# 0.0.0.0 is no destination; the loopback is what reaches a port that is published on it.
- name: Show IP:127.0.0.1
  ansible.builtin.debug:
    msg: "{{ ['0.0.0.0'] | pgkeep.postgres.subject_names }}"
"""

RETURN = r"""
_value:
  description: The names, each once, in the order of the input.
  type: list
  elements: str
  sample: ["DNS:localhost", "IP:127.0.0.1", "IP:2001:db8::5"]
"""

from typing import Any, Callable

from ansible_collections.pgkeep.postgres.plugins.module_utils._subject_names import subject_names


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"subject_names": subject_names}
