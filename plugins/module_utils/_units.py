# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes: from what a human writes to bytes, and back. Private to the collection."""

from __future__ import annotations

import math
import re
from typing import Union

from ._errors import PgkeepError

KB = 1024
MB = 1024 * KB
GB = 1024 * MB
TB = 1024 * GB

# Powers of 1024 under every spelling, as Docker and PostgreSQL count (1 GB = 1024 MB).
_FACTORS = {"": 1, "b": 1, "k": KB, "m": MB, "g": GB, "t": TB}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?\Z", re.IGNORECASE)


def parse_bytes(value: Union[int, str], what: str = "size") -> int:
    """Bytes of "1GB", "512m", "1.5 GiB", "1073741824" or 1073741824; what names the option in the error."""
    if isinstance(value, int) and not isinstance(value, bool):
        size = float(value)
    else:
        found = _SIZE.match(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise _unreadable(value, what, "it is not a number with an optional unit")
        size = float(found["number"]) * _FACTORS[found["unit"].lower()]
    if size < 1:
        raise _unreadable(value, what, "a size is at least one byte")
    return int(size)


def _unreadable(value: object, what: str, why: str) -> PgkeepError:
    return PgkeepError("The %s %r cannot be read" % (what, value), why, "write it as 512MB, 4GB or a number of bytes")


def parse_cpus(value: Union[int, float, str]) -> float:
    """A number of processors; fractions as Docker takes them (0.5)."""
    try:
        cpus = float(value)
    except (TypeError, ValueError):
        cpus = math.nan
    if isinstance(value, bool) or not 0 < cpus < 10_000:
        why = "it is not a positive number"
        raise PgkeepError("The cpus %r cannot be used" % (value,), why, "write it as 2 or 0.5")
    return cpus


def postgres_size(size_bytes: int) -> str:
    """A size as PostgreSQL writes it: the greatest of GB, MB, kB that keeps the number whole (5041kB, 256MB, 1GB)."""
    for unit, factor in (("GB", GB), ("MB", MB)):
        if size_bytes >= factor and size_bytes % factor == 0:
            return "%d%s" % (size_bytes // factor, unit)
    return "%dkB" % (size_bytes // KB)


def human(size_bytes: float) -> str:
    """A size for a person: 217.6 MB."""
    for unit, factor in (("TB", TB), ("GB", GB), ("MB", MB), ("kB", KB)):
        if size_bytes >= factor:
            return ("%.1f" % (size_bytes / factor)).replace(".0", "") + " " + unit
    return "%d bytes" % size_bytes
