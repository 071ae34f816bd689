# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which applications can log in, asked before a deploy and after it. Private to the collection.

Who could not before (a role that is not there yet, networks that leave this host out) need not after.
"""

from __future__ import annotations

import contextlib
import re
import time
from functools import partial
from typing import Iterable, Optional

from ._pgpass import parse
from ._probe import Target, connect, first_login
from ._retry import retry
from ._sql import driver

# All of them together; those that are not reached in this time are not asked for after the deploy either.
_SECONDS = 5.0
# A server that is full is no fault of the deploy: after a restart all clients come at once.
_FULL = re.compile("too many (clients|connections)|remaining connection slots")


def logins(pgpass: Optional[str], place: tuple[str, int], ca_file: str) -> list[Target]:
    """Each application of a pgpass file, at place (host address, port), without the monitor, who is in no database."""
    entries = dict.fromkeys((entry.database, entry.user, entry.password) for entry in parse(pgpass or ""))
    return [
        Target(*place, user, password, ca_file, database) for database, user, password in entries if database != "*"
    ]


def able(targets: Iterable[Target]) -> list[tuple[str, str]]:
    """(database, user) of those that can log in now."""
    end = time.monotonic() + _SECONDS
    found = []
    for target in targets:
        if time.monotonic() < end:
            with contextlib.suppress(driver().Error):
                connect(target).close()
                found.append((target.database, target.user))
    return found


def refused(before: Iterable[tuple[str, str]], targets: Iterable[Target]) -> list[str]:
    """What each of those before is told that cannot log in any more, with none of its passwords among the targets."""
    ways: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        ways.setdefault((target.database, target.user), []).append(target)
    told = []
    for database, user in before:
        try:
            retry(partial(first_login, ways[database, user])).close()
        except driver().Error as error:
            said = " ".join(str(error).split())
            if not _FULL.search(said):
                told.append("%s in database %s: %s" % (user, database, said))
    return told
