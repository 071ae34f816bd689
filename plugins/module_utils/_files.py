# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on the host that appear whole or not at all. Private to the collection."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Any, Iterable, Optional

from ._errors import PgkeepError
from ._layout import GID, UID

# include_dir of PostgreSQL reads only names that end in .conf.
_KEPT = ".before"


@dataclass(frozen=True)
class Folder:
    """A directory as it shall be; mode is the permission bits."""

    path: str
    mode: int = 0o750
    uid: int = 0
    gid: int = GID


@dataclass(frozen=True)
class File:
    """A text file as it shall be. A secret one is for the container's user alone and never shown in a diff."""

    path: str
    content: str
    mode: int = 0o640
    uid: int = 0
    gid: int = GID
    secret: bool = False


def secret_file(path: str, content: str, uid: int = UID, gid: int = GID) -> File:
    return File(path, content, 0o400, uid, gid, secret=True)


@dataclass(frozen=True)
class FileChange:
    """What has to be written and what was there: before is None for a new file, reason is new, content or mode."""

    file: File
    before: Optional[str]
    reason: str

    def diff(self) -> dict[str, str]:
        """For Ansible's diff mode; the content of a secret is left out on both sides."""
        header = self.file.path
        if self.file.secret:
            texts = ("(hidden)\n" if self.before is not None else "", "(hidden, %s)\n" % self.reason)
        else:
            texts = (self.before or "", self.file.content)
        return {"before_header": header, "after_header": header, "before": texts[0], "after": texts[1]}


def read(path: str) -> Optional[str]:
    """The text of the file, None when there is none."""
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def changes(files: Iterable[File]) -> list[FileChange]:
    """Which of files differ from the disk, in content, mode or owner. Only reads."""
    return [change for change in map(_change, files) if change is not None]


def _change(file: File) -> Optional[FileChange]:
    before = read(file.path)
    if before is None:
        return FileChange(file, None, "new")
    if before != file.content:
        return FileChange(file, before, "content")
    return None if _as_wanted(file) else FileChange(file, before, "mode")


def folder_changes(folders: Iterable[Folder]) -> list[Folder]:
    return [folder for folder in folders if not os.path.isdir(folder.path) or not _as_wanted(folder)]


def _as_wanted(entry: Any) -> bool:
    found = os.stat(entry.path)
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (entry.mode, entry.uid, entry.gid)


def make(folder: Folder) -> None:
    os.makedirs(folder.path, exist_ok=True)
    os.chown(folder.path, folder.uid, folder.gid)
    os.chmod(folder.path, folder.mode)


def write(file: File) -> None:
    """Write to a temporary name beside the file, flush to disk, rename. Raises PgkeepError and leaves the old file."""
    temporary = "%s.%d.new" % (file.path, os.getpid())
    try:
        # Born with mode 0600, so that a secret is never readable by others, not even for a moment.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(file.content)
            handle.flush()
            os.fchown(handle.fileno(), file.uid, file.gid)
            os.fchmod(handle.fileno(), file.mode)
            os.fsync(handle.fileno())
        os.rename(temporary, file.path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise PgkeepError(
            "The file %s could not be written" % file.path,
            "%s" % (error.strerror or error),
            "free space or correct the rights of %s, then repeat; the old file is untouched"
            % os.path.dirname(file.path),
        ) from error


def keep(path: str) -> None:
    """Remember the file as it is, for put_back(), unless it is remembered already. A second name needs no space, so a
    full disk cannot stop an undo."""
    if os.path.exists(path) and not os.path.exists(path + _KEPT):
        os.link(path, path + _KEPT)


def kept(path: str) -> str:
    """Where the file is as it was at keep()."""
    return path + _KEPT


def put_back(path: str, existed: bool) -> None:
    """The file as it was at keep(), mode and owner included; no file where none existed before."""
    if os.path.exists(path + _KEPT):
        os.replace(path + _KEPT, path)
        # Two names of one file: rename(2) leaves both.
        forget(path)
    elif not existed and os.path.exists(path):
        os.unlink(path)


def forget(path: str) -> None:
    if os.path.exists(path + _KEPT):
        os.unlink(path + _KEPT)
