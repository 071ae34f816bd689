# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the keeper. Private to the collection.

Every command but keeper prints one JSON object. A failure prints {"error": {...}} and ends with 1, or with 75
(EX_TEMPFAIL) when the repository is busy and a repeat may succeed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from typing import Any, Callable, Optional, Sequence

from . import _backup as backup
from . import _backup_canary as canary
from . import _backup_expire as expiry
from . import _backup_info as backup_info
from . import _backup_repository as repository
from . import _evidence_files as evidence
from . import _sql
from ._backup_repository import REPOSITORY, Keeper
from ._counts_read import read as read_tables
from ._errors import PgkeepError
from ._evidence import judge
from ._run import run

EXIT_FAILED = 1
EXIT_BUSY = 75

_ANNOTATION = re.compile(r"([a-z0-9][a-z0-9-]*)=([^\x00-\x1f]*)\Z")


def _backup(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return backup.take(keeper, options.type, max_age_seconds=options.max_age, check=options.check)


def _info(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {"backup_info": backup_info.info(keeper)}


def _canary(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {"canary": canary.release(keeper, options.timeout)}


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
    with backup.locked(keeper, "expiry of %s" % keeper.instance):
        snapshot = repository.snapshot(keeper)
        problem = repository.problem(keeper, snapshot.info)
        if problem is not None:
            raise problem
        backups = judge(keeper.instance, snapshot, evidence.notes(keeper))
        result = expiry.expire(keeper, backups, check=options.check)
        if not options.check:
            kept = [each.label for each in backups if each.label not in result["removed"]]
            evidence.keep_only(keeper, kept)
        return {"expire": result, "changed": bool(result["removed"])}


def _annotate(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    match = _ANNOTATION.match(options.annotation)
    if match is None:
        raise PgkeepError(
            "The annotation %r cannot be written" % options.annotation, "it is not key=value", "correct it"
        )
    words = [REPOSITORY, "--set=" + options.set, "--annotation=" + options.annotation, "annotate"]
    with backup.locked(keeper, "annotation of %s" % keeper.instance):
        repository.checked(keeper, "The backup %s was not annotated" % options.set, words)
    return {"annotation": {"label": options.set, "key": match.group(1), "value": match.group(2)}, "changed": True}


def _keep(keeper: Keeper) -> int:
    """The keeper's main process: it is there, so that commands can be run beside it, and ends when it is told to."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    sys.stdout.write("pgkeep: keeper of %s is ready\n" % keeper.instance)
    sys.stdout.flush()
    signal.sigwait(ends)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pgkeep", description="Looks after one PostgreSQL instance.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Optional[Callable[..., Any]], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    take = add("backup", _backup, "Take a backup and believe it only by its evidence.")
    take.add_argument("--type", choices=("full", "diff", "incr"), default="incr", help="default: %(default)s")
    take.add_argument("--max-age", type=float, metavar="SECONDS", help="take none while a clean one is younger")
    take.add_argument("--check", action="store_true", help="only say what would be done")
    add("info", _info, "Tell everything that is known about the backups.")
    add("canary", _canary, "Write a row and wait until its WAL is in the repository.").add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="default: %(default)s"
    )
    add("counters", _counters, "Read the write counters of every user table.").add_argument(
        "--rows", action="store_true", help="count the rows too"
    )
    add("expire", _expire, "Remove old backups, never the last two clean full ones.").add_argument(
        "--check", action="store_true", help="only say what would go"
    )
    annotate = add("annotate", _annotate, "Write a note to a backup in the repository.")
    annotate.add_argument("--set", required=True, metavar="LABEL")
    annotate.add_argument("annotation", metavar="KEY=VALUE")
    add("keeper", None, "The main process of the keeper container.")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    options = _parser().parse_args(argv)
    try:
        keeper = _keeper()
        if options.function is None:
            return _keep(keeper)
        _print(options.function(keeper, options))
    except PgkeepError as error:
        _print({"error": error.to_result()})
        return EXIT_BUSY if error.busy else EXIT_FAILED
    except OSError as error:
        # The spool and the state folder may be on the disk that is full.
        _print({"error": _from_system(options.command, error).to_result()})
        return EXIT_FAILED
    return 0


def _from_system(command: str, error: OSError) -> PgkeepError:
    return PgkeepError(
        "pgkeep %s did not work" % command,
        "%s: %s" % (error.filename or "a file or pipe", error.strerror or error),
        "free space, or give the spool and the state folder to uid 999; then repeat",
    )


def _keeper() -> Keeper:
    missing = [name for name in ("PGKEEP_INSTANCE", "PGDATA") if not os.environ.get(name)]
    if missing:
        raise PgkeepError(
            "The keeper does not know its instance",
            "%s is not set" % " and ".join(missing),
            "run pgkeep in the keeper container",
        )
    return Keeper(os.environ["PGKEEP_INSTANCE"], run, os.environ["PGDATA"])


def _print(result: dict[str, Any]) -> None:
    """Nobody may be left to read it: whoever asked was killed while the backup went on."""
    try:
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again at its end and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
