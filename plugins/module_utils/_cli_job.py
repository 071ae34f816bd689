# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's commands about its schedule. Private to the collection."""

from __future__ import annotations

import argparse
from typing import Any

from . import _job, _service
from ._backup_repository import Keeper
from ._command import Add


def add_commands(add: Add) -> None:
    add("job", _run, "Run a job of the schedule now, with its record and its alert.").add_argument("name")
    add("check-config", _check, "Say whether what the inventory asks of the keeper can be done.")


def _run(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {"job": _job.run_job(keeper, options.name, options.actor)}


def _check(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    _service.check(keeper)
    return {"changed": False}
