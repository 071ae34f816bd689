# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a server, declared or running, as numbers. Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._tune import Budget
from ._units import KB, MB, parse_bytes

# What a number without unit means (pg_settings.unit).
_UNITS = {"shared_buffers": 8 * KB, "work_mem": KB, "autovacuum_work_mem": KB, "maintenance_work_mem": KB}
# PostgreSQL's own, in force where nothing is declared.
_DEFAULTS = {
    "shared_buffers": "128MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "autovacuum_work_mem": "-1",
    "max_connections": "100",
    "autovacuum_max_workers": "3",
}

_UNIT_BYTES = {"B": 1, "kB": KB, "8kB": 8 * KB, "MB": MB, "16MB": 16 * MB}


def setting_bytes(name: str, value: object) -> int:
    """Bytes of a declared value: "64MB", or a number in the unit of the setting; -1 stays -1."""
    text = str(value).strip()
    if text == "-1":
        return -1
    return int(text) * _UNITS[name] if text.isdigit() else parse_bytes(text, name)


def declared_budget(memory: int, settings: Mapping[str, object]) -> Budget:
    """The memory budget of settings as an inventory writes them."""
    texts = {name: str(settings.get(name, default)) for name, default in _DEFAULTS.items()}
    sizes = {name: setting_bytes(name, texts[name]) for name in _UNITS}
    return _budget(memory, sizes, int(texts["max_connections"]), int(texts["autovacuum_max_workers"]))


def running_budget(memory: int, settings: Mapping[str, Mapping[str, Any]]) -> Budget:
    """The same of rows of pg_settings: name -> {setting, unit}."""
    sizes = {name: running_bytes(settings[name]) or 0 for name in _UNITS}
    return _budget(
        memory,
        sizes,
        int(settings["max_connections"]["setting"]),
        int(settings["autovacuum_max_workers"]["setting"]),
    )


def running_bytes(row: Mapping[str, Any]) -> Optional[int]:
    """Bytes of a row of pg_settings; -1 stays -1, None for a setting that is no size."""
    if row["unit"] not in _UNIT_BYTES:
        return None
    value = int(row["setting"])
    return value if value < 0 else value * _UNIT_BYTES[row["unit"]]


def _budget(memory: int, sizes: Mapping[str, int], connections: int, workers: int) -> Budget:
    # autovacuum_work_mem = -1 means maintenance_work_mem (PostgreSQL manual).
    autovacuum = sizes["maintenance_work_mem"] if sizes["autovacuum_work_mem"] < 0 else sizes["autovacuum_work_mem"]
    return Budget(memory, sizes["shared_buffers"], connections, sizes["work_mem"], workers, autovacuum)
