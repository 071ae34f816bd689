# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trying again, and knowing when not to. Private to the collection."""

from __future__ import annotations

import time
from typing import Callable, Optional, TypeVar

T = TypeVar("T")

# Seconds between the tries: 1, 2, 4. With 5 s for each of the four tries the worst case is 27 s.
WAITS = (1.0, 2.0, 4.0)
TRY_SECONDS = 5

# SQLSTATEs that a moment can cure: the server starts, stops or has no slot left; two transactions collided.
# Never 28xxx (password), 3Dxxx (no such database), 42xxx (statement), 53100 (disk full): asking again only hides them.
_RETRYABLE = ("08", "57P01", "57P02", "57P03", "53300", "40001", "40P01")

# psycopg2 has no SQLSTATE for a connection that was not made, so the words of libpq and the kernel have to do.
# The name service is part of the network: a name that cannot be resolved now may be in a second.
_RETRYABLE_WORDS = (
    "connection refused",
    "connection reset",
    "connection timed out",
    "timeout expired",
    "server closed the connection",
    "no such file or directory",
    "network is unreachable",
    "no route to host",
    "temporary failure in name resolution",
    "the database system is starting up",
    "the database system is shutting down",
    # After the crash of a process; of the startup process too, and then the log tells the reason in a moment.
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "sorry, too many clients already",
    "remaining connection slots are reserved",
    "too many connections for",
)
# Stronger than the words above: no such file can be the certificate.
_FINAL_WORDS = ("password authentication failed", "certificate", "does not exist", "pg_hba.conf")


def retryable(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment: by SQLSTATE where there is one, else by the words of libpq."""
    state: Optional[str] = getattr(error, "pgcode", None)
    if state:
        return state.startswith(_RETRYABLE)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    words = str(error).lower()
    return not any(final in words for final in _FINAL_WORDS) and any(known in words for known in _RETRYABLE_WORDS)


def retry(
    function: Callable[[], T],
    *,
    deadline_seconds: float = 27.0,
    waits: tuple[float, ...] = WAITS,
    can_retry: Callable[[BaseException], bool] = retryable,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The result of function, called again after each wait while its error allows it and the deadline is not reached.

    function bounds its own time (TRY_SECONDS). The last error passes through unchanged. No try starts whose wait would
    end after the deadline.
    """
    end = clock() + deadline_seconds
    for wait in waits:
        try:
            return function()
        except Exception as error:
            if not can_retry(error) or clock() + wait >= end:
                raise
            sleep(wait)
    return function()
