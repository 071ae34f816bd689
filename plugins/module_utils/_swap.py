# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data directories side by side on one volume: the serving one, its replacement, the previous.

Private to the collection.
"""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from typing import Optional, Sequence

from ._errors import PgkeepError
from ._layout import DATA_MOUNT, GID, UID, pgdata


@dataclass(frozen=True)
class Directories:
    """root is the host path of DATA_MOUNT; stamp makes the names of one restore unique and sorts by time.

    kind says what the replacement is called: restore, or preview while somebody looks at it.
    """

    root: str
    major: int
    stamp: str
    kind: str = "restore"

    def _host(self, inside: str) -> str:
        return self.root + inside[len(DATA_MOUNT) :]

    @property
    def data(self) -> str:
        return self._host(pgdata(self.major))

    @property
    def inside_beside(self) -> str:
        """The replacement's path in a container; beside is the same on the host."""
        return "%s.%s-%s" % (pgdata(self.major), self.kind, self.stamp)

    @property
    def beside(self) -> str:
        return self._host(self.inside_beside)

    @property
    def inside_previous(self) -> str:
        return "%s.previous-%s" % (pgdata(self.major), self.stamp)

    @property
    def previous(self) -> str:
        return self._host(self.inside_previous)

    @property
    def undone(self) -> str:
        """The name that data get which served and were replaced by older ones."""
        return "%s.undone-%s" % (self.data, self.stamp)

    def lay_aside(self, wal: Sequence[str]) -> Optional[str]:
        """Put files of the old pg_wal into a folder of their own and return its path in a container, None for no files.

        The whole of pg_wal may be many GB of recycled segments. Links cost nothing on the same file system.
        """
        if not wal:
            return None
        folder = self.beside + ".wal"
        try:
            os.mkdir(folder, 0o700)
            os.chown(folder, UID, GID)
            for name in wal:
                old = os.path.join(self.data, "pg_wal", name)
                try:
                    os.link(old, os.path.join(folder, name))
                except OSError:
                    # pg_wal may be a link to another file system.
                    shutil.copy2(old, folder)
                    os.chown(os.path.join(folder, name), UID, GID)
        except OSError as error:
            raise _failed("The WAL of the old data could not be laid aside", error) from error
        return self.inside_beside + ".wal"

    def has_data(self) -> bool:
        return os.path.isdir(self.data) and bool(os.listdir(self.data))

    def named(self, kind: str) -> list[str]:
        """Paths of everything of a kind (restore, preview, previous or undone), oldest first."""
        parent, base = os.path.split(self.data)
        if not os.path.isdir(parent):
            return []
        return [
            os.path.join(parent, name)
            for name in sorted(os.listdir(parent))
            if name.startswith("%s.%s-" % (base, kind))
        ]

    def swap(self) -> Optional[str]:
        """Put the replacement in the place of the data and return the path of the old ones, None when there were none.

        Two renames: a crash between them leaves no data directory, and neither a server nor a restore takes that for
        a new instance.
        """
        try:
            kept = None
            if self.has_data():
                os.rename(self.data, self.previous)
                kept = self.previous
            elif os.path.isdir(self.data):
                os.rmdir(self.data)
            try:
                os.rename(self.beside, self.data)
            except OSError:
                if kept:
                    os.rename(kept, self.data)
                raise
            _flush(os.path.dirname(self.data))
        except OSError as error:
            raise _failed("The data directories could not be exchanged", error) from error
        return kept

    def swap_back(self, kept: Optional[str]) -> None:
        """Undo swap(): the replacement becomes a copy to be removed, the old data serve again."""
        try:
            os.rename(self.data, self.beside)
            if kept:
                os.rename(kept, self.data)
            _flush(os.path.dirname(self.data))
        except OSError as error:
            raise _failed("The data directories could not be changed back", error) from error

    def remove_copies(self) -> list[str]:
        """Remove what this and interrupted ones of its kind left; never the data, never a previous directory."""
        return self.remove(self.kind)

    def remove(self, kind: str) -> list[str]:
        """Remove everything of a kind and return its paths."""
        return _remove(self.named(kind))

    def prune_previous(self, keep: int) -> list[str]:
        """Remove the oldest data that were replaced, by a restore or by its undo, until keep are left."""
        found = sorted(
            [*self.named("previous"), *self.named("undone")],
            key=lambda path: os.path.basename(path).split("-", 1)[1],
        )
        return _remove(found[: max(len(found) - keep, 0)])

    def finish_swap(self, kind: str) -> Optional[str]:
        """Put the old data back that a kill between the two renames of swap() left under another name.

        Returns their former path; None when that is not how things stand: data are there, or what lies beside them is
        not of one restore.
        """
        copies = {path.split(".%s-" % kind)[1] for path in self.named(kind)}
        stranded = [path for path in self.named("previous") if path.split(".previous-")[1] in copies]
        if self.has_data() or not stranded:
            return None
        try:
            if os.path.isdir(self.data):
                os.rmdir(self.data)
            os.rename(stranded[-1], self.data)
            _flush(os.path.dirname(self.data))
        except OSError as error:
            raise _failed("The data could not be put back in their place", error) from error
        return stranded[-1]

    def undo_command(self, server: str, kept: str, note: str) -> str:
        """One line for root's shell: the previous data serve again and the restored ones are kept aside.

        note is a command that tells the instance's history about it.
        """
        steps = (
            shlex.join(["docker", "stop", server]),
            shlex.join(["mv", self.data, self.undone]),
            shlex.join(["mv", kept, self.data]),
            note,
            shlex.join(["docker", "start", server]),
        )
        return " && ".join(steps)


def _remove(paths: list[str]) -> list[str]:
    try:
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                # The lock file that the entrypoint puts beside every data directory.
                os.unlink(path)
    except OSError as error:
        raise _failed("A directory could not be removed", error) from error
    return paths


def _flush(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(what: str, error: OSError) -> PgkeepError:
    return PgkeepError(what, str(error), "look at the volume's directory on the host; nothing was deleted")
