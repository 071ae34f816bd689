# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipping WAL as a duty of the keeper: a thread for each repository, so that none waits for another. Private."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import Callable, Iterator

from . import _alert as alert
from . import _backup_repository as repository
from . import _ship_state as state
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._ship import Shipper, archived_here, behind
from ._times import hours, rfc3339

# A backup that waits for its WAL is not to wait for the duty's interval too.
_EAGER_SECONDS = 0.5
# After an error, so that a repository that is away is not asked without a pause.
_AGAIN_SECONDS = 5.0
# Looking through ten thousand segments takes 30 ms.
_TELL_SECONDS = 30.0
# Shorter trouble is nobody's business; then somebody has to hear of it.
ALERT_SECONDS = 900.0


class Shipping:
    """The duty. act() looks after the threads and raises what the last one of them met, for the log."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._shippers: dict[int, Shipper] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._errors: dict[int, PgkeepError] = {}
        self._not_before: dict[int, float] = {}
        self._tell_at: dict[int, float] = {}

    def act(self, keeper: Keeper) -> None:
        for each in repository.all_keepers(keeper)[1:]:
            thread = self._threads.get(each.repo)
            if (thread is None or not thread.is_alive()) and time.monotonic() >= self._not_before.get(each.repo, 0):
                thread = threading.Thread(target=self._ship, args=(each,), name="ship-%d" % each.repo, daemon=True)
                self._threads[each.repo] = thread
                thread.start()
        for error in list(self._errors.values()):
            raise error

    def _ship(self, keeper: Keeper) -> None:
        number = keeper.repo
        try:
            self._shippers.setdefault(number, Shipper()).step(keeper)
            self._errors.pop(number, None)
        except (PgkeepError, OSError) as error:
            told = error if isinstance(error, PgkeepError) else _from_system(number, error)
            self._errors[number] = told
            self._not_before[number] = time.monotonic() + _AGAIN_SECONDS
        if time.monotonic() >= self._tell_at.get(number, 0):
            self._tell_at[number] = time.monotonic() + _TELL_SECONDS
            with contextlib.suppress(PgkeepError, OSError):
                # On a full disk there is no queue to put it into; health says the same.
                tell(keeper, self._clock())


def check(keeper: Keeper) -> None:
    """What the repositories are is in pgbackrest.conf, which pgBackRest judges."""


def _from_system(number: int, error: OSError) -> PgkeepError:
    return PgkeepError(
        "WAL does not reach repository %d" % number,
        "%s: %s" % (error.filename or "a file", error.strerror or error),
        "free space on the disk of the spool, or give it to uid 999",
    )


def tell(keeper: Keeper, now: float) -> None:
    """An alert when WAL has not reached the repository for too long, and one when it does again."""
    known = state.load(keeper.state, keeper.repo)
    waiting = behind(archived_here(keeper)[1], known.last)
    lag = now - min(waiting) if waiting else 0.0
    failing = 0.0 if known.failing_since is None else now - known.failing_since
    late = max(lag, failing) > ALERT_SECONDS
    if late == known.alerted or (known.alerted and (waiting or known.error)):
        return
    state.save(keeper.state, keeper.repo, replace(known, alerted=late))
    error = known.error or {}
    alert.put(
        keeper.state,
        alert.Alert(
            keeper.instance,
            alert.CRITICAL if late else alert.INFO,
            "ship",
            "WAL of %s %s repository %d" % (keeper.instance, "does not reach" if late else "reaches", keeper.repo),
            "for %s; %s" % (hours(max(lag, failing)), error.get("why", "it is slower than the server"))
            if late
            else "everything that waited was brought there",
            str(error.get("next_step", "look at the connection to the repository")) if late else "nothing",
            rfc3339(now),
        ),
        now,
    )


@contextlib.contextmanager
def meanwhile(keeper: Keeper) -> Iterator[None]:
    """Ship while the block runs: a backup waits for its WAL, and nobody says that the keeper's main process runs."""
    if keeper.repo == 1:
        yield
        return
    ended = threading.Event()
    shipper = Shipper()

    def ship() -> None:
        while not ended.is_set():
            pause = _EAGER_SECONDS
            try:
                shipper.step(keeper)
            except (PgkeepError, OSError):
                # It is in the state, where the backup that waits in vain finds its reason.
                pause = _AGAIN_SECONDS
            ended.wait(pause)

    thread = threading.Thread(target=ship, name="ship-%d" % keeper.repo, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=_AGAIN_SECONDS)
