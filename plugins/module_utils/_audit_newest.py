# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest operations of the audit trail, for who looks again and again. Private to the collection.

The trail has up to 16 MB. It is read once, line by line, and from then on only as far as it has grown.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, BinaryIO

from ._audit import FILE, FORMER

# Of each action, so that a hundred sessions of psql do not push out the backup that failed.
_KEPT = 50


class Newest:
    """Remembers at, actor, action and result of the newest operations of each action, and where it stopped to read."""

    def __init__(self) -> None:
        # Inode -> how far it was read.
        self._read: dict[int, int] = {}
        # Action -> id -> operation, the oldest first.
        self._known: dict[str, dict[str, dict[str, Any]]] = {}

    def operations(self, state_dir: str) -> list[dict[str, Any]]:
        """The operations by their starts; result is "unfinished" for one that runs or was killed.

        OSError passes through, but not for a trail that nobody has begun yet.
        """
        with contextlib.ExitStack() as stack:
            # The newer one first: if it becomes the former one meanwhile, nothing between the two is missed.
            files: list[BinaryIO] = []
            for name in (FILE, FORMER):
                with contextlib.suppress(FileNotFoundError):
                    files.insert(0, stack.enter_context(open(os.path.join(state_dir, name), "rb")))
            inodes = [os.fstat(file.fileno()).st_ino for file in files]
            self._read = {inode: self._read.get(inode, 0) for inode in inodes}
            for file, inode in zip(files, inodes):
                # A new file may get the number of one that was removed.
                begin = self._read[inode] if os.fstat(file.fileno()).st_size >= self._read[inode] else 0
                self._read[inode] = begin + self._take(file, begin)
        found = [each for operations in self._known.values() for each in operations.values()]
        return sorted(found, key=lambda each: str(each["at"]))

    def _take(self, file: BinaryIO, begin: int) -> int:
        """How many bytes of whole lines there were from begin on."""
        file.seek(begin)
        taken = 0
        for line in file:
            if not line.endswith(b"\n"):
                # It is being written.
                break
            taken += len(line)
            with contextlib.suppress(ValueError):
                record = json.loads(line.decode(errors="replace"))
                if isinstance(record, dict):
                    self._add(record)
        return taken

    def _add(self, record: dict[str, Any]) -> None:
        known = self._known.setdefault(str(record.get("action")), {})
        identity = str(record.get("id"))
        if record.get("phase") == "start":
            known[identity] = {**{name: record.get(name) for name in ("at", "actor", "action")}, "result": "unfinished"}
            while len(known) > _KEPT:
                del known[next(iter(known))]
        elif identity in known:
            known[identity]["result"] = record.get("result")
