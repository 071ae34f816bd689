# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_amcheck over a restored copy. Private to the collection."""

from __future__ import annotations

from typing import Mapping, Sequence

from ._errors import PgkeepError
from ._run import Result
from ._sql import as_options

# Exit code of pg_amcheck (PostgreSQL manual): 2 corruption was found.
CORRUPT = 2
_NAMED = 5


def argv(socket_dir: str, jobs: int, heapallindexed: bool, settings: Mapping[str, str]) -> list[str]:
    """All databases, every table and B-tree index. The extension is installed where it is missing, in the copy only.

    settings: what its sessions bring, see _sql.
    """
    return [
        "env",
        "PGOPTIONS=" + as_options(settings),
        "pg_amcheck",
        "--all",
        "--install-missing",
        *(["--heapallindexed"] if heapallindexed else []),
        "--jobs=%d" % jobs,
        "--host=" + socket_dir,
        "--username=postgres",
    ]


def verdict(result: Result, heapallindexed: bool, closed: Sequence[str] = ()) -> tuple[bool, str]:
    """(passed, detail). Corruption is told on standard output; a check that did not run raises PgkeepError, for it says
    nothing about the data. closed: databases that let nobody in, which pg_amcheck passes over without a word."""
    if result.rc == 0:
        depth = ", every row found in every index" if heapallindexed else ""
        text = "no corruption in any table or B-tree index" + depth
        if closed:
            text += "; not looked at, for they allow no connections: " + some(["database " + name for name in closed])
        return True, text
    found = findings(result.stdout if result.rc == CORRUPT else result.stderr)
    text = some(found) or "exit code %d and no message" % result.rc
    if result.rc != CORRUPT:
        next_step = "correct what it names, or look at memory and load, then drill again"
        raise PgkeepError("pg_amcheck did not do its work", text, next_step)
    return False, text


def some(words: Sequence[str]) -> str:
    """The first of them in one line, and how many more there are."""
    more = len(words) - _NAMED
    return "; ".join(words[:_NAMED]) + ("; and %d more" % more if more > 0 else "")


def findings(text: str) -> list[str]:
    """One entry an object: a line names it, indented lines say what is wrong with it."""
    found: list[str] = []
    for line in text.splitlines():
        words = " ".join(line.split())
        if not words or words.startswith("HINT:"):
            continue
        if line[:1].isspace() and found:
            found[-1] += " " + words
        else:
            found.append(words)
    return found
