# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's commands about its schedule. Private to the collection."""

from __future__ import annotations

import argparse
from typing import Any

from . import _job, _schedule_duty, _service
from ._backup_repository import Keeper
from ._command import Add
from ._errors import PgkeepError


def add_commands(add: Add) -> None:
    add("job", _run, "Run a job of the schedule now, with its record and its alert.").add_argument("name")
    add("due", _due, "Run what is due; for a clock of the host that only wakes the keeper.")
    add("check-config", _check, "Say whether what the inventory asks of the keeper can be done.")


def _run(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    """The record; a job that failed or found somebody else at work fails the command too."""
    record = _job.run_job(keeper, options.name, options.actor)
    error = record["error"]
    if error:
        raise PgkeepError(error["what"], error["why"], error["next_step"], busy=error["busy"])
    return {"job": record}


def _due(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {"jobs": _schedule_duty.tick(keeper, runner=options.actor)}


def _check(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    _service.check(keeper)
    return {"changed": False}
