# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's commands about drills. Private to the collection."""

from __future__ import annotations

import argparse
import time
from itertools import islice
from typing import Any

from . import _drill_record as record
from ._backup_all import one
from ._backup_repository import Keeper
from ._command import Add
from ._drill import Request, drill
from ._drill_turn import DUE, proofs, take_turns
from ._sandbox_keeper import KeeperSandbox

_LISTED = (
    "label",
    "where",
    "repository",
    "passed",
    "started_at",
    "duration_seconds",
    "rto_seconds",
    "rpo_seconds",
    "size_bytes",
)


def add_commands(add: Add) -> None:
    run = add("drill", _drill, "Restore a backup beside the server and prove it.", audited=True)
    run.add_argument("--label", help="default: the newest clean backup")
    run.add_argument(
        "--repo",
        default="1",
        metavar="N",
        help="number of the repository, or %s for the one whose proof is the oldest; default: %%(default)s" % DUE,
    )
    run.add_argument("--max-age", type=int, metavar="SECONDS", help="run none while the proof is younger")
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="default: what the inventory says")
    run.add_argument("--no-heapallindexed", action="store_true", help="do not look for every row in every index")
    run.add_argument(
        "--keep-on-failure", action="store_true", help="leave the copy's files in place when a proof fails"
    )
    run.add_argument("--check", action="store_true", help="only say which backup would be proven")
    add("drills", _drills, "List the last drills and how their RTO grows.").add_argument(
        "--last", type=int, default=10, metavar="N", help="default: %(default)s"
    )


def _drill(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    def prove(number: int) -> dict[str, Any]:
        request = Request(
            label=options.label,
            max_age_seconds=options.max_age,
            heapallindexed=not options.no_heapallindexed,
            timeout_seconds=options.timeout,
            keep_on_failure=options.keep_on_failure,
            repository=number,
        )
        return drill(KeeperSandbox(keeper), request, options.check, who=keeper.actor)

    if options.repo == DUE:
        return take_turns(proofs(keeper), prove, time.time())
    return prove(one(keeper, options.repo).repo)


def _drills(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    found = list(islice(record.records(keeper.state), max(options.last, 0)))
    listed = []
    for each in found:
        failed = [check["id"] for check in each.get("checks", ()) if not check["passed"]]
        listed.append({**{name: each.get(name) for name in _LISTED}, "failed_checks": failed})
    return {"drills": listed, "trend": record.trend(found)}
