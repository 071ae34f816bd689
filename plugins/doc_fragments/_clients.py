# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module instance that are about who logs in, from where and how. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hba:
    description: Further lines of C(pg_hba.conf), after those of the collection.
    type: list
    elements: str
    default: []
  allowed_networks:
    description: Networks that O(clients) may come from, as CIDR or C(samenet).
    type: list
    elements: str
    default: [samenet]
  clients:
    description: Who may log in where; each gets lines in C(pg_hba.conf) and a section in C(pg_service.conf).
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: Section of C(pg_service.conf).
        type: str
        required: true
      database:
        description: Database.
        type: str
        required: true
      user:
        description: Role that logs in.
        type: str
        required: true
      password:
        description: Its password, written to a file that root alone can read.
        type: str
        required: true
  monitor_password:
    description: Password of the role C(pgkeep_monitor), which health checks log in with.
    type: str
  tls:
    description: Certificate of the server.
    type: dict
    suboptions:
      certificate:
        description: PEM text.
        type: str
        required: true
      private_key:
        description: PEM text, without a passphrase.
        type: str
        required: true
      ca_certificate:
        description: PEM text of the authorities that clients trust.
        type: str
        required: true
      names:
        description: Names that the certificate has to be good for, besides the address of the port.
        type: list
        elements: str
        default: []
"""
