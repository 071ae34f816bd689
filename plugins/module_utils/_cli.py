# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the keeper. Private to the collection.

Every command but keeper prints one JSON object. A failure prints {"error": {...}} and ends with 1, or with 75
(EX_TEMPFAIL) when the repository is busy and a repeat may succeed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Any, Optional, Sequence

from . import _audit as audit
from ._backup_repository import Keeper
from ._command import Command
from ._errors import PgkeepError
from ._run import run

EXIT_FAILED = 1
EXIT_BUSY = 75

# Each file of commands has a function add_commands(). It is imported when one of its commands is asked for: all of them
# take longer to import than most commands to run, and a keeper has little processor.
_FILES = {
    "_cli_backup": ("backup", "info", "canary", "restore-point", "counters", "expire", "prune", "annotate"),
    "_cli_drill": ("drill", "drills"),
    "_cli_dump": ("dump", "dumps", "dump-restore"),
    "_cli_job": ("job", "due", "check-config"),
    "_cli_alert": ("alerts", "alert-test"),
}
_SERVE = "keeper"


def _files(words: Sequence[str]) -> list[str]:
    """The files whose commands may be meant, as a word may also be a value; all for help and for what is no command."""
    found = [file for file, commands in _FILES.items() if any(word in commands for word in words)]
    return found or ([] if _SERVE in words else list(_FILES))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pgkeep", description="Looks after one PostgreSQL instance.")
    parser.add_argument("--actor", default="shell", help="who asks, for the audit trail; default: %(default)s")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, command: Optional[Command], text: str, *, audited: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=command, audited=audited)
        return added

    for file in _files(words):
        importlib.import_module("." + file, __package__).add_commands(add)
    add(_SERVE, None, "The main process of the keeper container: its schedule.")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    options = _parser(words).parse_args(words)
    try:
        keeper = _keeper()
        if options.function is None:
            from . import _service

            return _service.serve(keeper)
        # The main process waits for these signals with them blocked, and what it starts inherits that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        _print(_carry_out(replace(keeper, actor=options.actor), options))
    except PgkeepError as error:
        _print({"error": error.to_result()})
        return EXIT_BUSY if error.busy else EXIT_FAILED
    except OSError as error:
        # The spool and the state folder may be on the disk that is full.
        _print({"error": _from_system(options.command, error).to_result()})
        return EXIT_FAILED
    return 0


def inside(keeper: Keeper, words: Sequence[str]) -> dict[str, Any]:
    """What another process would print for words, without its start; for a command that needs another one."""
    found: dict[str, Any] = json.loads(json.dumps(_carry_out(keeper, _parser(words).parse_args(words))))
    return found


def _carry_out(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    """The object of the command. What failed while somebody on the host stopped the server says so, and who it was."""
    began = time.time()
    try:
        return _recorded(keeper, options)
    except PgkeepError as error:
        stopped = audit.beside(keeper.state, audit.STOPPING, began)
        # Any other kind of error holds more than words, and is about data.
        if stopped is None or error.busy or error.__class__ is not PgkeepError:
            raise
        words = "meanwhile there was a %(action)s by %(actor)s, since %(at)s" % stopped
        raise PgkeepError(error.what, "%s; %s" % (error.why, words), "repeat when it has ended") from error


def _recorded(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any]
    if not options.audited or getattr(options, "check", False):
        result = options.function(keeper, options)
        return result
    if getattr(options, "max_age", None) is not None:
        # Every deploy asks so. What is not due is no operation and leaves no record.
        looked: dict[str, Any] = options.function(keeper, argparse.Namespace(**{**vars(options), "check": True}))
        if not looked.get("changed"):
            return looked
    parameters = {
        name: value
        for name, value in vars(options).items()
        if name not in ("command", "function", "actor", "audited", "check") and value is not None
    }
    with audit.recorded(keeper.state, options.command, options.actor, parameters) as outcome:
        result = options.function(keeper, options)
        outcome.details["changed"] = bool(result.get("changed"))
    return result


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
