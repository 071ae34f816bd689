# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A polite kill as an error like any other, so that roll-backs happen. Private to the collection."""

from __future__ import annotations

import contextlib
import signal
from typing import Any, Iterator

from ._errors import PgkeepError

# SIGINT too: with a local connection Ctrl-C reaches the module itself.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(PgkeepError):
    """Somebody ended the operation; it says nothing about what was being done."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn a signal into Interrupted while the block runs."""

    def stop(number: int, _frame: Any) -> None:
        # One is enough: a second must not interrupt the cleaning up.
        finish_what_began()
        raise Interrupted("The operation was stopped", "signal %s" % signal.Signals(number).name, "run it again")

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish_what_began() -> None:
    """From here on a signal would do more harm than the rest of the work; interruptible() puts things right again."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
