# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation at a time on an instance or a machine: the lock on the host. Private to the collection."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import Any, Iterator, Optional, TextIO

from ._actor import person
from ._errors import PgkeepError
from ._times import rfc3339

# How often a lock that is waited for is tried again.
_AGAIN_SECONDS = 0.05


@contextlib.contextmanager
def hold(
    path: str,
    what: str,
    wait_seconds: float = 0,
    owner: Optional[tuple[int, int]] = None,
    who: Optional[str] = None,
) -> Iterator[None]:
    """Hold the lock file at path while the block runs; what says for what, such as "drill of orders".

    Raises PgkeepError with busy set, naming the holder, when another process still has it after wait_seconds. The
    kernel gives the lock back when the process ends, however it ends: there is no stale lock. The directory of path
    must exist. owner is the (uid, gid) that can hold it as well, where root holds it. who is told to the others;
    without it, it is the user who logged in.
    """
    try:
        # Whoever owns the folder may have put a link there, which root must not follow.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if owner is not None and os.geteuid() == 0:
            os.fchown(descriptor, *owner)
    except OSError as error:
        raise PgkeepError(
            "The lock for the %s cannot be taken" % what,
            "%s: %s" % (path, error.strerror or error),
            "run as root on the host of the instance, after deploy.yml",
        ) from error
    with os.fdopen(descriptor, "r+", encoding="utf-8") as handle:
        if not _locked(handle, time.monotonic() + wait_seconds):
            raise PgkeepError(
                "The %s cannot start" % what,
                "another operation holds the lock: %s" % _holder(handle.read()),
                "repeat when it has ended",
                busy=True,
            )
        handle.truncate()
        note = {"pid": os.getpid(), "since": rfc3339(time.time()), "action": what, "who": who or person()}
        json.dump(note, handle)
        handle.flush()
        try:
            yield
        finally:
            # The file stays, empty: removed, two processes could each lock a different file of this name.
            handle.seek(0)
            handle.truncate()


def is_held(path: str) -> bool:
    """Whether somebody holds the lock file at path now. OSError passes through for a file that cannot be opened.

    Root looks into folders of the server here, which may have put anything there: a link, or a pipe to wait at.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(path: str) -> Optional[dict[str, Any]]:
    """The note of whoever holds the lock file at path now: action, who, pid and since; None when nobody does.

    A lock that nobody noted anything about is not touched: trying it would be in the way of who wants it.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            note = json.loads(handle.read() or "null")
        return dict(note) if isinstance(note, dict) and is_held(path) else None
    except (OSError, ValueError):
        return None


def _locked(handle: TextIO, end: float) -> bool:
    """Whether the lock was had before the moment end of the monotonic clock; tried at least once."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_AGAIN_SECONDS)
        else:
            return True


def _holder(content: str) -> str:
    """The note of the holder as words; it may be missing in the instant between its lock and its note."""
    try:
        note = json.loads(content)
        return "%s by %s, process %d, since %s" % (note["action"], note["who"], note["pid"], note["since"])
    except (ValueError, KeyError, TypeError):
        return "it has not said which"
