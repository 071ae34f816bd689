# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which terms a deploy is carried out. Kept with its release, for the rollback that has no inventory. Private to
the collection."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Mapping

GATES = ("login", "applications", "write", "archive", "health", "latency")


@dataclass(frozen=True)
class Terms:
    """gates: those that have to be passed after a change. latency_budget_ms: what one login, SELECT 1 or commit may
    take then. releases_kept: how many can be returned to. restart_allowed: whether the server may be interrupted."""

    start_timeout_seconds: float = 3600
    gates: tuple[str, ...] = GATES
    latency_budget_ms: int = 1000
    releases_kept: int = 10
    restart_allowed: bool = True

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def terms_from(values: Mapping[str, Any]) -> Terms:
    """From the options of the module instance, and the inverse of to_dict()."""
    found = {each.name: values[each.name] for each in fields(Terms) if each.name in values}
    return Terms(**{**found, "gates": tuple(found["gates"])})
