# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's commands about dumps. Private to the collection."""

from __future__ import annotations

import argparse
from typing import Any

from . import _dump as dump
from . import _dump_info as dump_info
from . import _dump_restore as dump_restore
from ._backup_repository import Keeper
from ._command import Add
from ._interrupt import interruptible


def add_commands(add: Add) -> None:
    take = add("dump", _dump, "Dump databases, each as one file, with rows counted and checksums.", audited=True)
    take.add_argument("--database", action="append", default=[], metavar="NAME", help="may be repeated; default: all")
    take.add_argument("--check", action="store_true", help="only say what would be done")
    add("dumps", _dumps, "List the dumps and what is wrong with them.").add_argument(
        "--verify", action="store_true", help="read all of them, instead of only looking at their sizes"
    )
    back = add("dump-restore", _restore, "Make a new database from a dump, beside the old one.", audited=True)
    back.add_argument("--database", required=True, metavar="NAME", help="as it was named when it was dumped")
    back.add_argument("--file", metavar="FILE", help="name of the dump; default: the newest one of the database")
    back.add_argument("--schema", default="public", metavar="NAME", help="schema of the table; default: %(default)s")
    back.add_argument("--table", metavar="NAME", help="only the rows of this table, with all definitions")
    back.add_argument("--into", metavar="NAME", help="the new database; default: <database>_restored_<time>")
    back.add_argument("--exchange", action="store_true", help="rename it and the old one, which stays beside it")
    back.add_argument("--confirm", metavar="NAME", help="the database again, for --exchange")
    back.add_argument("--check", action="store_true", help="only say what would be done")


def _dump(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    with interruptible():
        return dump.take(keeper, options.database, check=options.check)


def _dumps(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    return {"dumps": dump_info.info(keeper, verify=options.verify)}


def _restore(keeper: Keeper, options: argparse.Namespace) -> dict[str, Any]:
    request = dump_restore.Request(
        database=options.database,
        file=options.file,
        schema=options.schema,
        table=options.table,
        into=options.into,
        exchange=options.exchange,
        confirm=options.confirm,
    )
    with interruptible():
        return dump_restore.restore(keeper, request, check=options.check)
