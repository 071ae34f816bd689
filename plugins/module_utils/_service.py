# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's main process: its duties, side by side, until it is told to end. Private to the collection."""

from __future__ import annotations

import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Callable

from . import (
    _alert_duty,
    _deadman,
    _drill_duty,
    _dump_settings,
    _heartbeat,
    _http_duty,
    _job,
    _poll,
    _schedule_duty,
    _ship_duty,
    _timelines,
    _watch_duty,
)
from ._backup_repository import Keeper
from ._board import Board
from ._errors import PgkeepError


@dataclass(frozen=True)
class Duty:
    """act is called again and again, interval_seconds after it returned; check says whether its topic can be used."""

    name: str
    interval_seconds: float
    act: Callable[[Keeper], object]
    check: Callable[[Keeper], object]


def _say(words: str) -> None:
    sys.stdout.write("pgkeep: %s\n" % words)
    sys.stdout.flush()


# Written by the poller, read by whoever asks.
_BOARD = Board()
_POLLER = _poll.Poller(_BOARD)

DUTIES = (
    # First, so that it answers (not ready, nothing known yet) from the first moment on.
    Duty("http", 2.0, _http_duty.Service(_BOARD, _say).tick, _http_duty.check),
    Duty("schedule", 5.0, _schedule_duty.tick, _schedule_duty.check),
    Duty("timeline", _timelines.NOTICE_SECONDS, _timelines.notice, _timelines.nothing_to_check),
    Duty("foreign-timelines", _timelines.WATCH_SECONDS, _timelines.watch, _timelines.nothing_to_check),
    Duty("ship", 3.0, _ship_duty.Shipping().act, _ship_duty.check),
    Duty("alerts", 2.0, _alert_duty.tick, _alert_duty.check),
    # How often these two really act is a matter of the inventory; this is how exact that is.
    Duty("watch", 2.0, _watch_duty.tick, _watch_duty.check),
    Duty("deadman", 2.0, _deadman.tick, _deadman.check),
    Duty("drill", 300.0, _drill_duty.tick, _drill_duty.check),
    Duty("poll", _poll.TICK_SECONDS, _POLLER.tick, _timelines.nothing_to_check),
    Duty("evidence", 5.0, _POLLER.look_beside, _timelines.nothing_to_check),
    Duty("pool", 2.0, _POLLER.look_at_pooler, _timelines.nothing_to_check),
    Duty("heartbeat", _heartbeat.LOOK_SECONDS, _heartbeat.Heart().tick, _heartbeat.check),
)
# Of topics that no duty works on, but jobs and people.
_OTHER_CHECKS = (_dump_settings.check,)

# The same trouble again is said again only after this long.
_SAY_AGAIN_SECONDS = 600.0


def check(keeper: Keeper) -> None:
    """Raises PgkeepError for the first topic that cannot be used."""
    for its_check in (*(duty.check for duty in DUTIES), *_OTHER_CHECKS):
        its_check(keeper)


def serve(keeper: Keeper) -> int:
    """Run all duties until SIGTERM or SIGINT; a duty that fails says so and goes on."""
    ends = {signal.SIGTERM, signal.SIGINT}
    # Before any thread is there, so that none of them gets the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    _said(_job.note_interrupted, keeper)
    for duty in DUTIES:
        # Daemons: whoever works when the end comes is ended too, and its work is told as interrupted next time.
        threading.Thread(target=_forever, args=(keeper, duty), name=duty.name, daemon=True).start()
    _say("keeper of %s is ready" % keeper.instance)
    signal.sigwait(ends)
    return 0


def _said(function: Callable[[Keeper, float], object], keeper: Keeper) -> None:
    try:
        function(keeper, time.time())
    except (PgkeepError, OSError) as error:
        _say(str(error))


def _forever(keeper: Keeper, duty: Duty) -> None:
    said, said_at = "", 0.0
    while True:
        try:
            duty.act(keeper)
            said = ""
        except Exception as error:  # noqa: BLE001 - a duty must outlive whatever its work meets; it is said, not hidden
            words = "%s: %s" % (duty.name, error if isinstance(error, PgkeepError) else repr(error))
            if words != said or time.monotonic() - said_at > _SAY_AGAIN_SECONDS:
                said, said_at = words, time.monotonic()
                _say(words)
        time.sleep(duty.interval_seconds)
