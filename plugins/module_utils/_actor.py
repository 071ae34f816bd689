# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks, for the audit trail: the way and the person, such as ansible:deploy. Private to the collection."""

from __future__ import annotations

import os
import pwd
from typing import Optional

from ._files import read

ANSIBLE = "ansible"
HOST = "host"

# What the kernel says of a process that nobody logged in for.
_NOBODY = (1 << 32) - 1


def actor(way: str) -> str:
    return "%s:%s" % (way, person())


def person() -> str:
    """The user who logged in, also behind sudo and su; else the one who called sudo; else the one who runs this."""
    login = _login_uid()
    return _name(login) if login is not None else os.environ.get("SUDO_USER") or _name(os.geteuid())


def _login_uid() -> Optional[int]:
    """The kernel keeps it from the login on; None where it does not, as in a container."""
    text = (read("/proc/self/loginuid") or "").strip()
    return int(text) if text.isdigit() and int(text) != _NOBODY else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "uid %d" % uid
