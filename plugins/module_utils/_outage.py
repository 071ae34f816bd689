# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long clients are without their server, measured as a client. Private to the collection."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Callable, Optional, Sequence

from ._sql import driver, rows

# Between two questions, and between two tries to connect.
_PAUSE_SECONDS = 0.02

# How long the watch may go on for an answer after the work is done.
_LAST_SECONDS = 10


class Outage:
    """Keeps a connection, asks on it again and again, and connects anew when it breaks.

    milliseconds: from the last answer before each break to the first one after it, summed up; 0 as long as every
    question was answered, and when nothing served at the start. ways: functions that return a connection or raise a
    psycopg2 error, within seconds; the first one that works is gone.
    """

    def __init__(self, ways: Sequence[Callable[[], Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ways = ways
        self._clock = clock
        self._end = threading.Event()
        self._whole = threading.Event()
        self._answered: Optional[float] = None
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Outage:
        for way in self._ways:
            with contextlib.suppress(driver().Error):
                self._connect = way
                self._opened = self._ask(None)
                self._answered = self._clock()
                self._whole.set()
                self._thread.start()
                break
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def serving(self) -> bool:
        """Whether the client was served when it last asked; never when nothing served at the start."""
        return self._whole.is_set()

    @property
    def milliseconds(self) -> int:
        lasting = 0.0 if self._answered is None or self._whole.is_set() else self._clock() - self._answered
        return round((self._seconds + lasting) * 1000)

    def stop(self, wait_seconds: float = _LAST_SECONDS) -> int:
        """Wait until clients are served again, at most so long, and return the milliseconds."""
        if self._thread.is_alive():
            self._whole.wait(wait_seconds)
            self._end.set()
            self._thread.join()
        return self.milliseconds

    def _watch(self) -> None:
        opened = self._opened
        while not self._end.is_set():
            try:
                opened = self._ask(opened)
            except driver().Error:
                self._whole.clear()
                if opened is not None:
                    opened.close()
                    opened = None
            else:
                now = self._clock()
                if not self._whole.is_set() and self._answered is not None:
                    self._seconds += now - self._answered
                self._answered = now
                self._whole.set()
            self._end.wait(_PAUSE_SECONDS)
        if opened is not None:
            opened.close()

    def _ask(self, opened: Any) -> Any:
        found = opened if opened is not None else self._connect()
        rows(found, "select 1")
        return found
