# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP service as a duty of the keeper. Private to the collection.

Each tick reads what the views need and starts the server where none runs, so that a view reads no file and a new token
or report is in force a moment later.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, Callable, Mapping, Optional

from ._backup_repository import Keeper
from ._board import Board
from ._errors import PgkeepError
from ._files import read
from ._http_app import Known, make_app
from ._http_server import make_server
from ._keeper_config import secret, topic
from ._layout import KEEPER_PORT, KEEPER_TOKEN

TOPIC = "http"
REPORT = "preflight.json"

ENVIRONMENTS = ("production", "development")
INTERVAL_SECONDS = 5.0

# A report of the launch gate has some 30 kB.
_LONGEST_REPORT = 1 << 20

# The same trouble again is said again only after this long.
_SAY_AGAIN_SECONDS = 600.0


def interval_seconds(wanted: Mapping[str, Any]) -> float:
    """How often the instance is looked at, from the topic http."""
    return float(wanted.get("interval_seconds") or INTERVAL_SECONDS)


def check(keeper: Keeper) -> None:
    """Raises PgkeepError where the inventory wants what cannot be served."""
    wanted = topic(keeper, TOPIC)
    if not wanted:
        return
    if not secret(keeper, KEEPER_TOKEN):
        raise _unusable(keeper, "%s is empty: everybody could read everything" % KEEPER_TOKEN)
    environment = wanted.get("environment", ENVIRONMENTS[0])
    if environment not in ENVIRONMENTS:
        raise _unusable(keeper, "environment is %r, known are %s" % (environment, ", ".join(ENVIRONMENTS)))
    if not 1 <= interval_seconds(wanted) <= 300:
        raise _unusable(keeper, "interval_seconds is %g, from 1 to 300 is possible" % interval_seconds(wanted))


def _unusable(keeper: Keeper, why: str) -> PgkeepError:
    return PgkeepError(
        "The keeper of %s cannot serve" % keeper.instance, why, "correct it and run the playbook deploy.yml"
    )


class Service:
    """The server of one keeper, on a board that others fill."""

    def __init__(
        self, board: Board, say: Callable[[str], None], host: str = "0.0.0.0", port: int = KEEPER_PORT
    ) -> None:
        self._board = board
        self._say = Seldom(say)
        self._place = (host, port)
        self._known = Known("", INTERVAL_SECONDS)
        self._report_mark: Optional[tuple[int, int]] = None
        self._thread: Optional[threading.Thread] = None

    def tick(self, keeper: Keeper) -> None:
        """Nothing where the inventory wants no server."""
        wanted = topic(keeper, TOPIC)
        if not wanted:
            return
        self._known = Known(secret(keeper, KEEPER_TOKEN), interval_seconds(wanted), self._report(keeper))
        if self._thread is None or not self._thread.is_alive():
            app = make_app(self._board, lambda: self._known, self._say)
            server = make_server(app, *self._place, self._say)
            self._thread = threading.Thread(target=server.serve, name="http", daemon=True)
            self._thread.start()

    def _report(self, keeper: Keeper) -> Optional[Mapping[str, Any]]:
        """Read again only when it is another file; one that cannot be read is none."""
        path = os.path.join(keeper.state, REPORT)
        try:
            found = os.stat(path)
            mark = (found.st_mtime_ns, found.st_ino)
            if mark == self._report_mark:
                return self._known.report
            content = json.loads(read(path) or "null") if found.st_size <= _LONGEST_REPORT else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._say("http: %s cannot be read: %s" % (path, error))
            return None
        self._report_mark = mark
        return content if isinstance(content, dict) else None


class Seldom:
    """say, but the same words only once in a while: whoever asks often enough would fill the log."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._said: dict[str, float] = {}

    def __call__(self, words: str) -> None:
        now = self._clock()
        self._said = {said: at for said, at in self._said.items() if now - at < _SAY_AGAIN_SECONDS}
        # Words may hold what somebody sent, and are then different each time.
        if words not in self._said and len(self._said) < 20:
            self._said[words] = now
            self._say(words)
