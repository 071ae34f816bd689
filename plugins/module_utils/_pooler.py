# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running pooler: its console, and clients that wait instead of failing. Private to the collection.

The console is a socket inside the container that only its own user gets in by, so the way to it is the engine.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
from typing import Iterator

from . import _docker as docker
from ._errors import PgkeepError
from ._files import File, write
from ._interrupt import Interrupted
from ._layout import GID, UID, Layout
from ._rules import is_stranger
from ._run import Result, Run

PROGRAM = "pgkeep-pooler"

# Transactions that run get so long to end before the server is interrupted all the same.
PAUSE_SECONDS = 10
# A console that answers at all does so in milliseconds.
_ANSWER_SECONDS = 5
_READY_SECONDS = 30


def there(run: Run, layout: Layout) -> bool:
    """Whether a pooler of the instance runs."""
    found = docker.inspect(run, layout.pooler)
    return found is not None and not is_stranger(layout, found) and docker.running(found)


def pause(run: Run, layout: Layout) -> None:
    """Have clients wait until resume(), at most as long as a query may wait at all; see pgkeep-pooler in the image.

    Nothing happens without a pooler. One that does not answer is no reason not to do what it was asked for: its clients
    get errors, as they would without it.
    """
    _best(run, layout, ["pause", str(PAUSE_SECONDS)], PAUSE_SECONDS + _ANSWER_SECONDS)


def resume(run: Run, layout: Layout) -> None:
    """End a pause, if there is one. Never raises for a pooler that is not there or does not answer."""
    _best(run, layout, ["resume"], _ANSWER_SECONDS)


@contextlib.contextmanager
def held(run: Run, layout: Layout) -> Iterator[None]:
    """Clients of the pooler wait while the block interrupts the server."""
    try:
        pause(run, layout)
        yield
    finally:
        resume(run, layout)


def _best(run: Run, layout: Layout, words: list[str], seconds: float) -> None:
    try:
        if there(run, layout):
            _ask(run, layout, words, seconds)
    except Interrupted:
        raise
    except PgkeepError:
        return


def _ask(run: Run, layout: Layout, words: list[str], seconds: float = _ANSWER_SECONDS) -> Result:
    # Ended inside too: what the engine started goes on when its client is gone.
    argv = ["timeout", "--kill-after=1", "%g" % seconds, PROGRAM, *words]
    return docker.execute(run, layout.pooler, argv, timeout=seconds + 5)


def reload(run: Run, layout: Layout) -> None:
    """Bring changed files into force; sessions stay."""
    done = _ask(run, layout, ["reload"])
    if done.rc != 0:
        raise PgkeepError(
            "The pooler of %s does not take its settings" % layout.name,
            " ".join(done.stderr.split()) or "exit code %d" % done.rc,
            "read docker logs %s" % layout.pooler,
        )


def stale(run: Run, layout: Layout) -> bool:
    """Whether files were written after the pooler last read them. The pooler has to run."""
    return bool(_ask(run, layout, ["stale"]).stdout.strip())


def show(run: Run, layout: Layout, what: str) -> list[dict[str, str]]:
    """The rows of a SHOW command of the console, for example POOLS."""
    done = _ask(run, layout, ["console", "SHOW " + what])
    if done.rc != 0:
        raise PgkeepError(
            "The console of the pooler of %s does not answer" % layout.name,
            " ".join(done.stderr.split()) or "exit code %d" % done.rc,
            "read docker logs %s" % layout.pooler,
        )
    return list(csv.DictReader(io.StringIO(done.stdout)))


def ensure_hosts(layout: Layout) -> None:
    """The file of the server's address, empty until the server writes it: of one that is not there the engine would
    make a folder."""
    if not os.path.exists(layout.hosts_file):
        write(File(layout.hosts_file, "", 0o644, UID, GID))


def wait_until_ready(run: Run, layout: Layout) -> None:
    """Wait until the console answers. Raises PgkeepError with the last words of the log."""
    end = time.monotonic() + _READY_SECONDS
    while not (there(run, layout) and _ask(run, layout, ["console", "SHOW VERSION"]).rc == 0):
        if time.monotonic() > end:
            lines = docker.logs_tail(run, layout.pooler).splitlines() or ["the log is empty"]
            words = next((line for line in lines if " ERROR " in line or " FATAL " in line), lines[-1])
            raise PgkeepError(
                "The pooler of %s is not ready" % layout.name,
                "it did not answer within %d s; its last words: %s" % (_READY_SECONDS, words),
                "read docker logs %s" % layout.pooler,
            )
        time.sleep(0.1)
