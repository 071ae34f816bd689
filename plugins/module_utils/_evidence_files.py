# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keeper writes down about each backup: /var/lib/pgkeep/evidence. Private to the collection.

<label>.json holds the tables of one backup with rows and counters, for the drill; notes.json holds what judging all
backups needs, so that a list of backups does not read every table of every one of them.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import Any, Collection, Mapping

from ._backup_repository import Keeper
from ._counts import CLOSED, Reading, Table, table_from_dict
from ._errors import PgkeepError
from ._evidence import Note
from ._files import File, read, write
from ._times import rfc3339

SCHEMA = 1
_NOTES = "notes.json"


def _load(path: str) -> Mapping[str, Any]:
    text = read(path)
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise PgkeepError(
            "The evidence of backups cannot be read",
            "%s: %s" % (path, error),
            "move the file aside; the backups stay, only what was counted with them is unknown then",
        ) from error
    return content if isinstance(content, dict) else {}


def _store(path: str, content: Mapping[str, Any]) -> None:
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    write(File(path, json.dumps(content, ensure_ascii=False) + "\n", 0o640, os.getuid(), os.getgid()))


def notes(keeper: Keeper) -> dict[str, Note]:
    """Label -> what was noted about it; a backup that somebody made by hand has no note."""
    return {
        label: Note(int(note["rc"]), note.get("rows"), tuple(note.get("unreadable", ())))
        for label, note in _load("%s/%s" % (keeper.evidence_dir, _NOTES)).items()
    }


def tables(keeper: Keeper, label: str) -> list[Table]:
    """The tables recorded with the backup; none when nothing was recorded."""
    return [table_from_dict(table) for table in _load("%s/%s.json" % (keeper.evidence_dir, label)).get("tables", [])]


def skipped(keeper: Keeper, label: str) -> dict[str, str]:
    """Database -> why its tables could not be read when the backup was made."""
    return dict(_load("%s/%s.json" % (keeper.evidence_dir, label)).get("skipped", {}))


def record(keeper: Keeper, label: str, note: Note, reading: Reading, now: float) -> None:
    _store(
        "%s/%s.json" % (keeper.evidence_dir, label),
        {
            "schema": SCHEMA,
            "label": label,
            "recorded_at": rfc3339(now),
            "skipped": {**reading.skipped, **dict.fromkeys(reading.closed, CLOSED)},
            "tables": [table.to_dict() for table in reading.tables],
        },
    )
    _store(
        "%s/%s" % (keeper.evidence_dir, _NOTES),
        {name: asdict(each) for name, each in {**notes(keeper), label: note}.items()},
    )


def renew(keeper: Keeper) -> None:
    """Have those look at the repository again who remember it: they compare when the notes were written."""
    with contextlib.suppress(FileNotFoundError):
        os.utime("%s/%s" % (keeper.evidence_dir, _NOTES))


def keep_only(keeper: Keeper, labels: Collection[str]) -> None:
    """Remove what was recorded with backups other than labels: they are no longer in the repository."""
    recorded = notes(keeper)
    gone = [label for label in recorded if label not in labels]
    if gone:
        kept = {label: asdict(note) for label, note in recorded.items() if label in labels}
        _store("%s/%s" % (keeper.evidence_dir, _NOTES), kept)
    for label in gone:
        with contextlib.suppress(FileNotFoundError):
            os.unlink("%s/%s.json" % (keeper.evidence_dir, label))
