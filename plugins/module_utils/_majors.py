# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The majors of PostgreSQL that this collection knows. Private to the collection."""

from __future__ import annotations

from datetime import date
from typing import Union

from ._errors import PgkeepError

# Major -> the day of its last minor release. Source: https://www.postgresql.org/support/versioning/
END_OF_LIFE = {
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}


def known_major(major: Union[int, str]) -> int:
    """major as a number, or an error when the collection has no rules for it."""
    if str(major) not in (str(known) for known in END_OF_LIFE):
        raise PgkeepError(
            "PostgreSQL %s is not supported" % major,
            "this collection knows the majors %s" % ", ".join(str(known) for known in sorted(END_OF_LIFE)),
            "declare one of them",
        )
    return int(major)
