# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a libpq password file: host:port:database:user:password, with a backslash before what separates. Pure.
Private to the collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

_LINE = re.compile(":".join([r"((?:[^:\\\n]|\\.)*)"] * 5))


@dataclass(frozen=True)
class Entry:
    host: str
    port: str
    database: str
    user: str
    password: str


def render(entries: Iterable[Entry]) -> str:
    fields = ((each.host, each.port, each.database, each.user, each.password) for each in entries)
    return "".join(":".join(map(_escaped, each)) + "\n" for each in fields)


def parse(text: str) -> list[Entry]:
    """The inverse of render()."""
    return [Entry(*map(_plain, match.groups())) for match in map(_LINE.fullmatch, text.splitlines()) if match]


def pgpass(host: str, ports: Iterable[int], clients: Sequence[Mapping[str, str]]) -> str:
    """clients: database, user and password of each."""
    return render(
        Entry(host, str(port), client["database"], client["user"], client["password"])
        for port in ports
        for client in clients
    )


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


def _plain(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)
