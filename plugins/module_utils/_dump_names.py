# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of dumps, of their files and of the databases made from them. Pure; private to the collection."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Optional
from urllib.parse import quote, unquote

# What is not complete yet; nothing but the run that writes it looks at it.
PARTIAL = ".partial"
ENCRYPTED = ".enc"

# PostgreSQL cuts longer names silently (NAMEDATALEN).
_NAME_BYTES = 63

_STAMP = "%Y-%m-%d_%H%M%S"
_RUN = re.compile(r"\d{4}-\d\d-\d\d_\d{6}\Z")
_FILE = re.compile(r"(?P<database>.+)_backup_(?P<stamp>\d{4}-\d\d-\d\d_\d{6})\.dump(?:\.enc)?\Z", re.DOTALL)


def stamp(epoch: float) -> str:
    """2026-11-21_020005, in UTC: the name of a run of dumps and part of the names of its files."""
    return datetime.fromtimestamp(int(epoch), timezone.utc).strftime(_STAMP)


def is_run(name: str) -> bool:
    return _RUN.match(name) is not None


def encode(database: str) -> str:
    """The database's name for use in a file name: percent-encoded, never hidden and never like an option."""
    text = quote(database, safe="")
    return "%%%02X" % ord(text[0]) + text[1:] if text[:1] in (".", "-") else text


def dump_file(database: str, run: str, *, encrypted: bool) -> str:
    return "%s_backup_%s.dump%s" % (encode(database), run, ENCRYPTED if encrypted else "")


def globals_file(run: str, *, encrypted: bool) -> str:
    """Not named .dump: it is SQL, and so it cannot collide with a database called globals."""
    return "globals_backup_%s.sql%s" % (run, ENCRYPTED if encrypted else "")


def decode(file: str) -> Optional[tuple[str, str]]:
    """(database, run) of a name that dump_file() made, None for any other name."""
    match = _FILE.match(file)
    return (unquote(match["database"]), match["stamp"]) if match else None


def beside(database: str, word: str, run: str) -> str:
    """<database>_<word>_<stamp> as a database name; a long name loses its end so that PostgreSQL does not cut it."""
    tail = "_%s_%s" % (word, run)
    return database.encode()[: _NAME_BYTES - len(tail)].decode(errors="ignore") + tail


def fits(database: str) -> bool:
    """Whether PostgreSQL takes the name as it is."""
    return 0 < len(database.encode()) <= _NAME_BYTES and "\0" not in database
