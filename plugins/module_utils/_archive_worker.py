# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker that archive-push leaves the WAL to: whether one hangs, and its end. Private to the collection.

It reads the settings when it begins, and everybody waits for it as long as it holds its lock. So one that hangs keeps
settings that were corrected meanwhile, and the correction seems to be of no use. What it met it says only when it
ends; that it works is told by its lock file, which lies on the spool volume, is written when it begins and removed
when it ends.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from dataclasses import dataclass
from typing import Optional

from . import _docker as docker
from ._lock import is_held
from ._run import Run

# Most work for a fraction of a second. The lock of a younger one is not touched: a worker that cannot take it in this
# moment gives up, and archive-push waits a minute for it in vain.
HANGS_SECONDS = 5.0

# The archiver waits a minute after three failures, but a new segment wakes it. A switch alone does nothing when
# nothing was written since the last one, hence the message.
WAKE = "SELECT pg_logical_emit_message(true, 'pgkeep', 'wake'), pg_switch_wal()"

# In the server's container, the one place where its processes are seen. archive-push itself goes too: it waits for the
# worker that it started. PostgreSQL starts another one a second later. -x: not the shell that has it in its command.
_END = r"""
mapfile -t pids < <(grep -lsxzE 'archive-push(:async|:local)?' /proc/[0-9]*/cmdline | cut -d / -f 3)
[[ ${#pids[@]} != 0 ]] || exit 0
kill -TERM "${pids[@]}" 2> /dev/null
for _ in {1..20}; do
  kill -0 "${pids[@]}" 2> /dev/null || exit 0
  sleep 0.1
done
kill -KILL "${pids[@]}" 2> /dev/null
exit 0
"""


@dataclass(frozen=True)
class Worker:
    """A worker that hangs. since: when it began; settings_at: when its settings last changed; seconds since the
    epoch."""

    since: float
    settings_at: float

    @property
    def stale(self) -> bool:
        """Whether it works with settings that are no longer what stands there."""
        return self.since < self.settings_at


def hanging(spool: str, instance: str, settings: str, now: Optional[float] = None) -> Optional[Worker]:
    """The worker of the instance that holds its lock for too long; None when there is none.

    spool is the spool volume as it is seen from here, settings the file that the worker reads.
    """
    now = time.time() if now is None else now
    for path in glob.glob("%s/lock/%s-archive*.lock" % (glob.escape(spool), instance)):
        # It may end in this moment, an older deploy wrote no such settings, and a link is no lock.
        with contextlib.suppress(OSError):
            since = os.lstat(path).st_mtime
            # One that was killed leaves its file, but not its lock.
            if now - since >= HANGS_SECONDS and is_held(path):
                return Worker(since, os.stat(settings).st_mtime)
    return None


def end(run: Run, server: str) -> None:
    """End every worker in the container called server. PostgreSQL keeps what it was not told to be archived, so no WAL
    is lost."""
    docker.execute(run, server, ["bash", "-c", _END])
