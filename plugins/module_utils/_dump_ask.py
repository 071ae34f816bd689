# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules dump, dump_info and dump_restore: what they ask of the keeper. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

from ._errors import PgkeepError
from ._keeper import ask
from ._layout import Layout
from ._run import Run

# Option of the module -> option of the command, for those that are words.
_RESTORE_WORDS = {name: "--" + name for name in ("database", "file", "schema", "table", "into", "confirm")}


def dump(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Dump databases and return what the keeper says: dump, changed, plan, removed."""
    # One word with the =, so that a name that begins with a hyphen is no option.
    argv = ["dump", *("--database=" + database for database in params["databases"] or ())]
    return _ask(run, params, [*argv, "--check"] if check_mode else argv)


def dump_restore(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make a database from a dump and return what the keeper says: dump_restore, changed, plan."""
    argv = ["dump-restore"]
    argv += ["%s=%s" % (word, params[name]) for name, word in _RESTORE_WORDS.items() if params[name] is not None]
    if params["exchange"]:
        argv.append("--exchange")
    return _ask(run, params, [*argv, "--check"] if check_mode else argv)


def dump_info(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """What is known about the dumps; reads only, so check mode is the same."""
    answer = _ask(run, params, ["dumps", "--verify"] if params["verify"] else ["dumps"])
    return {"changed": False, "dumps": answer["dumps"]}


def _ask(run: Run, params: Mapping[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    layout = Layout(params["name"])
    timeout = params["timeout_seconds"]
    begun = time.monotonic()
    try:
        return ask(run, layout, argv, timeout=timeout)
    except PgkeepError as error:
        if time.monotonic() - begun < timeout:
            raise
        raise PgkeepError(
            "The command %s of %s is not finished" % (argv[0], layout.name),
            "it takes longer than timeout_seconds, %d s; it goes on in the keeper until its own deadline" % timeout,
            "look with dump_info for what it made; raise timeout_seconds for the next time",
        ) from error
