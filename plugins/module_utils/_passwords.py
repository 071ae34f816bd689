# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that are given and not made: what is refused. Pure. Private to the collection.

SCRAM makes guessing slow and not impossible: a short word of a list is found by whoever reads a verifier.
"""

from __future__ import annotations

from typing import Optional

_SHORTEST = 12


def weakness(password: str, name: str = "") -> Optional[str]:
    """Why the password of the role name is refused, None for a good one. Never tells it."""
    if len(password) < _SHORTEST:
        return "it has %d characters, fewer than %d" % (len(password), _SHORTEST) if password else "it is empty"
    if name and name.lower() in (password.lower(), password.lower()[::-1]):
        return "it is the name of the user"
    if len(set(password)) < 4:
        return "it repeats the same characters"
    return None
