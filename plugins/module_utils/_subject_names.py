# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names a server's certificate is good for. Pure. Private to the collection."""

from __future__ import annotations

import ipaddress
from typing import Iterable

from ._container import reachable


def subject_names(hosts: Iterable[str]) -> list[str]:
    """DNS:name or IP:address for each of hosts, once, in their order and in the spelling that certificates show.

    An address may be in brackets. One for all addresses stands for the loopback that reaches it; the zone of a
    link-local address (fe80::1%eth0) is known to one machine only and no part of a certificate.
    """
    return list(dict.fromkeys(_subject_name(host) for host in hosts))


def _subject_name(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return "DNS:" + host
    return "IP:" + reachable(str(address))
