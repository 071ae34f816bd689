# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's commands about backups. Private to the collection."""

from __future__ import annotations

import argparse
import re
from typing import Any, Optional

from . import _backup as backup
from . import _backup_canary as canary
from . import _backup_expire as expiry
from . import _backup_info as backup_info
from . import _backup_prune as pruning
from . import _backup_repository as repository
from . import _evidence_files as evidence
from . import _restore_point as restore_point
from . import _sql
from ._backup_all import ALL, chosen, each, one
from ._backup_repository import Keeper
from ._command import Add
from ._counts_read import read as read_tables
from ._errors import PgkeepError
from ._evidence import judge

_ANNOTATION = re.compile(r"([a-z0-9][a-z0-9-]*)=([^\x00-\x1f]*)\Z")


def add_commands(add: Add) -> None:
    take = add("backup", _backup, "Take a backup and believe it only by its evidence.", audited=True)
    take.add_argument("--type", choices=("full", "diff", "incr"), default="incr", help="default: %(default)s")
    take.add_argument("--max-age", type=float, metavar="SECONDS", help="take none while a clean one is younger")
    take.add_argument("--check", action="store_true", help="only say what would be done")
    _with_repository(take, ALL)
    _with_repository(add("info", _info, "Tell everything that is known about the backups."), None)
    canary_command = add("canary", _canary, "Write a row and wait until its WAL is in the repository.")
    canary_command.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="default: %(default)s")
    _with_repository(canary_command, "1")
    point = add("restore-point", _restore_point, "Make a named point that can be restored to.", audited=True)
    point.add_argument("--name", required=True)
    point.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="default: %(default)s")
    point.add_argument("--check", action="store_true", help="only say whether it can be made")
    add("counters", _counters, "Read the write counters of every user table.").add_argument(
        "--rows", action="store_true", help="count the rows too"
    )
    expire = add("expire", _expire, "Remove old backups, never the last two clean full ones.", audited=True)
    expire.add_argument("--check", action="store_true", help="only say what would go")
    _with_repository(expire, ALL)
    prune = add("prune", _prune, "Emergency: keep only the newest clean backups.", audited=True)
    prune.add_argument("--keep", type=int, default=3, metavar="NUMBER", help="default: %(default)s")
    prune.add_argument("--check", action="store_true", help="only say what would go")
    _with_repository(prune, "1")
    annotate = add("annotate", _annotate, "Write a note to a backup in the repository.")
    annotate.add_argument("--set", required=True, metavar="LABEL")
    annotate.add_argument("annotation", metavar="KEY=VALUE")
    _with_repository(annotate, "1")


def _with_repository(parser: argparse.ArgumentParser, default: Optional[str]) -> None:
    words = "number of the repository%s; default: %s" % (
        ", or all" if default == ALL else "",
        default or "the first, with a line on each other one",
    )
    parser.add_argument("--repo", default=default, metavar="N", help=words)


def _backup(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    def take(one: Keeper) -> dict[str, Any]:
        return backup.take(one, options.type, max_age_seconds=options.max_age, check=options.check)

    return each(chosen(keeper, options.repo), "backup", take)


def _info(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    if options.repo is not None:
        return {"backup_info": backup_info.info(one(keeper, options.repo))}
    return {"backup_info": backup_info.everything(keeper)}


def _canary(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {"canary": canary.release(one(keeper, options.repo), options.timeout)}


def _restore_point(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "restore_point": restore_point.create(keeper, options.name, options.timeout, check=options.check),
        "changed": True,
    }


def _counters(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    try:
        reading = read_tables(keeper.sockets, count=options.rows)
    except _sql.driver().Error as error:
        raise PgkeepError(
            "The tables of %s cannot be read" % keeper.instance,
            " ".join(str(error).split()),
            "start the server, then repeat",
        ) from error
    return {
        "counters": [table.to_dict() for table in reading.tables],
        "skipped": dict(reading.skipped),
        "damaged": list(reading.damaged),
    }


def _expire(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return each(chosen(keeper, options.repo), "expiry", lambda one: _expire_one(one, options.check))


def _expire_one(keeper: Keeper, check: bool) -> dict[str, Any]:
    with backup.locked(keeper, "expiry of %s" % keeper.instance):
        snapshot = repository.snapshot(keeper)
        problem = repository.problem(keeper, snapshot.info)
        if problem is not None:
            raise problem
        backups = judge(keeper.instance, snapshot, evidence.notes(keeper))
        result = expiry.expire(keeper, backups, check=check)
        if not check:
            kept = [one.label for one in backups if one.label not in result["removed"]]
            evidence.keep_only(keeper, kept)
        return {"expire": result, "changed": bool(result["removed"])}


def _prune(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    keeper = one(keeper, options.repo)
    with backup.locked(keeper, "pruning of %s" % keeper.instance):
        return pruning.prune(keeper, options.keep, check=options.check)


def _annotate(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    match = _ANNOTATION.match(options.annotation)
    if match is None:
        raise PgkeepError(
            "The annotation %r cannot be written" % options.annotation, "it is not key=value", "correct it"
        )
    keeper = one(keeper, options.repo)
    words = [keeper.repository_option, "--set=" + options.set, "--annotation=" + options.annotation, "annotate"]
    with backup.locked(keeper, "annotation of %s" % keeper.instance):
        repository.checked(keeper, "The backup %s was not annotated" % options.set, words)
        evidence.renew(keeper)
    return {"annotation": {"label": options.set, "key": match.group(1), "value": match.group(2)}, "changed": True}
