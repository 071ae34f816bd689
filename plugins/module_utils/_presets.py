# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits under a name, for who does not want to think about figures. Private to the collection.

A machine of 2 processors and 4 GB is small, one of 4 and 16 GB medium: a quarter of the memory and half of the
processors are the server's, the rest belongs to the application beside it, to keeper and page cache. Large goes on by
the same factor, on a machine of 8 processors and 64 GB, where more applications than one write.
"""

from __future__ import annotations

from typing import Any

from ._errors import PgkeepError

# No number of connections: as many as fit the memory, up to those of the profile, also where somebody sets the memory.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {"memory": "1GB", "cpus": 1.0, "profile": "web", "disk": "ssd"},
    "medium": {"memory": "4GB", "cpus": 2.0, "profile": "web", "disk": "ssd"},
    "large": {"memory": "16GB", "cpus": 4.0, "profile": "oltp", "disk": "ssd"},
}


def preset(name: str) -> dict[str, Any]:
    """memory, cpus, profile and disk. Raises PgkeepError for a name that is none."""
    if name not in PRESETS:
        why = "known are %s" % ", ".join(PRESETS)
        raise PgkeepError("The preset %r is unknown" % name, why, "correct postgres_server_preset")
    return PRESETS[name]
