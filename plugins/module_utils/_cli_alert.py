# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's commands about alerts. Private to the collection."""

from __future__ import annotations

import argparse
import time
from typing import Any

from . import _alert_proof as proof
from . import _alert_queue as queue
from . import _deadman
from ._alert_config import load
from ._backup_repository import Keeper
from ._command import Add


def add_commands(add: Add) -> None:
    add("alerts", _alerts, "What waits in the queue of alerts, and which receiver fails with what.")
    test = add("alert-test", _test, "Send one alert to every receiver and wait until it arrived.", audited=True)
    test.add_argument("--timeout", type=float, default=30, metavar="SECONDS", help="default: %(default)s")
    test.add_argument("--check", action="store_true", help="send nothing, only name the receivers")


def _alerts(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    config = load(keeper)
    names = [receiver.name for receiver in config.receivers] if config else []
    found = queue.summary(keeper.state, names, time.time())
    return {"alerts": {**found, "deadman": _deadman.summary(keeper) if config and config.deadman else None}}


def _test(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return proof.try_out(keeper, options.timeout, check=options.check)
